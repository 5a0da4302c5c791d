"""Which gesture a reaction is. Clients send the same emoji in several spellings."""

from __future__ import annotations

from collections.abc import Iterable

from approvals.model import ReviewVerdict

_VARIATION = {"\ufe0e", "\ufe0f"}
_SKIN_TONES = {chr(code) for code in range(0x1F3FB, 0x1F400)}


def normalise(key: str) -> str:
    """Drop variation selectors and skin tones; everything else must match exactly."""
    return "".join(char for char in key.strip() if char not in _VARIATION and char not in _SKIN_TONES)


class Glyphs:
    """The configured sets of approving and rejecting emoji, which have nothing in common."""

    def __init__(self, approve: Iterable[str], reject: Iterable[str]) -> None:
        self._approve = frozenset(normalise(key) for key in approve)
        self._reject = frozenset(normalise(key) for key in reject)

    def verdict(self, key: str) -> ReviewVerdict | None:
        """What a reaction means for an approval card; None for every other emoji."""
        normal = normalise(key)
        if normal in self._approve:
            return ReviewVerdict.APPROVE
        return ReviewVerdict.REJECT if normal in self._reject else None
