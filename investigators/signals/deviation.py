"""How far each curve is from what is normal for it, since the incident began."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import sub
from statistics import median

from investigators.signals.curves import Curve, by_identity, curves_of
from investigators.signals.meaning import WORSE_UP, Meaning
from investigators.world.world import World

_UNUSUAL = 3.0
_TOLD = 0.5
_LEAST_NORMAL = 5
"""Values below which nothing can be called unusual."""
_RATIO = frozenset({Meaning.SUCCESS, Meaning.ERRORS})
_RELATIVE_FLOOR = 0.05
_RATIO_FLOOR = 0.002
"""A fifth of a per cent: a ratio of whole per cents wobbles by that much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A curve that is unusual. ``excess`` is in the curve's own unit and positive when worse (for quantities
    without a worse side, when higher); ``z`` in robust standard deviations, with the same sign."""

    curve: Curve
    normal: float
    now: float
    excess: float
    z: float


def deviations(
    world: World, curves: Sequence[Curve], pained: Collection[Meaning] = ()
) -> tuple[tuple[Deviation, ...], frozenset[tuple[str, str, str]]]:
    """Every curve at least three deviations from normal, since about the onset and not before; and the
    identities of all curves of which enough is known to judge them.

    What the alert says is believed: its own objects' curves of the ``pained`` meanings need only be worse
    than normal.
    """
    healthy = by_identity(curves_of(world.healthy_tracks))
    onset = world.onset.timestamp()
    found: list[Deviation] = []
    judged: set[tuple[str, str, str]] = set()
    for curve in curves:
        split = _split(curve, healthy.get(curve.identity), onset)
        if split is None:
            continue
        judged.add(curve.identity)
        told = curve.meaning in pained and curve.object in world.subjects
        one = _deviation(curve, *split, _TOLD if told else _UNUSUAL)
        if one is not None:
            found.append(one)
    return tuple(found), frozenset(judged)


def _split(
    curve: Curve, healthy: Curve | None, onset: float
) -> tuple[Sequence[float], Sequence[float], Sequence[float]] | None:
    """(normal values, values just before the onset, values since); None where too little is known. The values
    before the onset are the normal ones where there is no better."""
    step = _step(curve.times)
    place = bisect_right(curve.times, onset - step)
    before, since = curve.values[:place], curve.values[place:]
    if not since:
        return None
    if healthy is not None and len(healthy.values) >= _LEAST_NORMAL:
        return healthy.values, before[-max(3, len(before) // 3) :], since
    return (before, (), since) if len(before) >= _LEAST_NORMAL else None


def _deviation(
    curve: Curve, known: Sequence[float], recent: Sequence[float], since: Sequence[float], least: float
) -> Deviation | None:
    ordered = sorted(known)
    normal = median(ordered)
    low, high = _extremes(since)
    if curve.meaning is Meaning.SUCCESS:
        now = low
    elif curve.meaning in WORSE_UP:
        now = high
    else:
        now = high if high - normal >= normal - low else low
    sign = -1.0 if curve.meaning is Meaning.SUCCESS else 1.0
    z = sign * (now - normal) / _spread(ordered, normal, curve.meaning, above=now > normal)
    if abs(z) < least:
        return None
    if recent and abs(now - median(recent)) < 0.5 * abs(now - normal):
        # It was like this before the incident began.
        return None
    return Deviation(curve=curve, normal=normal, now=now, excess=sign * (now - normal), z=z)


def _step(times: Sequence[float]) -> float:
    return median(map(sub, times[1:], times)) if len(times) > 1 else 0.0


def _extremes(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest, each as the mean of the two most extreme where there are enough."""
    if len(values) < 3:
        return min(values), max(values)
    ordered = sorted(values)
    return (ordered[0] + ordered[1]) / 2, (ordered[-1] + ordered[-2]) / 2


def _spread(ordered: Sequence[float], normal: float, meaning: Meaning, *, above: bool) -> float:
    """A robust standard deviation, no less than what the tail on the side in question already reached."""
    deviation = 1.4826 * median([abs(value - normal) for value in ordered])
    edge = ordered[int((0.95 if above else 0.05) * len(ordered))]
    tail = abs(edge - normal) / 1.645
    floor = _RELATIVE_FLOOR * abs(normal)
    if meaning in _RATIO:
        top = max(abs(ordered[-1]), abs(ordered[0]))
        whole = 100.0 if top > 1.5 else 1.0
        floor = _RATIO_FLOOR * whole
    return max(deviation, tail, floor, 1e-9)
