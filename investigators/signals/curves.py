"""Series as curves that can be compared: counters as rates, sums over counts as means, codes as ratios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from bot.domain.evidence import Evidence
from investigators.signals.meaning import Meaning, is_counter, meaning_of, words_of
from investigators.world.world import Track

_CODE_LABELS = (
    "code", "status", "status_code", "response_code", "http_status", "http_status_code", "grpc_code",
    "grpc_status", "outcome", "result",
)  # fmt: skip
_GOOD = frozenset(
    {
        "ok", "success", "succeeded", "successful", "completed", "passed", "allowed", "true", "hit", "none",
        # Micrometer's outcomes; what a client asked wrongly is no failure of the service, as with a 4xx.
        "informational", "redirection", "client_error",
    }
)  # fmt: skip
_MOST = 1e100
"""What is larger, or no number, measures nothing; and its square would be no number either."""
_OWNERS = ("instance", "pod", "container", "node", "namespace", "service", "job", "app", "endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One quantity of one object over time. ``times`` are epoch seconds, oldest first; ``key`` is equal for
    the same quantity of different objects, ``part`` the pod or instance, empty where it is of the whole."""

    object: str
    object_kind: str
    part: str
    key: str
    meaning: Meaning
    times: tuple[float, ...]
    values: tuple[float, ...]
    evidence: Evidence

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.object, self.part, self.key


def curves_of(tracks: Iterable[Track]) -> list[Curve]:
    """Every comparable curve; histogram buckets are left out, their sums and counts are not."""
    plain: list[Curve] = []
    counters: list[tuple[Track, Sequence[float], Sequence[float]]] = []
    known: dict[tuple[datetime, ...], tuple[float, ...]] = {}
    for track in tracks:
        name = track.series.name
        if name.endswith("_bucket"):
            continue
        if len(track.series.samples) < 2:
            continue
        moments = tuple(track.series.times)
        times = known.get(moments)
        if times is None:
            times = known[moments] = tuple([moment.timestamp() for moment in moments])
        values = tuple(track.series.values)
        if not _measures(values):
            kept = [(at, value) for at, value in zip(times, values, strict=True) if abs(value) <= _MOST]
            times, values = tuple(at for at, _ in kept), tuple(value for _, value in kept)
            if len(values) < 2:
                continue
        if is_counter(name):
            rate_times, rates = _rates(times, values)
            if rates:
                counters.append((track, rate_times, rates))
        else:
            plain.append(_curve(track, _key(track), meaning_of(name), times, values))
    return plain + _from_counters(counters)


def _from_counters(counters: Sequence[tuple[Track, Sequence[float], Sequence[float]]]) -> list[Curve]:
    curves: list[Curve] = []
    sums = {
        (t.object, t.series.name, frozenset(t.series.labels.items())): rates
        for t, _, rates in counters
        if t.series.name.endswith("_sum")
    }
    ratios: dict[tuple[str, str, str], list[tuple[Track, Sequence[float], Sequence[float], bool]]] = {}
    for track, times, rates in counters:
        name = track.series.name
        if name.endswith("_sum"):
            continue
        base = name.removesuffix("_count")
        total = sums.get((track.object, f"{base}_sum", frozenset(track.series.labels.items())))
        timed = name.endswith("_count") and total is not None
        if timed and total is not None and (mean := _quotient(times, total, rates)) is not None:
            key = f"mean {_key(track).replace(name, base, 1)}"
            curves.append(_curve(track, key, _mean_meaning(base), *mean))
        code = next(
            (track.series.labels[label] for label in _CODE_LABELS if track.series.labels.get(label)), None
        )
        if code is None and timed:
            continue
        if code is None:
            curves.append(_curve(track, _key(track), _counter_meaning(name), times, rates))
        else:
            ratios.setdefault((track.object, _part(track), name), []).append(
                (track, times, rates, _bad(code))
            )
    for members in ratios.values():
        curves += _ratio(members)
    return curves


