"""Typed queries as PromQL text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from adapters.evidence.quoting import LABEL, narrows, quote, terms
from investigators.ports import Matcher, MatchOp, MetricQuery

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_OVER_TIME = {
    "rate": "rate",
    "increase": "increase",
    "delta": "delta",
    "avg_over_time": "avg_over_time",
    "max_over_time": "max_over_time",
    "min_over_time": "min_over_time",
    "last": "last_over_time",
}
_AGGREGATES = frozenset({"sum", "avg", "max", "min", "count"})


def duration(span: timedelta) -> str:
    """A PromQL duration in whole seconds, or milliseconds where needed."""
    millis = round(span.total_seconds() * 1000)
    if millis <= 0:
        raise ValueError("a PromQL duration must be longer than zero")
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def selector(metric: str, matchers: tuple[Matcher, ...]) -> str:
    """``metric{label="value",…}``. Raises ValueError for a name that PromQL cannot hold."""
    parts = []
    if metric and not _METRIC.fullmatch(metric):
        parts.append(f"__name__={quote(metric)}")
    parts += terms(matchers)
    if not metric and not any(m.op is MatchOp.EQUAL and m.value for m in matchers):
        raise ValueError("a selector needs a metric name or an equality matcher")
    name = metric if _METRIC.fullmatch(metric) else ""
    return f"{name}{{{','.join(parts)}}}" if parts else name


def render(query: MetricQuery) -> str:
    """The PromQL of a typed query. Raises ValueError when it has none."""
    text = selector(query.metric, query.matchers)
    if query.function is not None:
        function = _OVER_TIME.get(query.function)
        if function is None:
            raise ValueError(f"function {query.function!r} is not one of {', '.join(_OVER_TIME)}")
        if query.over is None:
            raise ValueError(f"{query.function} needs a range")
        text = f"{function}({text}[{duration(query.over)}])"
    if query.aggregate is not None:
        if query.aggregate not in _AGGREGATES:
            raise ValueError(f"aggregate {query.aggregate!r} is not one of {', '.join(sorted(_AGGREGATES))}")
        for label in query.by:
            if not LABEL.fullmatch(label):
                raise ValueError(f"label name {label!r} cannot be written in PromQL")
        by = f" by ({', '.join(query.by)})" if query.by else ""
        text = f"{query.aggregate}{by} ({text})"
    return text


def survey_selector(matchers: tuple[Matcher, ...], names: Sequence[str] = ()) -> str:
    """Every series with these labels, of the named metrics or of all.

    Raises ValueError when no matcher narrows them down.
    """
    if not any(narrows(matcher) for matcher in matchers):
        raise ValueError("a survey needs a label with a value, such as a namespace; else it would read all")
    parts = terms(matchers)
    if names:
        pattern = "|".join(name if _METRIC.fullmatch(name) else re.escape(name) for name in names)
        parts.insert(0, f"__name__=~{quote(pattern)}")
    return f"{{{','.join(parts)}}}"
