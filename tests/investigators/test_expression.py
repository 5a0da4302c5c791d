"""Reading an alert's own PromQL without a PromQL parser, and only as far as that is safe."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investigators.expression import alert_expression, split_threshold
from tests.investigators.world import alert


@pytest.mark.parametrize(
    ("promql", "quantity", "operator", "limit"),
    [
        ("up == 0", "up", "==", 0.0),
        (
            'process_resident_memory_bytes{job="a>b"} > 2e8',
            'process_resident_memory_bytes{job="a>b"}',
            ">",
            2e8,
        ),
        ("rate(x[5m]) >= bool 0.5", "rate(x[5m])", ">=", 0.5),
        ("(a or b) < 3", "(a or b)", "<", 3.0),
        ("sum by (job) (x) != -1", "sum by (job) (x)", "!=", -1.0),
        ("node_load1>.5", "node_load1", ">", 0.5),
    ],
)
def test_a_simple_comparison_splits(promql: str, quantity: str, operator: str, limit: float) -> None:
    threshold = split_threshold(promql)
    assert threshold is not None
    assert (threshold.quantity, threshold.operator, threshold.limit) == (quantity, operator, limit)


@pytest.mark.parametrize(
    "promql",
    [
        "up",
        "a > b",
        "a > 1 and b > 2",
        "a > 1 unless b",
        "1 < a > 3",
        "absent(up)",
        "a > 5m",
        "",
        "> 5",
        'x{l="unclosed > 5',
    ],
)
def test_anything_more_complicated_is_left_alone(promql: str) -> None:
    assert split_threshold(promql) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_splitter(text: str) -> None:
    threshold = split_threshold(text)
    assert threshold is None or threshold.quantity in text


def test_a_word_that_contains_an_operator_is_no_operator() -> None:
    threshold = split_threshold("operand_total > 1")
    assert threshold is not None
    assert threshold.quantity == "operand_total"


@pytest.mark.parametrize(
    ("promql", "metric"),
    [
        ("up == 0", "up"),
        ('m{a="b"} > 1', "m"),
        ("rate(m[1m]) > 1", None),
        ("a{} + b{} > 1", None),
        ("a + b > 1", None),
    ],
)
def test_a_plain_metric_is_recognised(promql: str, metric: str | None) -> None:
    threshold = split_threshold(promql)
    assert threshold is not None
    assert threshold.plain_metric == metric


def test_the_expression_comes_from_the_generator_link() -> None:
    assert alert_expression(alert(expr='up{job="a b+c"} == 0')) == 'up{job="a b+c"} == 0'
    assert alert_expression(alert()) is None


@pytest.mark.parametrize(
    "link", ["http://[broken/graph?g0.expr=up", "http://p/graph?g0.expr=", "x" * 9, "?" + "a&" * 99]
)
def test_a_link_that_is_none_is_no_expression(link: str) -> None:
    assert alert_expression(replace(alert(), links={"generator": link})) is None


def test_an_endless_expression_is_not_sent_back_to_the_server() -> None:
    assert alert_expression(alert(expr="up + " * 2000 + "up")) is None
