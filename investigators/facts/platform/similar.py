"""How alike two names are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


def likeness(one: str, other: str) -> float:
    """From 0 to 1; a name that differs only by a common suffix such as ``-service`` counts as nearly the
    same."""
    one, other = _bare(one), _bare(other)
    if one == other:
        return 0.95
    shortest, longest = sorted((one, other), key=len)
    if len(shortest) >= 4 and (longest.startswith(f"{shortest}-") or longest.endswith(f"-{shortest}")):
        return 0.85
    return SequenceMatcher(None, one, other).ratio()


def nearest(name: str, others: Iterable[str], least: float = 0.75) -> str | None:
    """The most alike of the others, if it is alike at all."""
    scored = max(((likeness(name, other), other) for other in others if other != name), default=None)
    return scored[1] if scored is not None and scored[0] >= least else None


def _bare(name: str) -> str:
    for suffix in ("-service", "-svc", "service", "-headless"):
        name = name.removesuffix(suffix) if len(name) > len(suffix) + 2 else name
    return name.lower().replace("_", "-")
