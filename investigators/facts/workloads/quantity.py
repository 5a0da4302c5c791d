"""Kubernetes quantities as numbers: cores and bytes."""

from __future__ import annotations

from collections.abc import Mapping

from investigators.ranking import human_bytes

_SUFFIX = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
}


def quantity(value: object) -> float | None:
    """``500m`` is 0.5, ``1Gi`` 2**30; None for what is no quantity."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    for length in (2, 1):
        factor = _SUFFIX.get(text[-length:])
        if factor is not None:
            return _number(text[:-length], factor)
    return _number(text, 1.0)


def quantities(value: object) -> dict[str, float]:
    """A resource list; entries that are no quantity are left out."""
    if not isinstance(value, Mapping):
        return {}
    return {str(k): number for k, v in value.items() if (number := quantity(v)) is not None}


def amount(resource: str, value: float) -> str:
    """An amount of a resource as people write it."""
    name = resource.rpartition(".")[2]
    return human_bytes(value) if name in ("memory", "storage", "ephemeral-storage") else f"{value:g}"


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _number(text: str, factor: float) -> float | None:
    try:
        return float(text) * factor
    except ValueError:
        return None
