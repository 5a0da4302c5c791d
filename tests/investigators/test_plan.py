"""What is asked follows from the alerts' labels alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from investigators.entities import bare_host, entities_of, host_matchers
from investigators.plan import ExpressionAsk, HostPart, RangeAsk, Scope, Span, TargetsAsk, make_plan
from investigators.ports import MatchOp
from tests.fakes.evidence import NOW, WorldHost
from tests.investigators.world import LABELS, alert, case

HOUR = timedelta(hours=1)


def test_a_process_and_its_metrics_share_one_subject() -> None:
    entities, _ = entities_of(case(alert()), [WorldHost()])
    assert entities[0].subject == "demo"
    assert entities[0].process == "demo"
    plan = make_plan(case(alert()), entities, HOUR)
    assert {ask.subject for ask in plan.host} == {"demo"}
    assert {ask.part for ask in plan.host} == set(HostPart)


def test_series_are_selected_by_what_the_target_itself_carries() -> None:
    labels = {**LABELS, "cluster": "eu", "severity": "critical", "team": "shop", "namespace": "prod"}
    entities, _ = entities_of(case(alert(labels=labels)), [])
    assert {m.label for m in entities[0].selectors} == {"instance", "job"}


def test_an_alert_about_a_machine_is_about_the_machine() -> None:
    labels = {"instance": "web-1:9100", "job": "node", "mountpoint": "/data"}
    entities, _ = entities_of(case(alert("DiskFull", labels=labels)), [])
    assert (entities[0].subject, entities[0].machine) == ("web-1", True)
    plan = make_plan(case(alert("DiskFull", labels=labels)), entities, HOUR)
    disks = [a for a in plan.metrics if isinstance(a, RangeAsk) and "filesystem" in a.query.metric]
    assert disks
    assert all(any(m.label == "mountpoint" and m.value == "/data" for m in a.query.matchers) for a in disks)
    assert not any(isinstance(a, RangeAsk) and a.query.metric.startswith("process_") for a in plan.metrics)


def test_the_close_look_is_fine_enough_for_a_fault_that_is_seconds_old() -> None:
    entities, _ = entities_of(case(alert(expr="up == 0")), [])
    plan = make_plan(case(alert(expr="up == 0")), entities, HOUR)
    recent = [a for a in plan.metrics if isinstance(a, RangeAsk) and a.span is Span.RECENT]
    assert all(a.step <= timedelta(seconds=1) and a.window.end == NOW for a in recent)
    expressions = [a for a in plan.metrics if isinstance(a, ExpressionAsk)]
    assert {(a.promql, a.bare) for a in expressions} == {("up == 0", False), ("up", True)}
    assert all(a.step <= timedelta(seconds=1) for a in expressions)


@pytest.mark.parametrize(
    ("started", "length"),
    [(timedelta(minutes=5), timedelta(minutes=65)), (timedelta(days=9), timedelta(hours=24))],
)
def test_the_window_reaches_back_before_the_onset_but_not_for_ever(
    started: timedelta, length: timedelta
) -> None:
    asked = case(alert(started=started))
    entities, _ = entities_of(asked, [])
    assert make_plan(asked, entities, HOUR).window.length == length


def test_an_alert_from_the_future_starts_now() -> None:
    asked = case(alert(started=timedelta(hours=-3)))
    entities, _ = entities_of(asked, [])
    assert entities[0].onset < NOW
    assert make_plan(asked, entities, HOUR).window.length >= HOUR


def test_one_question_is_asked_once() -> None:
    asked = case(alert("A", fingerprint="1"), alert("B", fingerprint="2"))
    entities, _ = entities_of(asked, [])
    assert len(entities) == 1
    plan = make_plan(asked, entities, HOUR)
    assert len(set(plan.metrics)) == len(plan.metrics)
    assert sum(isinstance(a, TargetsAsk) for a in plan.metrics) == 1


def test_two_instances_of_a_service_are_two_objects() -> None:
    asked = case(alert(fingerprint="1"), alert(labels={**LABELS, "instance": "b:1"}, fingerprint="2"))
    entities, _ = entities_of(asked, [])
    assert {e.subject for e in entities} == {"demo on box:8000", "demo on b:1"}


def test_an_alert_without_any_label_is_still_something() -> None:
    entities, _ = entities_of(case(alert("Odd", labels={})), [])
    assert entities[0].subject == "Odd"
    plan = make_plan(case(alert("Odd", labels={})), entities, HOUR)
    assert not any(isinstance(a, RangeAsk) and a.scope is Scope.OWN for a in plan.metrics)


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("web-1:9100", "web-1"),
        ("web-1", "web-1"),
        ("[::1]:80", "::1"),
        ("fe80::1", "fe80::1"),
        ("10.0.0.1:1", "10.0.0.1"),
    ],
)
def test_a_host_is_read_without_its_port(value: str, host: str) -> None:
    assert bare_host(value) == host


@pytest.mark.parametrize("host", ["web-1", "10.0.0.1", "a.b-c_d", "::1"])
def test_the_host_pattern_matches_that_host_alone(host: str) -> None:
    (matcher,) = host_matchers(host)
    assert matcher.op is MatchOp.REGEX
    written = f"[{host}]" if ":" in host else host
    assert re.fullmatch(matcher.value, f"{written}:9100")
    assert re.fullmatch(matcher.value, written)
    assert not re.fullmatch(matcher.value, f"x{written}:9100")
    assert not re.fullmatch(matcher.value, written.replace(".", "x") + "z")
