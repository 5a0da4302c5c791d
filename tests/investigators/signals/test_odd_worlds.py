"""Whatever a world looks like, comparing ends, never raises, and says the same of the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import isfinite
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.evidence import Evidence, Fact, LogLine, Sample, Series, TraceSpan, Window
from investigators.entities import entities_of
from investigators.gathering import Answer
from investigators.hypotheses import Candidate
from investigators.pack import Pack
from investigators.queries import GraphQuery, LogQuery, Query, SpanQuery, SurveyQuery
from investigators.registry import Rules, judge
from investigators.signals.locate import Located, locate
from investigators.wide import WideAsk
from investigators.world.building import build_world
from tests.investigators.signals.build import HOUR, NOW, ONSET, evidence, series, told, world
from tests.investigators.world import case

_SERVICES = st.sampled_from(["front", "cart", "db", "api.example.com:443", ""])
_METRICS = st.sampled_from(
    [
        "latency_p99",
        "availability",
        "http_errors",
        "requests_total",
        "latency_sum",
        "latency_count",
        "cpu",
        "",
    ]
)
_SECONDS = st.one_of(st.integers(-3600, 300), st.floats(-3600, 300, allow_nan=False))
_NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, 1.7e308]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 100).map(float),
)
_IDS = st.sampled_from(["1", "2", "3", "4"])
_DURATIONS = st.one_of(st.sampled_from([0.0, -5.0, 1e300]), st.floats(0, 1e5, allow_nan=False))


@st.composite
def _series(draw: st.DrawFn) -> Series:
    labels = {"service": draw(_SERVICES)}
    if draw(st.booleans()):
        labels["code"] = draw(st.sampled_from(["200", "500", "", "x"]))
    if draw(st.booleans()):
        labels["pod"] = draw(st.sampled_from(["cart-1", "cart-2"]))
    if draw(st.booleans()):
        # What most often is in a world: a value a minute.
        before = draw(st.lists(_NUMBERS, min_size=1, max_size=3)) * draw(st.integers(1, 20))
        values = before + draw(st.lists(_NUMBERS, max_size=5))
        times = [float(60 * (i - len(before))) for i in range(len(values))]
    else:
        values = draw(st.lists(_NUMBERS, max_size=8))
        times = sorted(draw(st.lists(_SECONDS, min_size=len(values), max_size=len(values))))
    samples = tuple(
        Sample(at=ONSET + timedelta(seconds=t), value=v) for t, v in zip(times, values, strict=True)
    )
    return Series(name=draw(_METRICS), labels=labels, samples=samples)


@st.composite
def _span(draw: st.DrawFn) -> TraceSpan:
    return TraceSpan(
        trace_id=draw(st.sampled_from(["a", "b", ""])),
        span_id=draw(_IDS),
        parent_id=draw(st.one_of(st.none(), _IDS, st.just("missing"))),
        service=draw(_SERVICES),
        operation=draw(st.sampled_from(["GET", "Error.handle", ""])),
        kind=draw(st.sampled_from(["client", "server", ""])),
        start=ONSET + timedelta(seconds=draw(_SECONDS)),
        duration_ms=draw(_DURATIONS),
        error=draw(st.booleans()),
        peer=draw(st.one_of(st.just(""), _SERVICES)),
    )


@st.composite
def _line(draw: st.DrawFn) -> LogLine:
    return LogLine(
        at=draw(st.one_of(st.none(), _SECONDS.map(lambda s: ONSET + timedelta(seconds=s)))),
        text=draw(st.sampled_from(["", "request 17 done", "ERROR no space", "{}", "((((", "a\x00b"])),
        labels={
            "service": draw(_SERVICES),
            "level": draw(st.sampled_from(["", "info", "ERROR", "warn"])),
            "span_id": draw(st.one_of(st.just(""), _IDS)),
        },
    )


_EDGES = st.lists(st.tuples(_SERVICES, _SERVICES), max_size=8)
Answers = list[tuple[Query, Evidence]]


def _repeated(items: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """Lists in which the same may come several times, enough times to be judged."""
    return st.tuples(st.lists(items, max_size=most), st.integers(1, 4)).map(lambda p: tuple(p[0] * p[1]))


@st.composite
def _answers(draw: st.DrawFn) -> Answers:
    found: Answers = []
    for healthy in (False, True):
        found += [
            _answer(SurveyQuery(healthy=healthy), series=draw(_repeated(_series(), 6))),
            _answer(SpanQuery(healthy=healthy), spans=draw(_repeated(_span(), 12))),
            _answer(LogQuery(healthy=healthy), lines=draw(_repeated(_line(), 12))),
        ]
    records = tuple({"from": a, "to": b, "kind": "calls"} for a, b in draw(_EDGES))
    found.append(_answer(GraphQuery(), records=records))
    return [one for one in found if one[1].filled]


def _answer(query: Query, **content: Any) -> tuple[Query, Evidence]:
    healthy = getattr(query, "healthy", False)
    return query, evidence(query, source=f"world{'-before' if healthy else ''}", **content)


def _located(answers: Sequence[tuple[Query, Evidence]]) -> Located:
    return locate(build_world(NOW, ONSET, (told(service="front"),), (), answers))


_BROADLY = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@_BROADLY
@given(_answers())
def test_locating_never_raises_and_is_the_same_each_time(answers: Answers) -> None:
    first, again = _located(answers), _located(answers)
    assert first == again
    assert list(first.weights) == list(again.weights)
    assert all(isfinite(weight) and weight >= 0 for weight in first.weights.values())
    assert all(0 <= fact.confidence <= 1 for fact in first.facts)


@_BROADLY
@given(_answers(), st.randoms(use_true_random=False))
def test_the_order_of_the_answers_does_not_matter(answers: Answers, random: Any) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)
    first, other = _located(answers), _located(shuffled)
    assert first.weights == other.weights
    assert _said(first.facts) == _said(other.facts)


def _said(facts: Sequence[Fact]) -> list[tuple[str, str, float]]:
    return [(fact.subject, fact.kind, fact.confidence) for fact in facts]


def _pack(answers: Answers) -> Pack:
    alert = told(service="front")
    one = case(alert, now=NOW)
    entities, _ = entities_of(one, ())
    window = Window(start=HOUR.start, end=HOUR.end)
    return Pack(
        case=one,
        entities=entities,
        answers=tuple(
            Answer(ask=WideAsk(choices=(query,), window=window, subject="front"), evidence=item, query=query)
            for query, item in answers
        ),
    )


def _standing(candidates: Sequence[Candidate]) -> list[tuple[str, str, float]]:
    return [(one.hypothesis.object, one.hypothesis.fault, one.hypothesis.score) for one in candidates]


@_BROADLY
@given(_answers())
def test_judging_never_raises_and_is_the_same_each_time(answers: Answers) -> None:
    pack = _pack(answers)
    first, again = judge(pack), judge(pack)
    assert first.trouble == ()
    assert first.facts == again.facts
    assert _standing(first.verdict.standing) == _standing(again.verdict.standing)


@pytest.mark.parametrize("big", [1e99, 1e150, 1e200, 1.7e308, -1e99, -1e200])
@pytest.mark.parametrize("name", ["latency", "http_errors", "availability", "latency_sum", "cpu"])
def test_numbers_beyond_all_measure_are_borne(name: str, big: float) -> None:
    values = [*[1.0, 1.1] * 28, big, big / 2, big, big / 3]
    tracks = [
        series(metric, some, service=service, **labels)
        for service in ("front", "cart")
        for metric, some, labels in (
            (name, values, {}),
            ("latency_count", [*range(58), 58 + 1e-300, 59.0], {}),
            ("requests_total", values, {"code": "200"}),
            ("requests_total", values, {"code": "500"}),
        )
    ]
    found = locate(world(tracks=tracks, edges=[("front", "cart"), ("cart", "front")]))
    assert all(isfinite(weight) for weight in found.weights.values())


def test_a_world_of_nothing_is_judged() -> None:
    findings = judge(_pack([]), Rules())
    assert findings.trouble == ()
    assert findings.verdict.standing == ()
    assert _located([]) == Located()
