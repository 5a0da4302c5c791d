"""What is new since the fault began: log templates, failing and slow spans, series that left their level."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from operator import le
from statistics import median

from bot.domain.evidence import Series, TraceSpan
from bot.domain.ids import EvidenceId
from investigators.templates import Level, Template, level_of, mine
from investigators.world.world import Line, Track, World, texts_of

_ROUTINE = re.compile(
    r"\b(?:starting|started|listening|initiali[sz]ed|bootstrap|shutting down|feature flag|ready to)\b", re.I
)
_PLACES = frozenset(
    ("service", "pod", "namespace", "node", "level", "container", "component", "trace_id", "span_id")
)
_COUNTER = re.compile(r"_(?:total|count|sum)$")
_MOST_TEXT = 2_000
_QUIET_SHARE = 0.25
"""A template first seen in the first quarter of the time before the alert was there before the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A text that appeared with the fault. ``weight`` between 0 and 1 says how much it is about the fault;
    ``count`` how many lines or spans it stands for."""

    source: str
    text: str
    service: str
    first: datetime
    weight: float
    evidence_id: EvidenceId | None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A series that left its usual level at ``first``. ``ratio`` is the new level over the old one, infinite
    from 0; ``low`` and ``high`` the extremes since."""

    name: str
    service: str
    first: datetime
    before: float
    after: float
    low: float
    high: float
    evidence_id: EvidenceId

    @property
    def up(self) -> bool:
        return self.after > self.before

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """One operation that is now done many times in one trace."""

    service: str
    operation: str
    before: int
    after: int
    first: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """``began`` is the earliest sign of the fault, at most ``onset``, the alert's own time."""

    texts: tuple[Signal, ...] = ()
    moved: tuple[Moved, ...] = ()
    fan_outs: tuple[FanOut, ...] = ()
    began: datetime
    onset: datetime
    services: frozenset[str] = field(default_factory=frozenset)


def gather(world: World) -> Signals:
    texts = [*_alerts(world), *_lines(world), *_spans(world)]
    moved = tuple(found for found in _moved(world) if found.first <= world.now)
    bad = [signal for signal in texts if signal.weight >= 0.7]
    # A line or two before the rest may be about anything.
    often = [signal for signal in bad if signal.count >= 3 or signal.source != "log"]
    services = frozenset(
        name
        for name in (
            *(line.service for line in world.lines),
            *(track.object for track in world.tracks if track.object_kind == "service"),
            *(span.service for span in world.spans),
            *(change.service for change in world.changes),
            *(name for name, kind in world.graph.kinds.items() if kind == "service"),
            *world.subjects,
        )
        if name
    )
    return Signals(
        texts=tuple(sorted(texts, key=lambda signal: (signal.first, signal.service, signal.text))),
        moved=moved,
        fan_outs=tuple(_fan_outs(world)),
        began=min((world.onset, *(signal.first for signal in often or bad))),
        onset=world.onset,
        services=services,
    )


def _alerts(world: World) -> Iterable[Signal]:
    for alert in world.alerts:
        told = (alert.name, *alert.annotations.values(), alert.labels.get("metric", ""))
        yield Signal(
            source="alert",
            text=" ".join(part for part in told if part and not part.startswith("http")),
            service=alert.labels.get("service", "") or next(iter(world.subjects), ""),
            first=alert.starts_at,
            weight=0.9,
            evidence_id=None,
        )


def _lines(world: World) -> Iterable[Signal]:
    texts = world.derived(texts_of)
    usual: dict[str, set[str]] = defaultdict(set)
    for service, lines in _by_service(world.healthy_lines).items():
        usual[service] = {template.text for template in mine(lines, texts).templates}
    extras = _Extras()
    for service, lines in _by_service(world.lines).items():
        dated = [line.at for line in lines if line.at is not None]
        first_line = min(dated, default=world.onset)
        quiet = first_line + (world.onset - first_line) * _QUIET_SHARE
        for template in mine(lines, texts).templates:
            sample = lines[template.members[0]]
            first = template.first or world.onset
            chronic = template.text in usual[service] or (not world.healthy_lines and first < quiet)
            if world.onset - first_line < timedelta(minutes=2) and not world.healthy_lines:
                chronic = False
            weight = _line_weight(template, sample, chronic=chronic)
            if weight > 0:
                yield Signal(
                    source="log",
                    text=" ".join((sample.text[:_MOST_TEXT], extras.of(sample)[:_MOST_TEXT])).strip(),
                    service=service,
                    first=first,
                    weight=weight,
                    evidence_id=sample.evidence.id,
                    count=template.count,
                )


def _line_weight(template: Template, sample: Line, *, chronic: bool) -> float:
    named = level_of(f"level={sample.level}") if sample.level else Level.PLAIN
    level = max(template.level, named)
    if chronic:
        return 0.2 if level >= Level.ERROR else 0.0
    if level >= Level.ERROR:
        return 1.0
    if level is Level.WARNING:
        return 0.85
    return 0.15 if _ROUTINE.search(sample.text) else 0.5


def _by_service(lines: Iterable[Line]) -> Mapping[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.service, []).append(line)
    for items in found.values():
        items.sort(key=lambda line: line.at.timestamp() if line.at else 0.0)
    return found


