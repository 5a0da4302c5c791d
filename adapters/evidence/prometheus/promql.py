"""Typed queries as PromQL text.

Quoting follows https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals: double
quotes with Go escapes. Everything that came from a label goes through :func:`quote`.
"""

from __future__ import annotations

import re
from datetime import timedelta

from investigators.ports import Matcher, MatchOp, MetricQuery

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
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
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """A PromQL string literal that means exactly ``text``.

    Lone surrogates cannot be sent as UTF-8 and become U+FFFD, which then matches nothing.
    """
    out = []
    for character in text:
        if character in _SHORT:
            out.append(_SHORT[character])
        elif ord(character) < 0x20 or ord(character) == 0x7F:
            out.append(f"\\x{ord(character):02x}")
        elif 0xD800 <= ord(character) <= 0xDFFF:
            out.append("\ufffd")
        else:
            out.append(character)
    return f'"{"".join(out)}"'


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
    for matcher in matchers:
        if not _LABEL.fullmatch(matcher.label):
            raise ValueError(f"label name {matcher.label!r} cannot be written in PromQL")
        parts.append(f"{matcher.label}{matcher.op.value}{quote(matcher.value)}")
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
            if not _LABEL.fullmatch(label):
                raise ValueError(f"label name {label!r} cannot be written in PromQL")
        by = f" by ({', '.join(query.by)})" if query.by else ""
        text = f"{query.aggregate}{by} ({text})"
    return text
