"""A shop in trouble, sources that keep what they were asked, and an analyst over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from adapters.evidence.build import answered, nothing
from approvals.catalogue import builtin_catalogue
from bot.app.acting import offered
from bot.domain.alert import Severity
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Window, content_digest
from bot.domain.redaction import redact
from investigators.analyst.analyst import Analyst
from investigators.analyst.ports import (
    Limits,
    ModelFailure,
    OfferedAction,
    Purse,
    Reply,
    ToolCall,
    ToolSpec,
)
from investigators.ports import Case, HostSource, Investigation, MetricSource
from investigators.queries import (
    ChangeQuery,
    GraphQuery,
    LogExpressionQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    SelectQuery,
    Sources,
    SpanQuery,
    TicketQuery,
)
from investigators.registry import DeterministicInvestigator
from tests.fakes.evidence import NOW, FixedClock, WorldHost, WorldMetrics, series
from tests.fakes.model import ScriptedModel, Turn, said
from tests.investigators.test_rules import MIB, OWN, record, target
from tests.investigators.world import LABELS, alert, case

RUNBOOK = "https://wiki.example/runbooks/demo"
RESTART = offered(builtin_catalogue()["process.restart"], ("demo", "other"))
SILENCE = offered(builtin_catalogue()["alertmanager.silence"])
MEMORY_LINE = 'process_resident_memory_bytes{instance="box:8000",job="demo"} min 5e+07 max 5.2e+08'
LOG_LINE = "ERROR cache entry kept: 41233 entries, evicted 0"


@dataclass(slots=True)
class ReadableMetrics(WorldMetrics):
    """As Prometheus, its answers can be read; ``asked`` are expressions with their windows."""

    asked: list[tuple[str, Window]] = field(default_factory=list)

    async def expression(self, promql: str, window: Window, step: timedelta, subject: str) -> Evidence:
        self.asked.append((promql, window))
        return await WorldMetrics.expression(self, promql, window, step, subject)

    def _series(self, kind: str, text: str, found: Any, window: Window, subject: str) -> Evidence:
        evidence = WorldMetrics._series(self, kind, text, found, window, subject)
        lines = []
        for one in evidence.series:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
            lines.append(f"{one.name}{{{labels}}} min {min(one.values):.6g} max {max(one.values):.6g}")
        excerpt = "\n".join(lines)
        return replace(evidence, excerpt=excerpt, content_digest=content_digest(excerpt))


WIDE: frozenset[type[Query]] = frozenset(
    {
        *(ChangeQuery, GraphQuery, LogExpressionQuery, LogQuery, ObjectQuery, PastQuery, PodLogQuery),
        *(RunbookQuery, SelectQuery, SpanQuery, TicketQuery),
    }
)


@dataclass(slots=True)
class Told:
    """Answers every question with ``text``, by kind of question where ``by_kind`` has one; ``asked`` are the
    questions. It covers two hosts, of which no alert names one, and a wiki."""

    text: str = LOG_LINE
    name: str = "told"
    answers: frozenset[type[Query]] = WIDE
    by_kind: Mapping[type[Query], str] = field(default_factory=dict)
    outsider_writable: bool = True
    raises: bool = False
    machines: frozenset[str] = frozenset({"box", "elsewhere"})
    asked: list[tuple[Query, Window]] = field(default_factory=list)

    def covers(self, query: Query) -> bool:
        match query:
            case SelectQuery():
                return query.host in self.machines
            case RunbookQuery():
                return query.url.startswith("https://wiki.example/")
            case _:
                return type(query) in self.answers

    def command(self, query: Query, window: Window) -> str | None:
        return None

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        self.asked.append((query, window))
        if self.raises:
            raise RuntimeError(f"broke on {self.text}")
        text = self.by_kind.get(type(query), self.text)
        plain: dict[str, Any] = {
            "source": self.name,
            "kind": query.kind,
            "query": query.kind,
            "window": window,
            "taken_at": NOW,
            "subject": subject,
        }
        if not text:
            return nothing(**plain, reason="nothing there", status=EvidenceStatus.EMPTY)
        line = LogLine(at=NOW - timedelta(seconds=1), text=redact(text), labels={"service": "demo"})
        return answered(
            **plain,
            summary="one line",
            excerpt=text,
            lines=[line],
            outsider_writable=self.outsider_writable,
        )


@dataclass(slots=True)
class Server:
    """Another server's tools, such as one of MCP."""

    name: str = "grafana"
    said: str = "dashboard demo: panel Memory shows 520 MiB"
    description: str = "Reads a dashboard."
    asked: list[tuple[str, Mapping[str, Any], Window]] = field(default_factory=list)

    def tools(self) -> tuple[ToolSpec, ...]:
        schema = {
            "type": "object",
            "properties": {"uid": {"type": "string", "description": self.description}},
        }
        return (ToolSpec(name="get_dashboard", description=self.description, schema=schema),)

    def problem(self) -> str | None:
        return None

    async def call(self, tool: str, arguments: Mapping[str, Any], window: Window, subject: str) -> Evidence:
        self.asked.append((tool, arguments, window))
        return answered(
            source=self.name,
            kind="mcp.tool",
            query=tool,
            window=window,
            taken_at=NOW,
            summary="one answer",
            subject=subject,
            excerpt=self.said,
            outsider_writable=True,
        )


