"""Questions to the three kinds of sources as text: equal questions give equal text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from adapters.evidence.recording.codec import to_micros, window_to_json
from adapters.evidence.snapshot.promql import written
from adapters.evidence.snapshot.source import canonical
from bot.domain.evidence import Window
from investigators.ports import HostQuery, Matcher, MetricQuery
from investigators.queries import Query


def _text(method: str, *parts: object) -> str:
    return json.dumps([method, *parts], ensure_ascii=False)


def range_question(query: MetricQuery, window: Window, step: timedelta) -> str:
    return _text("range", written(query), window_to_json(window), step.total_seconds())


def instant_question(query: MetricQuery, at: datetime) -> str:
    return _text("instant", written(query), to_micros(at))


def expression_question(promql: str, window: Window, step: timedelta) -> str:
    return _text("expression", promql, window_to_json(window), step.total_seconds())


def targets_question(matchers: Sequence[Matcher], at: datetime) -> str:
    return _text("targets", [f"{m.label}{m.op.value}{m.value}" for m in matchers], to_micros(at))


def rules_question(name: str, at: datetime) -> str:
    return _text("rules", name, to_micros(at))


def host_question(part: str, query: HostQuery, window: Window) -> str:
    labels = dict(sorted(query.labels.items()))
    return _text(part, query.host, query.process, labels, window_to_json(window))


def wide_question(query: Query, window: Window) -> str:
    return _text("ask", canonical(query), window_to_json(window))


def covers_question(what: Mapping[str, str] | Query) -> str:
    labels = dict(sorted(what.items())) if isinstance(what, Mapping) else canonical(what)
    return _text("covers", labels)


def command_question(what: MetricQuery | Query | str, window: Window) -> str:
    if isinstance(what, str):
        text = what
    else:
        text = written(what) if isinstance(what, MetricQuery) else canonical(what)
    return _text("command", text, window_to_json(window))


def host_command_question(part: str, query: HostQuery) -> str:
    return _text("command", part, query.host, query.process)
