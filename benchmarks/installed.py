"""Running the service as an installation has it, from an environment that holds test tools as well.

Some libraries use whatever they find: structlog imports Twisted and Rich where they are installed, and here
Synapse and the test tools bring them. They would be measured as ours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata

from packaging.requirements import Requirement

_DISTRIBUTION = "assent"
_EXTRAS = ("matrix",)


def command(*arguments: str) -> list[str]:
    """``python -m bot`` with these arguments, where modules of other distributions cannot be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden()!r})); "
        "from bot.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, "-c", code, *arguments]


def hidden() -> list[str]:
    """Top-level modules that no distribution provides which Assent (with its Matrix extra) needs."""
    needed = _needed(_DISTRIBUTION, _EXTRAS)
    return sorted(
        module
        for module, owners in metadata.packages_distributions().items()
        if module.isidentifier()
        and module not in sys.stdlib_module_names
        and not any(_plain(owner) in needed for owner in owners)
    )


def _needed(name: str, extras: Sequence[str]) -> set[str]:
    found: set[tuple[str, tuple[str, ...]]] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(name, tuple(extras))]
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        found.add(key)
        try:
            lines = metadata.requires(key[0]) or []
        except metadata.PackageNotFoundError:
            continue
        for line in lines:
            required = Requirement(line)
            marker = required.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *key[1])):
                waiting.append((_plain(required.name), tuple(sorted(required.extras))))
    return {distribution for distribution, _ in found}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