def _ratio(members: Sequence[tuple[Track, Sequence[float], Sequence[float], bool]]) -> list[Curve]:
    """The share of bad outcomes, and the traffic, of one counter that is split by outcome."""
    bad: dict[float, float] = {}
    every: dict[float, float] = {}
    for _, times, rates, is_bad in members:
        for at, rate in zip(times, rates, strict=True):
            every[at] = every.get(at, 0.0) + rate
            if is_bad:
                bad[at] = bad.get(at, 0.0) + rate
    times = sorted(at for at, rate in every.items() if rate > 0)
    if len(times) < 2:
        return []
    track = members[0][0]
    name = track.series.name
    share = tuple(bad.get(at, 0.0) / every[at] for at in times)
    return [
        _curve(track, f"errors of {name}", Meaning.ERRORS, tuple(times), share),
        _curve(track, f"traffic of {name}", Meaning.TRAFFIC, tuple(times), tuple(every[at] for at in times)),
    ]


def _bad(code: str) -> bool:
    lowered = code.strip().lower()
    if lowered[:1].isdigit():
        return lowered.startswith("5") if len(lowered) == 3 else lowered not in ("0", "00")
    return lowered not in _GOOD


def _mean_meaning(base: str) -> Meaning:
    """What the mean of a summary is: ``_sum`` over ``_count`` of seconds is a time, whatever was counted."""
    meaning = meaning_of(base)
    timed = words_of(base)[-1:] in (("seconds",), ("milliseconds",), ("ms",))
    return Meaning.LATENCY if timed and meaning in (Meaning.TRAFFIC, Meaning.OTHER) else meaning


def _counter_meaning(name: str) -> Meaning:
    meaning = meaning_of(name.removesuffix("_total").removesuffix("_count"))
    # A count of slow or timed operations is traffic, not their duration.
    return Meaning.TRAFFIC if meaning is Meaning.LATENCY else meaning


def _rates(times: Sequence[float], values: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Increase per second between neighbours; a reset counts from zero."""
    at: list[float] = []
    rates: list[float] = []
    for (t0, v0), (t1, v1) in pairwise(zip(times, values, strict=True)):
        if t1 > t0:
            at.append(t1)
            rates.append(max(0.0, v1 - v0 if v1 >= v0 else v1) / (t1 - t0))
    return tuple(at), tuple(rates)


def _quotient(
    times: Sequence[float], above: Sequence[float], below: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if len(above) != len(below):
        return None
    pairs = [(at, a / b) for at, a, b in zip(times, above, below, strict=True) if b > 0 and a <= _MOST * b]
    if len(pairs) < 2:
        return None
    return tuple(at for at, _ in pairs), tuple(value for _, value in pairs)


def _measures(values: Sequence[float]) -> bool:
    """Whether all are numbers that measure something. A sum with one that is none is none itself."""
    total = sum(values)
    return total == total and min(values) >= -_MOST and max(values) <= _MOST


def _part(track: Track) -> str:
    return track.pod or track.series.labels.get("instance", "")


def _key(track: Track) -> str:
    labels = track.series.labels
    rest = ",".join(f"{k}={labels[k]}" for k in sorted(labels) if k not in _OWNERS)
    return f"{track.series.name}{{{rest}}}" if rest else track.series.name


def _curve(
    track: Track, key: str, meaning: Meaning, times: Sequence[float], values: Sequence[float]
) -> Curve:
    return Curve(
        object=track.object,
        object_kind=track.object_kind,
        part=_part(track),
        key=key,
        meaning=meaning,
        times=tuple(times),
        values=tuple(values),
        evidence=track.evidence,
    )


def by_identity(curves: Iterable[Curve]) -> Mapping[tuple[str, str, str], Curve]:
    """Curves to look up the same quantity of the same object at another time."""
    return {curve.identity: curve for curve in curves}
