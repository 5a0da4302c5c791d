"""Sources of evidence that hold what a test puts into them, and misbehave on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.select import selects
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Sample, Series, Window
from investigators.ports import HostQuery, Matcher, MetricQuery

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FixedClock:
    """Always the same moment, unless a test moves it."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def series(
    name: str, values: Sequence[float], *, step: float = 2, end: datetime = NOW, **labels: str
) -> Series:
    """A series whose last sample is at ``end`` and whose samples are ``step`` seconds apart."""
    count = len(values)
    return Series(
        name=name,
        labels=labels,
        samples=tuple(
            Sample(at=end - timedelta(seconds=step * (count - 1 - index)), value=float(value))
            for index, value in enumerate(values)
        ),
    )


@dataclass(slots=True)
class WorldMetrics:
    """A metric source over series in memory.

    A query with a function reads series named ``function:metric``; expressions are looked up by their
    text. ``failure`` makes every answer fail with that reason; ``incomplete`` marks every answer as cut.
    """

    name: str = "world"
    series: list[Series] = field(default_factory=list)
    expressions: dict[str, list[Series]] = field(default_factory=dict)
    target_records: list[Record] = field(default_factory=list)
    rule_records: list[Record] = field(default_factory=list)
    failure: str | None = None
    incomplete: str | None = None

    def command(self, query: MetricQuery | str, window: Window) -> str:
        return f"promtool query range {query if isinstance(query, str) else query.metric}"

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        return self._series("metric.range", query.metric, self._select(query, window), window, subject)

    async def instant(self, query: MetricQuery, at: datetime, subject: str) -> Evidence:
        window = Window(start=at, end=at)
        look = Window(start=at - timedelta(minutes=5), end=at + timedelta(seconds=1))
        last = [
            Series(name=one.name, labels=one.labels, samples=one.samples[-1:])
            for one in self._select(query, look)
        ]
        return self._series("metric.instant", query.metric, last, window, subject)

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        chosen = [_cut(one, window) for one in self.expressions.get(promql, [])]
        return self._series("metric.expression", promql, chosen, window, subject)

    async def targets(self, matchers: Sequence[Matcher], at: datetime, subject: str) -> Evidence:
        records = [record for record in self.target_records if selects(matchers, record)]
        return self._records("metric.targets", "targets", records, at, subject)

    async def rules(self, name: str, at: datetime) -> Evidence:
        records = [record for record in self.rule_records if record["name"] == name]
        return self._records("metric.rules", name, records, at, "")

    def _select(self, query: MetricQuery, window: Window) -> list[Series]:
        name = query.metric if query.function is None else f"{query.function}:{query.metric}"
        return [
            _cut(one, window)
            for one in self.series
            if one.name == name and selects(query.matchers, one.labels)
        ]

    def _series(self, kind: str, text: str, found: list[Series], window: Window, subject: str) -> Evidence:
        found = [one for one in found if one.samples]
        if self.failure is not None or not found:
            return self._nothing(kind, text, window, subject)
        return answered(
            source=self.name, kind=kind, query=text, window=window, taken_at=NOW, summary=text,
            subject=subject, excerpt=text, series=found, reason=self.incomplete,
        )  # fmt: skip

    def _records(self, kind: str, text: str, records: list[Record], at: datetime, subject: str) -> Evidence:
        window = Window(start=at, end=at)
        if self.failure is not None or not records:
            return self._nothing(kind, text, window, subject)
        return answered(
            source=self.name, kind=kind, query=text, window=window, taken_at=NOW, summary=text,
            subject=subject, excerpt=text, records=records, reason=self.incomplete,
        )  # fmt: skip

    def _nothing(self, kind: str, text: str, window: Window, subject: str) -> Evidence:
        status = EvidenceStatus.EMPTY if self.failure is None else EvidenceStatus.FAILED
        return nothing(
            source=self.name, kind=kind, query=text, window=window, taken_at=NOW, subject=subject,
            reason=self.failure or "no such series", status=status, manual=f"promtool {text}",
        )  # fmt: skip


def _cut(one: Series, window: Window) -> Series:
    samples = tuple(sample for sample in one.samples if window.start <= sample.at <= window.end)
    return Series(name=one.name, labels=one.labels, samples=samples)


@dataclass(slots=True)
class WorldHost:
    """A host source that covers one process by its ``service`` label, with the parts a test gives it.

    A part that is None was not there to look at (failed); an empty one was looked at and empty.
    """

    name: str = "host:box"
    host: str = "box"
    process: str | None = "demo"
    process_records: list[Record] | None = None
    process_series: list[Series] = field(default_factory=list)
    resource_records: list[Record] | None = None
    disk_records: list[Record] | None = None
    port_records: list[Record] | None = None
    lines: list[LogLine] | None = None
    exit_records: list[Record] | None = None
    incomplete: str | None = None

    def covers(self, labels: Mapping[str, str]) -> HostQuery | None:
        if self.process is not None and labels.get("service") != self.process:
            return None
        return HostQuery(host=self.host, process=self.process, labels=labels)

    def command(self, part: str, query: HostQuery) -> str:
        return f"look at {part}"

    async def processes(self, query: HostQuery, window: Window) -> Evidence:
        return self._part("host.process", "processes", window, self.process_records, self.process_series)

    async def resources(self, query: HostQuery, window: Window) -> Evidence:
        return self._part("host.resources", "resources", window, self.resource_records)

    async def disks(self, query: HostQuery, window: Window) -> Evidence:
        return self._part("host.disk", "disks", window, self.disk_records)

    async def ports(self, query: HostQuery, window: Window) -> Evidence:
        return self._part("host.ports", "ports", window, self.port_records)

    async def log(self, query: HostQuery, window: Window) -> Evidence:
        return self._part(
            "log.tail", "log", window, None if self.lines is None else [], lines=self.lines or []
        )

    async def exits(self, query: HostQuery, window: Window) -> Evidence:
        return self._part("host.exits", "exits", window, self.exit_records)

    def _part(
        self,
        kind: str,
        text: str,
        window: Window,
        records: list[Record] | None,
        found: Sequence[Series] = (),
        lines: Sequence[LogLine] = (),
    ) -> Evidence:
        if not records and not lines:
            status = EvidenceStatus.FAILED if records is None else EvidenceStatus.EMPTY
            return nothing(
                source=self.name, kind=kind, query=text, window=window, taken_at=NOW, subject=self.host,
                reason=f"{text} cannot be read" if records is None else f"no {text}", status=status,
                manual=f"look at {text}",
            )  # fmt: skip
        return answered(
            source=self.name, kind=kind, query=text, window=window, taken_at=NOW, summary=text,
            subject=self.host, excerpt="\n".join(line.text for line in lines[-30:]) or text,
            records=records or [], series=found, lines=lines, reason=self.incomplete,
            outsider_writable=bool(lines),
        )  # fmt: skip
