"""memory_growth: resident memory rises steadily, as a leak does, and when it will run out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from bot.domain.evidence import Evidence, Fact, FactVerdict, Sample, Series
from investigators.entities import Entity
from investigators.pack import Pack, absent, complete, current, found, series_of, unknown, why_nothing
from investigators.plan import HostPart, Span
from investigators.ranking import (
    human_bytes,
    human_time,
    since_growth_began,
    since_reset,
    time_until,
    trend,
)

KIND = "memory_growth"
_METRIC = "process_resident_memory_bytes"
_LEAST_GROWTH = 4 * 2**20
_LEAST_SHARE = 0.10
_LEAST_MOVES = 4
"""Two scrapes make a step, not a trend."""
_GLIMPSE_GROWTH = 256 * 2**10
_LEVEL = 0.05


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """One fact from the recorded history, and one from a second of looking at the process itself."""
    if entity.machine:
        return []
    long = pack.ranges(entity.subject, _METRIC, Span.LONG)
    recent = pack.ranges(entity.subject, _METRIC, Span.RECENT)
    available = _available(pack, entity)
    facts = []
    judged = [_history(pack, entity, item, one, available) for item, one in series_of((*long, *recent))]
    if judged:
        facts.append(_strongest(judged))
    glimpses = [
        _glimpse(entity, item, one.samples, available)
        for item, one in series_of(pack.host(entity.subject, HostPart.PROCESSES))
        if one.name == _METRIC
    ]
    facts += glimpses
    if not facts:
        looked = (*long, *recent, *pack.host(entity.subject, HostPart.PROCESSES))
        facts = [unknown(KIND, entity.subject, looked, KIND, why_nothing(looked, "no memory series"))]
    return facts


def _strongest(facts: Sequence[Fact]) -> Fact:
    """A rise in either look is a rise: five minutes of a slow leak look level, and a young leak hardly
    shows in an hour."""
    order = {FactVerdict.FOUND: 2, FactVerdict.ABSENT: 1, FactVerdict.UNKNOWN: 0}
    return max(facts, key=lambda fact: (order[fact.verdict], fact.confidence))


def _history(pack: Pack, entity: Entity, evidence: Evidence, one: Series, available: float | None) -> Fact:
    samples = one.samples
    rule = f"{KIND}.history"
    segment = since_growth_began(since_reset(samples))
    line = trend(segment)
    if line is None or line.samples < 8 or line.seconds < 8:
        return unknown(KIND, entity.subject, (evidence,), rule, "too few samples since it was last started")
    up = line.rising >= 0.8 or (line.rising >= 0.55 and line.fit >= 0.95)
    steady = up and line.moves >= _LEAST_MOVES
    grew = line.change >= max(_LEAST_GROWTH, _LEAST_SHARE * line.first)
    going_on = line.slope > 0 and line.late_slope >= 0.3 * line.slope
    if grew and steady and line.fit >= 0.8 and going_on:
        confidence = 0.7
        confidence += 0.1 if line.change >= 0.3 * line.first else 0.0
        confidence += 0.05 if line.samples >= 30 else 0.0
        confidence += 0.1 if line.seconds >= 600 else 0.0
        detail = (
            f"resident memory rose from {human_bytes(line.first)} to {human_bytes(line.last)} in "
            f"{human_time(line.end - line.start)} ({human_bytes(line.slope * 60)}/min, R² {line.fit:.2f})"
        )
        return found(
            KIND, entity.subject, confidence, (evidence,), rule, detail + _until(available, line.slope),
            slope=line.slope, onset=line.start.timestamp(), last=line.last, **_left(available, line.slope),
        )  # fmt: skip
    whole = trend(since_reset(samples))
    if whole is not None and complete(evidence) and current(one, pack.now) and whole.seconds >= 60:
        span = human_time(whole.end - whole.start)
        if abs(whole.change) <= _LEVEL * max(whole.first, 1) and not grew:
            detail = f"resident memory was level for {span} at {human_bytes(whole.last)}"
            return absent(KIND, entity.subject, 0.85, (evidence,), rule, detail)
        if not going_on and whole.late_slope * 60 < _LEVEL * max(whole.last, 1) / 10:
            detail = f"resident memory grew but has been level lately, at {human_bytes(whole.last)}"
            return absent(KIND, entity.subject, 0.7, (evidence,), rule, detail)
    return unknown(KIND, entity.subject, (evidence,), rule, "memory moves, but not as a steady rise")


def _glimpse(entity: Entity, evidence: Evidence, samples: Sequence[Sample], available: float | None) -> Fact:
    """A second or so of samples can show a fast leak and can never rule one out."""
    rule = f"{KIND}.glimpse"
    line = trend(samples)
    if line is None:
        return unknown(KIND, entity.subject, (evidence,), rule, "too few samples")
    falls = sum(b.value < a.value for a, b in pairwise(samples))
    rises = sum(b.value > a.value for a, b in pairwise(samples))
    if falls == 0 and rises >= 3 and line.change >= _GLIMPSE_GROWTH:
        detail = (
            f"resident memory is {human_bytes(line.last)} and rose by {human_bytes(line.change)} in the "
            f"{line.seconds:.1f} s of looking ({human_bytes(line.slope * 60)}/min; a short window)"
        )
        return found(
            KIND, entity.subject, 0.6, (evidence,), rule, detail + _until(available, line.slope),
            slope=line.slope, last=line.last, **_left(available, line.slope),
        )  # fmt: skip
    detail = f"resident memory is {human_bytes(line.last)}; {line.seconds:.1f} s cannot rule out growth"
    return unknown(KIND, entity.subject, (evidence,), rule, detail)


def _available(pack: Pack, entity: Entity) -> float | None:
    """Bytes the machine has left: the process's limit when no other is known."""
    for evidence in pack.host(entity.subject, HostPart.RESOURCES):
        for record in evidence.records:
            value = record.get("memory_available_bytes")
            if isinstance(value, int | float) and value > 0:
                return float(value)
    for _, one in series_of(pack.ranges(entity.host or "", "node_memory_MemAvailable_bytes", Span.LONG)):
        return one.samples[-1].value
    return None


def _remaining(available: float | None, slope: float) -> timedelta | None:
    return None if available is None else time_until(0, available, slope)


def _until(available: float | None, slope: float) -> str:
    left = _remaining(available, slope)
    return "" if left is None else f"; the machine's memory lasts about {human_time(left)} more"


def _left(available: float | None, slope: float) -> dict[str, float]:
    left = _remaining(available, slope)
    return {} if left is None else {"seconds_to_limit": left.total_seconds()}