class _Extras:
    """What a line's source attached to it beside its text: a stack, a statement, a peer."""

    def __init__(self) -> None:
        self._by_evidence: dict[str, dict[tuple[datetime | None, str], Mapping[str, str]]] = {}

    def of(self, line: Line) -> str:
        known = self._by_evidence.get(line.evidence.id)
        if known is None:
            known = {(one.at, one.text): one.labels for one in line.evidence.lines}
            self._by_evidence[line.evidence.id] = known
        labels = known.get((line.at, line.text), {})
        return " ".join(f"{key}={value}" for key, value in labels.items() if key not in _PLACES)


def _spans(world: World) -> Iterable[Signal]:
    usual = {(span.service, span.operation) for span in world.healthy_spans if span.error}
    evidence = next((item.id for item in world.looked("trace.spans") if item.spans), None)
    failing: dict[tuple[str, str], list[TraceSpan]] = defaultdict(list)
    times: dict[tuple[str, str], list[TraceSpan]] = defaultdict(list)
    for span in world.spans:
        times[span.service, span.operation].append(span)
        if span.error and (span.service, span.operation) not in usual:
            told = " ".join(value for key, value in span.attributes.items() if key not in _PLACES)
            failing[span.service, f"{span.operation} {span.peer} {told}"].append(span)
    for (service, text), spans in failing.items():
        first = min(span.start for span in spans)
        yield Signal(
            source="trace",
            text=text,
            service=service,
            first=first,
            weight=0.9,
            evidence_id=evidence,
            count=len(spans),
        )
    before = [*world.healthy_spans]
    for (service, operation), spans in times.items():
        quick = [s.duration_ms for s in before if (s.service, s.operation) == (service, operation)]
        quick = quick or [s.duration_ms for s in spans if s.start < world.onset - timedelta(minutes=20)]
        slow = [s for s in spans if s.start >= world.onset - timedelta(minutes=20)]
        if quick and slow and median(s.duration_ms for s in slow) > 2 * median(quick) + 20:
            told = " ".join(value for key, value in slow[-1].attributes.items() if key not in _PLACES)
            yield Signal(
                source="trace",
                text=f"slow: {operation} {told}",
                service=service,
                first=slow[0].start,
                weight=0.8,
                evidence_id=evidence,
                count=len(slow),
            )


def _fan_outs(world: World) -> Iterable[FanOut]:
    def most(spans: Iterable[TraceSpan]) -> dict[tuple[str, str], int]:
        per_trace = Counter((span.trace_id, span.parent_id, span.service, span.operation) for span in spans)
        found: dict[tuple[str, str], int] = {}
        for (_, _, service, operation), count in per_trace.items():
            found[service, operation] = max(found.get((service, operation), 0), count)
        return found

    split = world.onset - timedelta(minutes=20)
    usual = most(world.healthy_spans or [span for span in world.spans if span.start < split])
    for (service, operation), count in most(span for span in world.spans if span.start >= split).items():
        before = usual.get((service, operation), 0)
        if count >= 10 and count >= 3 * max(1, before):
            first = min(s.start for s in world.spans if s.operation == operation and s.start >= split)
            yield FanOut(service=service, operation=operation, before=before, after=count, first=first)


def _moved(world: World) -> Iterable[Moved]:
    healthy = {
        (track.object, track.pod, track.series.name, _labels(track)): track for track in world.healthy_tracks
    }
    for track in world.tracks:
        twin = healthy.get((track.object, track.pod, track.series.name, _labels(track)))
        found = departure(track.series, twin.series if twin else None, track.series.name)
        if found is not None:
            first, before, after, low, high = found
            yield Moved(
                name=track.series.name,
                service=track.object,
                first=first,
                before=before,
                after=after,
                low=low,
                high=high,
                evidence_id=track.evidence.id,
            )


def _labels(track: Track) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(track.series.labels.items()))


def departure(
    series: Series, healthy: Series | None, name: str = ""
) -> tuple[datetime, float, float, float, float] | None:
    """When a series left its usual level for three samples or for good: (first, usual level, new level,
    lowest, highest since). A slow drift is dated to where it began. None where it stayed, or is too short."""
    times, values = series.times, series.values
    known = healthy.values if healthy is not None else ()
    if len(values) < 6 or (len(values) < 12 and len(known) < 8):
        return None
    usual = known or values[: min(30, max(6, len(values) // 8))]
    if _COUNTER.search(name) and max(usual) > min(usual) and all(map(le, usual, usual[1:])):
        usual_times = healthy.times if healthy is not None and known else times[: len(usual)]
        usual = _rates(usual_times, usual)
        times, values = times[1:], _rates(times, values)
        if len(values) < 6 or not usual:
            return None
    middle = median(usual)
    spread = max(
        1.4826 * median([abs(value - middle) for value in usual]),
        (max(usual) - min(usual)) / 4,
        0.03 * abs(middle),
        1e-9,
    )
    least = max(6 * spread, 0.2 * abs(middle))
    if max(values) - middle < least and middle - min(values) < least:
        return None
    far = [abs(value - middle) >= least for value in values]
    at = next((i for i in range(len(far)) if far[i] and all(far[i : i + 3])), None)
    if at is None:
        return None
    since = values[at:]
    gone = [value for value, away in zip(since, far[at:], strict=True) if away]
    sign = 1 if median(gone) > middle else -1
    # A drift is already on its way before it is far off.
    while at > 0 and sign * (values[at - 1] - middle) > 2 * spread:
        at -= 1
    return times[at], middle, median(gone), min(since), max(since)


def _rates(times: Sequence[datetime], values: Sequence[float]) -> list[float]:
    return [
        max(0.0, b - a) / max(1.0, (end - start).total_seconds())
        for (start, a), (end, b) in pairwise(zip(times, values, strict=True))
    ]
