"""The type of a mechanism, and the few ways in which one is recognised in a diff."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.domain.redaction import redact_field
from investigators.changes.diffs import Diff
from investigators.changes.values import Switched, Tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A mechanism found in a diff: how surely (0 to 1), and what exactly. ``names`` are what the evidence
    would name if this were it; without any of them the hit counts ``unnamed`` of its strength. ``alone``
    where nothing else on the line changed, so that it is no rearrangement."""

    strength: float
    what: str = ""
    names: tuple[str, ...] = ()
    unnamed: float = 1.0
    alone: bool = False


Detect = Callable[[Diff], Hit | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """``explains`` says how well it fits each kind of symptom; ``says`` completes "this change …"."""

    name: str
    says: str
    detect: Detect
    explains: Mapping[str, float]


def fits(text: str) -> Mapping[str, float]:
    """``"memory 1, cpu .3"`` as a mapping."""
    pairs = (part.split() for part in text.split(","))
    return {kind: float(fit) for kind, fit in pairs}


def rx(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.I | re.M)


def exact(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.M)


def loses(
    pattern: re.Pattern[str],
    strength: float = 1.0,
    unless: re.Pattern[str] | None = None,
    needs: str = "",
) -> Detect:
    """The changed lines hold fewer of it; ``unless`` names what replaces it just as well. ``needs`` as in
    :func:`gains`."""
    parts = tuple(needs.split())

    def detect(diff: Diff) -> Hit | None:
        if _holds_none(diff.removed_text, parts):
            return None
        if not diff.lost(pattern) or (unless is not None and diff.gained(unless)):
            return None
        gone = pattern.search(diff.removed_text)
        return Hit(strength=strength, what=gone[0].strip() if gone else "")

    return detect


def gains(
    pattern: re.Pattern[str],
    strength: float = 1.0,
    unless: re.Pattern[str] | None = None,
    needs: str = "",
) -> Detect:
    """The changed lines hold more of it, and nothing of ``unless``. ``needs``: lower-case texts, one of which
    is in whatever matches; to look for them first takes a hundredth of the time."""
    parts = tuple(needs.split())

    def detect(diff: Diff) -> Hit | None:
        if _holds_none(diff.added_text, parts):
            return None
        if not diff.gained(pattern) or (unless is not None and unless.search(diff.added_text)):
            return None
        come = pattern.search(diff.added_text)
        return Hit(strength=strength, what=come[0].strip() if come else "")

    return detect


def tunes(
    about: re.Pattern[str],
    *,
    down: bool | None,
    strength: float = 1.0,
    least: float = 1.25,
    unless: re.Pattern[str] | None = None,
) -> Detect:
    """A number in such a place was lowered (``down``), raised (not ``down``) or moved either way (None), by
    the factor ``least`` or more."""

    def detect(diff: Diff) -> Hit | None:
        best: Hit | None = None
        for one in diff.tuned:
            # To compare two numbers costs far less than to look for words.
            factor = _factor(one, down)
            sure = strength * (1.0 if factor >= 3 else 0.9 if factor >= 1.8 else 0.7)
            if factor < least or (best is not None and sure <= best.strength) or not about.search(one.about):
                continue
            if unless is None or not unless.search(one.own):
                best = Hit(strength=sure, what=one.text)
        return best

    return detect


def switches(
    about: re.Pattern[str],
    strength: float = 1.0,
    accept: Callable[[Switched], bool] = lambda one: True,
    unnamed: float = 1.0,
) -> Detect:
    """A setting in such a place (its key, value or file) has another value."""

    def detect(diff: Diff) -> Hit | None:
        for one in diff.switched:
            if _is_number(one.before) or not accept(one):
                continue
            if about.search(f"{one.key} {one.before} {one.after}"):
                return Hit(
                    strength=strength,
                    what=" → ".join((f"{one.key}: {_safe(one.key, one.before)}", _safe(one.key, one.after))),
                    names=(one.after, one.before),
                    unnamed=unnamed,
                )
        return None

    return detect


def either(*ways: Detect) -> Detect:
    """The surest of several ways."""

    def detect(diff: Diff) -> Hit | None:
        hits = [hit for hit in (way(diff) for way in ways) if hit is not None]
        return max(hits, key=lambda hit: hit.strength * hit.unnamed) if hits else None

    return detect


def in_files(pattern: re.Pattern[str], way: Detect) -> Detect:
    """Only where such a file was changed."""

    def detect(diff: Diff) -> Hit | None:
        return way(diff) if any(pattern.search(file) for file in diff.files) else None

    return detect


def _holds_none(text: str, parts: tuple[str, ...]) -> bool:
    """Whether none of the parts, of which there are some, is in the text, in capitals or not."""
    # Patterns that ignore case know of letters beyond ASCII that lower() leaves alone.
    if not parts or not text.isascii():
        return False
    lowered = text.lower()
    return not any(part in lowered for part in parts)


def _factor(one: Tuned, down: bool | None) -> float:
    low, high = sorted((abs(one.before), abs(one.after)))
    factor = high / low if low else 10.0
    lowered = one.after < one.before
    return factor if down is None or down is lowered else 0.0


def _safe(key: str, value: str) -> str:
    return redact_field(key, value)[:40]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[\d.]+[a-zA-Z%]{0,3}", text) is not None
