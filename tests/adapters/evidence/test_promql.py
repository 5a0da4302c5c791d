"""Typed queries become exactly the PromQL they mean."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.evidence.prometheus.promql import quote, render
from investigators.ports import Matcher, MatchOp, MetricQuery


def m(label: str, value: str, op: MatchOp = MatchOp.EQUAL) -> Matcher:
    return Matcher(label=label, op=op, value=value)


@pytest.mark.parametrize(
    ("query", "promql"),
    [
        (MetricQuery(metric="up"), "up"),
        (
            MetricQuery(metric="up", matchers=(m("job", "a"), m("i", "b.*", MatchOp.NOT_REGEX))),
            'up{job="a",i!~"b.*"}',
        ),
        (MetricQuery(metric="x", function="rate", over=timedelta(minutes=5)), "rate(x[300s])"),
        (
            MetricQuery(metric="x", function="last", over=timedelta(milliseconds=1500)),
            "last_over_time(x[1500ms])",
        ),
        (
            MetricQuery(
                metric="x", function="rate", over=timedelta(minutes=1), aggregate="sum", by=("a", "b")
            ),
            "sum by (a, b) (rate(x[60s]))",
        ),
        (MetricQuery(metric="x", aggregate="count"), "count (x)"),
        (MetricQuery(metric="jvm.memory", matchers=(m("a", "b"),)), '{__name__="jvm.memory",a="b"}'),
    ],
)
def test_rendering(query: MetricQuery, promql: str) -> None:
    assert render(query) == promql


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb\tc\r", '"a\\nb\\tc\\r"'),
        ("\x00\x7f", '"\\x00\\x7f"'),
        ("ü日本", '"ü日本"'),
        ("\ud800", '"\ufffd"'),
        ('"} or vector(1) #', '"\\"} or vector(1) #"'),
    ],
)
def test_a_label_value_cannot_leave_its_quotes(text: str, literal: str) -> None:
    assert quote(text) == literal


@pytest.mark.parametrize(
    "query",
    [
        MetricQuery(metric="x", function="drop_table", over=timedelta(minutes=1)),
        MetricQuery(metric="x", function="rate"),
        MetricQuery(metric="x", function="rate", over=timedelta(0)),
        MetricQuery(metric="x", aggregate="topk"),
        MetricQuery(metric="x", aggregate="sum", by=("a) or (b",)),
        MetricQuery(metric="x", matchers=(m("a-b", "c"),)),
        MetricQuery(metric=""),
    ],
)
def test_what_has_no_promql_is_refused(query: MetricQuery) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        render(query)
