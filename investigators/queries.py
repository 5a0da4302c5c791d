"""Typed questions that a whole world can be asked, and the one port that answers them.

A source declares which questions it answers. The same question may go to a live system or to a recording
of one, and the rules cannot tell the difference. Metric and host questions about one object are methods of
the ports in :mod:`investigators.ports`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Protocol

from bot.domain.evidence import Evidence, Window
from investigators.ports import HostSource, Matcher, MetricSource

SECURITY_MARKS = ('"syscheck"', '"event_type":"alert"', '"event_type": "alert"')
"""What lines of intrusion detection (Wazuh, Suricata) hold, and hardly any others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyQuery:
    """Every series with these labels, raw or at ``step`` where the source holds denser ones.

    ``healthy`` asks for a time in which all was well: a source that keeps one apart (a snapshot's baseline)
    answers from it and says in the evidence's window when that was; any other answers for the window asked.
    Answer: ``Evidence.series``.
    """

    kind: ClassVar[str] = "metric.survey"
    matchers: tuple[Matcher, ...] = ()
    step: timedelta = timedelta(seconds=15)
    healthy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Log lines whose labels match, of the last ``limit`` in the window. Known labels are service, pod,
    namespace, node and level; ``contains`` asks for lines with one of these texts (any case). ``healthy`` as
    in :class:`SurveyQuery`. Answer: ``Evidence.lines``, oldest first, with those labels on each."""

    kind: ClassVar[str] = "log.lines"
    matchers: tuple[Matcher, ...] = ()
    contains: tuple[str, ...] = ()
    limit: int = 5_000
    healthy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogExpressionQuery:
    """A question in the log store's own language, such as LogQL, as somebody wrote it; a source refuses what
    is longer than 2,000 characters or asks for numbers instead of lines. Answer: ``Evidence.lines`` of the
    last ``limit`` in the window, as for :class:`LogQuery`."""

    kind: ClassVar[str] = "log.expression"
    expression: str
    limit: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectQuery:
    """Every Kubernetes object of one kind, in one namespace or (None) in all.

    ``object_kind`` is the singular name, such as ``Pod``, ``Event`` or ``NetworkPolicy``. Answer:
    ``Evidence.objects`` as the API prints them, each with ``kind`` and ``apiVersion``; of a Secret or
    ConfigMap only metadata and the names of its keys (``data: {key: ""}``).
    """

    kind: ClassVar[str] = "kubernetes.objects"
    object_kind: str
    namespace: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLogQuery:
    """The end of one container's log; ``previous`` of the run before the last restart; container None: the
    pod's only one, or each. Answer: ``Evidence.lines`` with labels namespace, pod, container."""

    kind: ClassVar[str] = "kubernetes.log"
    namespace: str
    pod: str
    container: str | None = None
    previous: bool = False
    tail: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanQuery:
    """Spans of whole traces in which one of the services takes part, or (empty) of any. ``healthy`` as in
    :class:`SurveyQuery`. Answer: ``Evidence.spans``."""

    kind: ClassVar[str] = "trace.spans"
    services: tuple[str, ...] = ()
    limit: int = 20_000
    healthy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeQuery:
    """What was changed, for these services or (empty) all. Answer: ``Evidence.changes``, oldest first."""

    kind: ClassVar[str] = "change.list"
    services: tuple[str, ...] = ()
    limit: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQuery:
    """The declared or observed service graph. Answer: ``Evidence.records`` {from, to, kind: calls | runs_on
    | uses | routes_to, from_kind, to_kind: service | pod | node | datastore | queue | external, origin,
    seen_at: epoch seconds or None, declared?: true where a person wrote it down}; a node without edges is
    {from, from_kind, to: None}, of one whose owner is declared with team and owner."""

    kind: ClassVar[str] = "topology.graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """Every row of one osquery table on one host. Answer: ``Evidence.records``."""

    kind: ClassVar[str] = "osquery.table"
    host: str
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectQuery:
    """A single read-only SELECT on one host; a source refuses what is more than that or outside its tables.
    Answer: ``Evidence.records``."""

    kind: ClassVar[str] = "osquery.select"
    host: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookQuery:
    """The text behind a runbook address. Answer: ``Evidence.lines`` without times; the record {format:
    html} where that is the text of a web page."""

    kind: ClassVar[str] = "runbook.text"
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketQuery:
    """Recent tickets about a service. Answer: ``Evidence.records`` {key, summary, status, created, updated,
    url}."""

    kind: ClassVar[str] = "ticket.list"
    service: str
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PastQuery:
    """Past incidents, newest first, for the similarity search; only those good enough to learn from.

    Answer: ``Evidence.objects`` {id, short_id, service, environment, title, alert_names: [], facts:
    [[kind, subject_kind, role]], cause: {object, object_kind, fault}, root_cause, resolution, opened_at,
    resolved_at (RFC 3339), quality}.
    """

    kind: ClassVar[str] = "incident.past"
    limit: int = 500


Query = (
    SurveyQuery
    | LogQuery
    | LogExpressionQuery
    | ObjectQuery
    | PodLogQuery
    | SpanQuery
    | ChangeQuery
    | GraphQuery
    | TableQuery
    | SelectQuery
    | RunbookQuery
    | TicketQuery
    | PastQuery
)


class EvidenceSource(Protocol):
    """A system that answers typed questions. Read-only, bounded in time and size, redacted.

    A failure is evidence with status ``failed`` and a reason, never an exception and never an empty answer;
    an answer that is usable but incomplete carries a ``reason``, and rules never conclude ``absent`` from it.
    """

    name: str
    answers: frozenset[type[Query]]

    def command(self, query: Query, window: Window) -> str | None:
        """The command with which a person asks the same; holds no credential. None where there is none."""
        ...

    def covers(self, query: Query) -> bool:
        """Whether this source is the one to ask: it answers the type, and the host, URL or cluster is its
        own. A source that does not cover a query is not asked, and that is no gap."""
        ...

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The answer, of kind ``query.kind``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything one investigation may ask, in the order in which it is asked."""

    metrics: tuple[MetricSource, ...] = ()
    hosts: tuple[HostSource, ...] = ()
    wide: tuple[EvidenceSource, ...] = ()
