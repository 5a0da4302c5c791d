"""The read-only tools that these sources make possible: each a typed question with bounds of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bot.domain.errors import InputError
from bot.domain.evidence import Window
from investigators.analyst.arguments import Argument, Flag, Text, Texts, Whole, schema_of
from investigators.analyst.machines import machines_of
from investigators.analyst.ports import ToolSpec
from investigators.analyst.promql import fabricates, refuse_beyond
from investigators.calls import Call, host_call, metric_call, wide_call
from investigators.entities import bare_host, subjects_of
from investigators.plan import ExpressionAsk, HostAsk, HostPart
from investigators.ports import Case, HostQuery, HostSource, Matcher, MatchOp
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
from investigators.wide import WideAsk

DAY_MINUTES = 24 * 60
_POINTS = 120
_SOURCES = 4
"""Of one call: sources that answer the same kind of question."""

Build = Callable[[Mapping[str, Any]], list[Call]]
_WINDOW: Mapping[str, Argument] = {
    "minutes_before": Whole(
        description="Begin so many minutes before the alert did.", minimum=1, maximum=DAY_MINUTES, default=30
    ),
    "minutes_after": Whole(
        description="End so many minutes after the alert began; until now if absent.",
        minimum=0,
        maximum=DAY_MINUTES,
    ),
}
_SERVICES = Texts(description="Names of services.", each=Text(description="A service's name."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """``build`` makes the questions of a call with checked arguments and may read files; raises InputError.

    ``shapes`` tells whether the caller can make the answer hold words or numbers of its own: then it proves
    no more than text that an outsider wrote.
    """

    spec: ToolSpec
    arguments: Mapping[str, Argument]
    build: Build
    shapes: Callable[[Mapping[str, Any]], bool] = lambda _: False


def window_of(case: Case, arguments: Mapping[str, Any]) -> Window:
    """Never more than a day before now, never after it."""
    onset = min((alert.starts_at for alert in case.alerts), default=case.now)
    onset = min(onset, case.now - timedelta(seconds=1))
    start = onset - timedelta(minutes=arguments.get("minutes_before", 30))
    start = max(start, case.now - timedelta(minutes=DAY_MINUTES))
    end = case.now
    after = arguments.get("minutes_after")
    if after is not None:
        end = min(case.now, onset + timedelta(minutes=after))
    return Window(start=start, end=end if end > start else case.now)


def tools_of(case: Case, sources: Sources, machines: frozenset[str] = frozenset()) -> tuple[Tool, ...]:
    """Only what some source can answer; sorted by name. ``machines`` may be looked into beside those that the
    alerts name."""
    subject = subject_of(case, sources)
    made = [*_metrics(case, sources, subject), *_hosts(case, sources.hosts, subject)]
    answered = frozenset(kind for source in sources.wide for kind in source.answers)
    made += [tool for kind, tool in _wide(case, sources, subject, machines) if kind in answered]
    return tuple(sorted(made, key=lambda tool: tool.spec.name))


def subject_of(case: Case, sources: Sources) -> str:
    """What the incident is about, by the name that the rules give it."""
    found = subjects_of(case, sources.hosts, 1)
    return found[0] if found else case.incident.service or "the incident"


def _tool(name: str, description: str, arguments: Mapping[str, Argument], build: Build, **more: Any) -> Tool:
    spec = ToolSpec(name=name, description=description, schema=schema_of(arguments))
    return Tool(spec=spec, arguments=arguments, build=build, **more)


def _metrics(case: Case, sources: Sources, subject: str) -> list[Tool]:
    if not sources.metrics:
        return []
    promql = Text(description="One PromQL expression.", longest=1_000, pattern=None, required=True)

    def ask(arguments: Mapping[str, Any], *, at_once: bool) -> list[Call]:
        refuse_beyond(arguments["promql"], timedelta(minutes=DAY_MINUTES))
        window = window_of(case, arguments)
        if at_once:
            window = Window(start=window.end - timedelta(minutes=1), end=window.end)
        step = timedelta(seconds=max(15, round(window.length.total_seconds() / _POINTS)))
        question = ExpressionAsk(
            promql=arguments["promql"], window=window, step=step, subject=subject, bare=False
        )
        return [metric_call(question, source) for source in sources.metrics[:_SOURCES]]

    def shapes(arguments: Mapping[str, Any]) -> bool:
        return fabricates(arguments["promql"])

    return [
        _tool(
            "metrics_instant",
            "The value of a PromQL expression at one moment. Plain selectors, rates and sums prove more than "
            "arithmetic, which is counted as your own words.",
            {"promql": promql, "minutes_after": _WINDOW["minutes_after"]},
            partial(ask, at_once=True),
            shapes=shapes,
        ),
        _tool(
            "metrics_range",
            "A PromQL expression over a window around the alert. Plain selectors, rates and sums prove more "
            "than arithmetic, which is counted as your own words.",
            {"promql": promql, **_WINDOW},
            partial(ask, at_once=False),
            shapes=shapes,
        ),
    ]


def _hosts(case: Case, hosts: Sequence[HostSource], subject: str) -> list[Tool]:
    covered: list[tuple[HostSource, HostQuery]] = []
    for source in hosts:
        query = next((q for alert in case.alerts if (q := source.covers(alert.labels)) is not None), None)
        if query is not None:
            covered.append((source, query))
    if not covered:
        return []

    def ask(arguments: Mapping[str, Any]) -> list[Call]:
        question = HostAsk(
            part=HostPart(arguments["part"]), window=window_of(case, arguments), subject=subject
        )
        return [host_call(question, source, query) for source, query in covered[:_SOURCES]]

    part = Text(
        description="What to look at.",
        choices=tuple(part.value for part in HostPart),
        required=True,
    )
    return [
        _tool("host_read", "The alert's own machine, seen from inside now.", {"part": part, **_WINDOW}, ask)
    ]


def _wide(
    case: Case, sources: Sources, subject: str, machines: frozenset[str]
) -> list[tuple[type[Query], Tool]]:
    def asking(make: Callable[[Mapping[str, Any]], Query]) -> Build:
        def ask(arguments: Mapping[str, Any]) -> list[Call]:
            query = make(arguments)
            question = WideAsk(choices=(query,), window=window_of(case, arguments), subject=subject)
            calls = [call for source in sources.wide if (call := wide_call(question, source)) is not None]
            return calls[:_SOURCES]

        return ask

    def tool(
        kind: type[Query],
        name: str,
        description: str,
        arguments: Mapping[str, Argument],
        make: Callable[[Mapping[str, Any]], Query],
        **more: Any,
    ) -> tuple[type[Query], Tool]:
        return kind, _tool(name, description, arguments, asking(make), **more)

    lines = Whole(description="The last so many lines.", minimum=1, maximum=500, default=100)
    name = Text(description="Its name.")
    needed = Text(description="Its name.", required=True)
    return [
        tool(
            ChangeQuery,
            "change_list",
            "What was deployed, committed or configured, for these services or all.",
            {"services": _SERVICES, **_WINDOW},
            lambda a: ChangeQuery(services=a.get("services", ()), limit=200),
        ),
        tool(
            ObjectQuery,
            "kubernetes_objects",
            "Kubernetes objects of one kind, such as Pod, Event, Deployment, Node or NetworkPolicy.",
            {
                "kind": Text(
                    description="The kind, in the singular.",
                    longest=60,
                    pattern=r"[A-Z][A-Za-z]+",
                    required=True,
                ),
                "namespace": name,
                "name": name,
            },
            lambda a: ObjectQuery(object_kind=a["kind"], namespace=a.get("namespace"), name=a.get("name")),
        ),
        tool(
            PodLogQuery,
            "kubernetes_pod_log",
            "The end of a pod's log; previous: of the run before the last restart.",
            {
                "namespace": needed,
                "pod": needed,
                "container": name,
                "previous": Flag(description="Of the run before."),
                "lines": lines,
                **_WINDOW,
            },
            lambda a: PodLogQuery(
                namespace=a["namespace"],
                pod=a["pod"],
                container=a.get("container"),
                previous=a.get("previous", False),
                tail=a["lines"],
            ),
        ),
        tool(
            LogExpressionQuery,
            "logs_expression",
            "Log lines by a LogQL expression that begins with a stream selector.",
            {
                "expression": Text(description="The LogQL.", longest=1_000, pattern=None, required=True),
                "lines": lines,
                **_WINDOW,
            },
            lambda a: LogExpressionQuery(expression=a["expression"], limit=a["lines"]),
            shapes=lambda _: True,
        ),
        tool(
            LogQuery,
            "logs_search",
            "Log lines with these labels that hold one of these texts (any case). Name a service, pod, "
            "namespace or node.",
            {
                **dict.fromkeys(("service", "pod", "namespace", "node", "level"), name),
                "contains": Texts(
                    description="Texts to look for.",
                    each=Text(description="A text.", longest=200, pattern=None),
                ),
                "lines": lines,
                **_WINDOW,
            },
            _log_query,
        ),
        tool(
            SelectQuery,
            "osquery_select",
            "One read-only SELECT on the osquery tables of a host that the incident is about.",
            {
                "host": Text(description="The host's name.", required=True),
                "sql": Text(description="The SELECT.", longest=1_000, pattern=None, required=True),
            },
            partial(_select_query, machines | machines_of(case, sources.hosts)),
            shapes=lambda _: True,
        ),
        tool(
            PastQuery,
            "past_incidents",
            "Incidents of before, newest first: no proof, but where to look.",
            {"limit": Whole(description="How many.", minimum=1, maximum=50, default=20)},
            lambda a: PastQuery(limit=a["limit"]),
        ),
        tool(
            RunbookQuery,
            "runbook_read",
            "The text of a runbook that the alert or its route names.",
            {"url": Text(description="Its address.", longest=500, pattern=r"https?://\S+", required=True)},
            partial(_runbook_query, _runbooks(case)),
        ),
        tool(
            GraphQuery,
            "service_graph",
            "Which service calls which, and what they run on.",
            {},
            lambda a: GraphQuery(),
        ),
        tool(
            TicketQuery,
            "ticket_list",
            "Recent tickets about a service: no proof, but what people know.",
            {"service": needed},
            lambda a: TicketQuery(service=a["service"]),
        ),
        tool(
            SpanQuery,
            "trace_spans",
            "Spans of traces in which one of these services takes part.",
            {"services": _SERVICES, **_WINDOW},
            lambda a: SpanQuery(services=a.get("services", ()), limit=2_000),
        ),
    ]


def _select_query(machines: frozenset[str], arguments: Mapping[str, Any]) -> SelectQuery:
    host = bare_host(arguments["host"])
    if host.lower() not in machines:
        raise InputError("host must be one that the alerts name, or that the service graph puts beside those")
    return SelectQuery(host=host, sql=arguments["sql"])


def _log_query(arguments: Mapping[str, Any]) -> LogQuery:
    matchers = tuple(
        Matcher(label=label, op=MatchOp.EQUAL, value=arguments[label])
        for label in ("service", "pod", "namespace", "node", "level")
        if label in arguments
    )
    return LogQuery(matchers=matchers, contains=arguments.get("contains", ()), limit=arguments["lines"])


def _runbooks(case: Case) -> frozenset[str]:
    """The addresses that the operator's routes and alerts name."""
    urls = {case.incident.route.runbook_url}
    for alert in case.alerts:
        urls |= {alert.links.get("runbook"), alert.annotations.get("runbook_url")}
    return frozenset(url for url in urls if url)


def _runbook_query(known: frozenset[str], arguments: Mapping[str, Any]) -> RunbookQuery:
    """Another address than those named must be a source's own, and plain: what follows a ``?`` could carry
    words away."""
    url: str = arguments["url"]
    if url not in known:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise InputError("url is no address") from None
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise InputError("url must be one that the alert names, or have no query and no fragment")
    return RunbookQuery(url=url)
