"""How alike two names are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_FILLER = frozenset(
    ("service", "svc", "addr", "address", "host", "hostname", "url", "uri", "port", "endpoint", "base", "api",
     "server", "http", "https", "grpc", "tcp", "internal", "backend", "client", "upstream", "path")
)  # fmt: skip


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


def meant(words: str, names: Iterable[str]) -> str | None:
    """The name that a variable or path speaks of: ``cart`` for ``CART_SERVICE_ADDR`` or ``/api/v1/cart``."""
    spoken = [word for word in re.split(r"[^a-z0-9]+", words.lower()) if word and word not in _FILLER]
    stem = "".join(word for word in spoken if not re.fullmatch(r"v\d+", word))
    return next((name for name in names if stem and _bare(name).replace("-", "") == stem), None)


def unlike(one: str, other: str) -> bool:
    """Whether nobody would take one name for a variant of the other."""
    one, other = _bare(one), _bare(other)
    return one not in other and other not in one and likeness(one, other) < 0.6


def _bare(name: str) -> str:
    for suffix in ("-service", "-svc", "service", "-headless"):
        name = name.removesuffix(suffix) if len(name) > len(suffix) + 2 else name
    return name.lower().replace("_", "-")
