"""Numbers about series: how unusual, since when, growing how fast, full when. Pure and in plain floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from bot.domain.evidence import Sample

WARN_Z = 3.5
CRITICAL_Z = 6.0
_MAD_TO_SIGMA = 1.4826
_LEAST_SPREAD = 0.01
"""A flat baseline still wobbles by a hundredth of itself before we call it unusual."""


def robust_z(baseline: Sequence[float], value: float) -> float | None:
    """How many robust standard deviations ``value`` lies from the baseline's median (median/MAD).

    None with fewer than eight baseline values: then nothing can be called unusual.
    """
    if len(baseline) < 8:
        return None
    middle = median(baseline)
    spread = _MAD_TO_SIGMA * median(abs(item - middle) for item in baseline)
    return (value - middle) / max(spread, _LEAST_SPREAD * abs(middle), 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A lasting change of level: the first sample of the new level, and both medians."""

    at: datetime
    index: int
    before: float
    after: float
    z: float


def level_shift(samples: Sequence[Sample]) -> Shift | None:
    """The split into two levels that explains most, if it explains at least half of the variation and
    the new level is unusual for the old one (|z| ≥ WARN_Z). At least eight samples before, three after.
    """
    values = [sample.value for sample in samples]
    count = len(values)
    if count < 11:
        return None
    total = sum(values)
    mean = total / count
    whole = sum((value - mean) ** 2 for value in values)
    if whole <= 0:
        return None
    best, gain = 0, 0.0
    running = sum(values[:7])
    for split in range(8, count - 2):
        running += values[split - 1]
        left, right = running / split, (total - running) / (count - split)
        explained = split * (left - mean) ** 2 + (count - split) * (right - mean) ** 2
        if explained > gain:
            best, gain = split, explained
    if best == 0 or gain / whole < 0.5:
        return None
    before, after = values[:best], values[best:]
    z = robust_z(before, median(after))
    if z is None or abs(z) < WARN_Z:
        return None
    return Shift(at=samples[best].at, index=best, before=median(before), after=median(after), z=z)


def rate_shift(samples: Sequence[Sample]) -> Shift | None:
    """A lasting change in how fast a counter grows; resets count as standing still."""
    rates = [
        Sample(at=b.at, value=max(0.0, b.value - a.value) / (b.at - a.at).total_seconds())
        for a, b in pairwise(samples)
        if b.at > a.at
    ]
    return level_shift(rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A least-squares line through a series. ``slope`` is per second, ``late_slope`` that of the last
    third alone; ``fit`` is R². ``moves`` are changes of value (between two scrapes a series repeats
    itself); ``rising`` and ``falling`` are the shares of them that go up and down."""

    start: datetime
    end: datetime
    first: float
    last: float
    slope: float
    late_slope: float
    fit: float
    rising: float
    falling: float
    samples: int
    moves: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    @property
    def change(self) -> float:
        return self.last - self.first


def trend(samples: Sequence[Sample]) -> Trend | None:
    """None with fewer than four samples or no time between them."""
    if len(samples) < 4 or samples[-1].at <= samples[0].at:
        return None
    slope, fit = _line(samples)
    late = samples[-max(4, len(samples) // 3) :]
    changes = [b.value - a.value for a, b in pairwise(samples) if a.value != b.value]
    ups = sum(change > 0 for change in changes)
    return Trend(
        start=samples[0].at,
        end=samples[-1].at,
        first=samples[0].value,
        last=samples[-1].value,
        slope=slope,
        late_slope=_line(late)[0],
        fit=fit,
        rising=ups / len(changes) if changes else 0.0,
        falling=1 - ups / len(changes) if changes else 0.0,
        samples=len(samples),
        moves=len(changes),
    )


def _line(samples: Sequence[Sample]) -> tuple[float, float]:
    origin = samples[0].at
    xs = [(sample.at - origin).total_seconds() for sample in samples]
    ys = [sample.value for sample in samples]
    count = len(xs)
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    sxx = sum((x - mean_x) ** 2 for x in xs)
    syy = sum((y - mean_y) ** 2 for y in ys)
    sxy = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    if sxx <= 0:
        return 0.0, 0.0
    return sxy / sxx, (sxy * sxy / (sxx * syy) if syy > 0 else 0.0)


def since_reset(samples: Sequence[Sample], drop: float = 0.3) -> Sequence[Sample]:
    """The samples after the last fall by more than ``drop`` of the value: a restart starts anew."""
    for index in range(len(samples) - 1, 0, -1):
        if samples[index].value < samples[index - 1].value * (1 - drop):
            return samples[index:]
    return samples


def since_growth_began(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples from where a flat line turns into a rise, if that hinge explains the series better.

    Tries every start and keeps the one where flat-then-line leaves the least squared error. Returns
    everything when growth is there from the beginning.
    """
    count = len(samples)
    if count < 12:
        return samples
    # Differences from the first keep the squares small enough for floats.
    values = [sample.value - samples[0].value for sample in samples]
    origin = samples[0].at
    times = [(sample.at - origin).total_seconds() for sample in samples]
    # Suffix sums give each candidate's line in constant time.
    sums = [(0.0, 0.0, 0.0, 0.0, 0.0)] * (count + 1)
    for index in range(count - 1, -1, -1):
        x, y = times[index], values[index]
        a, b, c, d, e = sums[index + 1]
        sums[index] = (a + x, b + y, c + x * x, d + x * y, e + y * y)
    best, least = 0, _line_error(sums[0], count)
    head = head_square = 0.0
    for start in range(1, count - 3):
        head += values[start - 1]
        head_square += values[start - 1] ** 2
        if start < 4:
            continue
        flat = head_square - head * head / start
        error = flat + _line_error(sums[start], count - start)
        if error < least * 0.5:
            best, least = start, error
    return samples[best:]


def _line_error(sums: tuple[float, float, float, float, float], count: int) -> float:
    x, y, xx, xy, yy = sums
    sxx, sxy, syy = xx - x * x / count, xy - x * y / count, yy - y * y / count
    return max(0.0, syy - (sxy * sxy / sxx if sxx > 0 else 0.0))


def time_until(current: float, limit: float, slope: float) -> timedelta | None:
    """When a straight line reaches the limit; None when it goes the other way or takes over a year."""
    if slope == 0 or (limit - current) / slope < 0:
        return None
    seconds = (limit - current) / slope
    return timedelta(seconds=seconds) if seconds <= 366 * 86_400 else None


def counter_rate(samples: Sequence[Sample], span: timedelta) -> float | None:
    """Mean increase per second of a counter over the last ``span``, resets allowed for.

    Works from the moments the counter moved, since between two scrapes it repeats itself. None with
    fewer than two distinct readings.
    """
    if len(samples) < 2:
        return None
    since = samples[-1].at - span
    inside = [sample for sample in samples if sample.at >= since]
    moved = [b for a, b in pairwise(inside) if a.value != b.value]
    if not moved:
        # Over a whole span of samples without a move the counter stands still.
        return 0.0 if len(inside) >= 4 and inside[0].at - since < span / 4 else None
    first, last = inside[0], inside[-1]
    increase = sum(b.value - a.value if b.value >= a.value else b.value for a, b in pairwise(inside))
    seconds = (last.at - first.at).total_seconds()
    return increase / seconds if seconds > 0 else None


def human_bytes(value: float) -> str:
    """``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def human_time(span: timedelta) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``4 d``."""
    seconds = span.total_seconds()
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"
