"""One question to one source, ready to be asked: what it is called, and what a person can run instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from bot.domain.evidence import Evidence, Window
from investigators.plan import (
    Ask,
    CurveAsk,
    ExpressionAsk,
    HostAsk,
    HostPart,
    InstantAsk,
    MetricAsk,
    RangeAsk,
    RulesAsk,
    SameHourAsk,
    TargetsAsk,
)
from investigators.ports import HostQuery, HostSource, MetricSource
from investigators.queries import EvidenceSource, Query
from investigators.wide import WideAsk

_KINDS: dict[type[object], str] = {
    RangeAsk: "metric.range",
    InstantAsk: "metric.instant",
    ExpressionAsk: "metric.expression",
    CurveAsk: "metric.expression",
    SameHourAsk: "metric.expression",
    TargetsAsk: "metric.targets",
    RulesAsk: "metric.rules",
}
_HOST_KINDS = {
    HostPart.PROCESSES: "host.process",
    HostPart.RESOURCES: "host.resources",
    HostPart.DISKS: "host.disk",
    HostPart.PORTS: "host.ports",
    HostPart.LOG: "log.tail",
    HostPart.EXITS: "host.exits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A question on its way to one source; ``manual`` is what a person can run instead; ``in_words``: an
    answer need hold nothing but its excerpt."""

    ask: Ask | WideAsk
    source: str
    kind: str
    text: str
    window: Window
    manual: str | None
    start: Callable[[], Awaitable[Evidence]]
    query: Query | None = None
    in_words: bool = False


def metric_call(ask: MetricAsk, source: MetricSource) -> Call:
    manual: str | None = None
    start: Callable[[], Awaitable[Evidence]]
    match ask:
        case RangeAsk():
            start = partial(source.range, ask.query, ask.window, ask.step, ask.subject)
            text, window, manual = ask.query.metric, ask.window, source.command(ask.query, ask.window)
        case InstantAsk():
            window = Window(start=ask.at, end=ask.at)
            start = partial(source.instant, ask.query, ask.at, ask.subject)
            text, manual = ask.query.metric, source.command(ask.query, window)
        case ExpressionAsk() | CurveAsk() | SameHourAsk():
            start = partial(source.expression, ask.promql, ask.window, ask.step, ask.subject)
            text, window, manual = ask.promql, ask.window, source.command(ask.promql, ask.window)
        case TargetsAsk():
            window = Window(start=ask.at, end=ask.at)
            start, text = partial(source.targets, ask.matchers, ask.at, ask.subject), "targets"
        case RulesAsk():
            window = Window(start=ask.at, end=ask.at)
            start, text = partial(source.rules, ask.name, ask.at), f"rules{{{ask.name}}}"
    return Call(
        ask=ask,
        source=source.name,
        kind=_KINDS[type(ask)],
        text=text,
        window=window,
        manual=manual,
        start=start,
    )


def host_call(ask: HostAsk, source: HostSource, query: HostQuery) -> Call:
    part = ask.part.value
    methods = {
        HostPart.PROCESSES: source.processes,
        HostPart.RESOURCES: source.resources,
        HostPart.DISKS: source.disks,
        HostPart.PORTS: source.ports,
        HostPart.LOG: source.log,
        HostPart.EXITS: source.exits,
    }
    return Call(
        ask=ask,
        source=source.name,
        kind=_HOST_KINDS[ask.part],
        text=f"{part} of {query.process or query.host}",
        window=ask.window,
        manual=source.command(part, query),
        start=partial(methods[ask.part], query, ask.window),
    )


def wide_call(ask: WideAsk, source: EvidenceSource) -> Call | None:
    """The first width that the source covers; None when the question is not for it."""
    for query in ask.choices:
        if type(query) in source.answers and source.covers(query):
            return Call(
                ask=ask,
                source=source.name,
                kind=query.kind,
                text=str(query),
                window=ask.window,
                manual=source.command(query, ask.window),
                start=partial(source.ask, query, ask.window, ask.subject),
                query=query,
            )
    return None
