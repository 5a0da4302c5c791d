"""What an investigation is asked, what it answers, and the sources it may read.

Sources answer typed queries, not free text, so that a recorded world can answer the same queries as a
live one and the rules cannot tell the difference. Every source method returns evidence: a failure is
``EvidenceStatus.FAILED`` with a reason, never an exception and never an empty answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bot.domain.alert import Alert
from bot.domain.diagnosis import Citation, Cost, Diagnosis, ModelNote, SuggestedAction
from bot.domain.evidence import Evidence, Window
from bot.domain.graph import Edge
from bot.domain.incident import Incident
from bot.domain.past import PastIncident, Recurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question to the investigators: this incident, its current alerts, at this moment, and how often its
    service has been in trouble."""

    incident: Incident
    alerts: tuple[Alert, ...]
    run: int
    now: datetime
    recurrence: Recurrence = field(default_factory=Recurrence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """The answer: the evidence that was taken, the diagnosis that cites it, and which edges of the service
    graph it showed that are worth keeping."""

    evidence: tuple[Evidence, ...]
    diagnosis: Diagnosis
    edges: tuple[Edge, ...] = ()


class Investigator(Protocol):
    async def investigate(self, case: Case) -> Investigation:
        """Never raises for a failing source: that is a gap in the diagnosis."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An earlier question about the same incident and what was answered."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A follow-up question, redacted, with what is known: ``evidence`` is that of the run of ``diagnosis``,
    ``earlier`` are oldest first. ``text`` is a person's and nobody checked it: data, like a log line."""

    case: Case
    text: str
    evidence: tuple[Evidence, ...]
    diagnosis: Diagnosis | None
    earlier: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """``text`` is in lines; ``citations`` name evidence of the question or of ``evidence``, which is what was
    taken anew. ``suggestion`` proposes nothing by itself. ``note`` is None where no model is configured."""

    text: str
    citations: tuple[Citation, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    suggestion: SuggestedAction | None = None
    note: ModelNote | None = None
    cost: Cost = field(default_factory=lambda: Cost(seconds=0.0))


class Answerer(Protocol):
    async def answer(self, question: Question) -> Answered:
        """Never raises for a failing source or model: the answer says so."""
        ...


class MatchOp(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One label matcher of a selector; regular expressions are anchored at both ends (RE2 subset)."""

    label: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricQuery:
    """``aggregate by (by) (function(metric{matchers}[over]))``; either part may be missing.

    ``function`` is one of rate, increase, delta, avg_over_time, max_over_time, min_over_time, last;
    ``aggregate`` one of sum, avg, max, min, count.
    """

    metric: str
    matchers: tuple[Matcher, ...] = ()
    function: str | None = None
    over: timedelta | None = None
    aggregate: str | None = None
    by: tuple[str, ...] = ()


class MetricSource(Protocol):
    """Prometheus, VictoriaMetrics, or a recording of one."""

    name: str

    def command(self, query: MetricQuery | str, window: Window) -> str:
        """The command with which a person asks the same; holds no credential."""
        ...

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        """Series over a window, as ``Evidence.series``; kind ``metric.range``."""
        ...

    async def instant(self, query: MetricQuery, at: datetime, subject: str) -> Evidence:
        """One sample per series; kind ``metric.instant``."""
        ...

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        """The alert's own expression over the window; kind ``metric.expression``."""
        ...

    async def targets(self, matchers: Sequence[Matcher], at: datetime, subject: str) -> Evidence:
        """Scrape targets and their health as ``Evidence.records`` {job, instance, health, last_error,
        last_scrape}; kind ``metric.targets``."""
        ...

    async def rules(self, name: str, at: datetime) -> Evidence:
        """Alerting rules of this name as records {name, query, duration_s, state, health, last_error};
        kind ``metric.rules``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostQuery:
    """Which part of a host: a declared process, or everything when ``process`` is None."""

    host: str
    process: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class HostSource(Protocol):
    """One machine seen from inside: psutil, ``/proc`` and log files.

    An answer that is usable but incomplete (cut at a cap, partly unreadable) carries a ``reason``;
    rules never conclude ``absent`` from it. The same holds for metric sources.
    """

    name: str

    def covers(self, labels: Mapping[str, str]) -> HostQuery | None:
        """The query for an alert with these labels; None when the alert is about another machine."""
        ...

    def command(self, part: str, query: HostQuery) -> str:
        """The command with which a person on that machine sees the same; ``part`` is a method's name."""
        ...

    async def processes(self, query: HostQuery, window: Window) -> Evidence:
        """Records {name, pid, started_at, rss_bytes, cpu_percent, threads, open_files, status}; kind
        ``host.process``.

        ``started_at`` is epoch seconds, ``cpu_percent`` 100 per core over a fraction of a second, ``status``
        the state of the process or ``not_running`` (then ``pid`` is the one it had). For a declared process
        ``series`` holds its ``process_resident_memory_bytes`` over the second or so of looking."""
        ...

    async def resources(self, query: HostQuery, window: Window) -> Evidence:
        """One record {cpu_percent, cpu_count, load1, load5, load15, memory_total_bytes,
        memory_available_bytes, swap_used_percent, boot_at, and <cpu|memory|io>_pressure_avg10 where the
        kernel has it}; kind ``host.resources``."""
        ...

    async def disks(self, query: HostQuery, window: Window) -> Evidence:
        """Records {mount, total_bytes, free_bytes, used_percent, inodes_used_percent}; kind ``host.disk``."""
        ...

    async def ports(self, query: HostQuery, window: Window) -> Evidence:
        """Records {port, address, pid, process}; kind ``host.ports``."""
        ...

    async def log(self, query: HostQuery, window: Window) -> Evidence:
        """The tail of the process's log that lies in the window, as ``Evidence.lines``; kind ``log.tail``."""
        ...

    async def exits(self, query: HostQuery, window: Window) -> Evidence:
        """Records {name, pid, exit_code, signal, at} where a supervisor recorded them, ``at`` in epoch
        seconds, ``signal`` a number or None; kind ``host.exits``."""
        ...


class PastMemory(Protocol):
    """What is kept of incidents that are over."""

    async def past_incidents(self, limit: int, before: datetime) -> Sequence[PastIncident]:
        """Those resolved before then that others may learn from, newest first. An incident that was opened
        again is not over. Raises Unavailable, or IntegrityError for a row that cannot be read."""
        ...


class KnownEdges(Protocol):
    """What is kept of the service graph."""

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        """The declared edges, then those seen after then, newest first. Raises Unavailable."""
        ...