class Wallet:
    """A day's money in memory."""

    def __init__(self, usd: str = "10") -> None:
        self.left = Decimal(usd)
        self._taken: dict[str, Decimal] = {}

    async def take(self, usd: Decimal, limit: Decimal) -> str | None:
        if usd > self.left:
            return None
        self.left -= usd
        name = f"t{len(self._taken)}"
        self._taken[name] = usd
        return name

    async def give_back(self, taking: str, usd: Decimal) -> None:
        assert usd <= self._taken[taking]
        self.left += usd

    async def charge(self, usd: Decimal) -> None:
        self.left -= usd


def leaking(**host: Any) -> tuple[ReadableMetrics, WorldHost]:
    """``demo`` grows by half a gigabyte, which its own metric shows, and logs about its cache."""
    rss = [50e6 + i * 2e6 for i in range(240)]
    metrics = ReadableMetrics(
        series=[
            series("up", [1] * 20, **OWN),
            series("process_resident_memory_bytes", rss, step=15, **OWN),
        ],
        target_records=[target("up")],
        expressions={
            "process_resident_memory_bytes": [series("process_resident_memory_bytes", rss, step=15, **OWN)]
        },
    )
    lines = [LogLine(at=NOW - timedelta(seconds=n), text=LOG_LINE) for n in (9, 6, 3)]
    box = WorldHost(process_records=[record(rss_bytes=520 * MIB)], lines=lines, **host)
    return metrics, box


def quiet() -> tuple[ReadableMetrics, WorldHost]:
    """Rules find nothing that could be the cause."""
    return ReadableMetrics(failure="connection refused"), WorldHost(process=None)


@dataclass(slots=True)
class Shop:
    """Everything an investigation may ask; ``model`` is told by ``script``."""

    metrics: Sequence[MetricSource]
    hosts: Sequence[HostSource]
    told: Told = field(default_factory=Told)
    servers: Sequence[Server] = ()
    actions: Sequence[OfferedAction] = (RESTART, SILENCE)
    limits: Limits = field(default_factory=Limits)
    purse: Purse | None = None
    clock: FixedClock = field(default_factory=FixedClock)
    errors: list[Exception] = field(default_factory=list)

    @property
    def sources(self) -> Sources:
        return Sources(metrics=tuple(self.metrics), hosts=tuple(self.hosts), wide=(self.told,))

    @property
    def rules(self) -> DeterministicInvestigator:
        plan = Sources(metrics=tuple(self.metrics), hosts=tuple(self.hosts))
        return DeterministicInvestigator(plan, self.clock, timedelta(seconds=5), timedelta(hours=1))

    def analyst(self, model: ScriptedModel) -> Analyst:
        return Analyst(
            self.rules,
            model,
            self.sources,
            tuple(self.servers),
            self.actions,
            limits=self.limits,
            clock=self.clock,
            purse=self.purse,
            on_error=self.errors.append,
        )

    async def investigate(
        self, script: Callable[[Turn], Reply | ModelFailure], about: Case | None = None
    ) -> tuple[Investigation, ScriptedModel]:
        model = ScriptedModel(script)
        return await self.analyst(model).investigate(about or incident()), model


def shop(*, found: bool = True, **settings: Any) -> Shop:
    metrics, host = leaking() if found else quiet()
    return Shop(metrics=[metrics], hosts=[host], **settings)


def incident(severity: Severity = Severity.CRITICAL, **labels: str) -> Case:
    made = case(alert(labels={**LABELS, **labels}, expr="process_resident_memory_bytes > 5e8"))
    annotated = replace(made.alerts[0], annotations={"runbook_url": RUNBOOK}, severity=severity)
    return replace(made, alerts=(annotated,), incident=replace(made.incident, severity=severity))


def tool(name: str, call: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(id=call, name=name, arguments=arguments)


def answer(
    quotes: Sequence[tuple[str, str]] = (),
    *,
    status: str = "diagnosed",
    name: str = "demo",
    fault: str = "memory_growth",
    statement: str = "its cache never evicts",
    actions: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Reply:
    """The last answer, as a model that keeps to the schema writes it."""
    cause = {"object": name, "object_kind": "process", "fault": fault, "statement": statement}
    made = {
        "status": status,
        "summary": "the cache grows",
        "root_cause": cause if status == "diagnosed" else None,
        "evidence": [{"evidence_id": i, "quote": q, "finding": "it grows"} for i, q in quotes],
        "ruled_out": [],
        "missing_info": [],
        "alternatives": [],
        "actions": list(actions),
        **more,
    }
    return said(json.dumps(made))


def restart(process: str = "demo") -> Mapping[str, Any]:
    return {
        "action": "process.restart",
        "target": process,
        "params": [{"name": "process", "value": process}],
        "reason": "it frees the memory",
    }


def critic(verdict: str = "agrees", *quotes: tuple[str, str]) -> Reply:
    refuting = [{"evidence_id": i, "quote": q} for i, q in quotes]
    return said(json.dumps({"verdict": verdict, "refuting": refuting, "reason": "because"}))


def envelopes(turn: Turn) -> list[Mapping[str, Any]]:
    """Every envelope of what a turn told the model."""
    texts = [turn.text, *(result.text for result in turn.results)]
    made = []
    for line in "\n".join(texts).splitlines():
        if line.startswith("{"):
            made.append(json.loads(line))
    return made


def shown(turn: Turn, words: str) -> str:
    """The id of the evidence whose text holds these words."""
    for one in envelopes(turn):
        if words in str(one.get("untrusted_data", {})) and "evidence_id" in one:
            return str(one["evidence_id"])
    raise AssertionError(f"nothing shown holds {words!r}: {[e.get('evidence_id') for e in envelopes(turn)]}")


def is_critic(turn: Turn) -> bool:
    return "Your work is to refute" in turn.opening.system
