"""A service that was resolved a few days ago and is in trouble again: find out why, do not restart again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.diagnosis import Diagnosis
from bot.domain.incident import Route
from bot.domain.past import PastCause, Recurrence
from investigators.ports import Case
from tests.investigators.test_diagnosis import DOWN, EXPR, GONE, LEAK, LEAKING_HOST
from tests.investigators.world import alert, case, investigate


def cause(fault: str, at: str = "demo") -> PastCause:
    return PastCause(object=at, object_kind="", fault=fault)


def lately(*causes: PastCause | None) -> Recurrence:
    first = causes[0] if causes else None
    return Recurrence(
        day=1,
        week=1 + len(causes),
        resolved_within_week=True,
        last_cause=first,
        earlier_causes=tuple(c for c in causes[1:] if c is not None),
    )


async def leaking(recurrence: Recurrence, asked: Case | None = None) -> Diagnosis:
    asked = replace(asked or case(alert("MemoryHigh", expr=EXPR)), recurrence=recurrence)
    diagnosis = (await investigate(asked, metrics=[LEAK], hosts=[LEAKING_HOST])).diagnosis
    assert diagnosis.hypotheses[0].fault == "memory_growth"
    return diagnosis


@pytest.mark.parametrize(
    "recurrence",
    [
        lately(cause("memory_growth")),
        lately(None),
        lately(cause("memory_growth", "demo on box:8000")),
        lately(cause("memory_pressure", "box")),
        lately(cause("process_crash")),
        lately(cause("disk_filling", "box:/"), cause("memory_growth")),
        lately(None, cause("disk_filling", "box:/")),
    ],
)
async def test_a_service_resolved_within_a_week_is_not_restarted_again(recurrence: Recurrence) -> None:
    diagnosis = await leaking(recurrence)
    assert diagnosis.suggestion is None
    assert any("A restart of demo is not suggested again" in step for step in diagnosis.steps)
    assert any("heap profile" in step for step in diagnosis.steps), "it is looked into all the same"
    assert "resolved within the last 7 days" in diagnosis.summary
    assert diagnosis.root_cause is not None


@pytest.mark.parametrize(
    "recurrence",
    [
        Recurrence(day=3, week=5),
        lately(cause("disk_filling", "box:/")),
        lately(cause("memory_growth", "redis")),
        lately(cause("disk_filling", "box:/"), cause("fd_exhaustion")),
    ],
)
async def test_an_earlier_cause_that_was_plainly_another_does_not_stand_in_the_way(
    recurrence: Recurrence,
) -> None:
    diagnosis = await leaking(recurrence)
    assert diagnosis.suggestion is not None
    assert "keeps coming back" not in diagnosis.summary


async def test_the_earlier_cause_is_named() -> None:
    diagnosis = await leaking(lately(cause("memory_growth")))
    assert "last of memory_growth at demo" in diagnosis.summary


async def test_a_crash_after_a_leak_is_not_plainly_another_cause() -> None:
    asked = replace(
        case(alert("TargetDown", expr='up{job="demo"} == 0')), recurrence=lately(cause("memory_growth"))
    )
    diagnosis = (await investigate(asked, metrics=[DOWN], hosts=[GONE])).diagnosis
    assert diagnosis.hypotheses[0].fault == "process_crash"
    assert diagnosis.suggestion is None


async def test_what_the_operator_declared_for_the_alert_is_suggested_all_the_same() -> None:
    declared = Route(name="r", suggested_action="process.restart", suggested_params={"process": "demo"})
    asked = case(alert("MemoryHigh", expr=EXPR), route=declared)
    diagnosis = await leaking(lately(cause("memory_growth")), asked)
    assert diagnosis.suggestion is not None
    assert any("find what makes it come back" in step for step in diagnosis.steps)


async def test_an_inconclusive_diagnosis_says_that_the_service_was_in_trouble_before() -> None:
    asked = replace(case(alert()), recurrence=lately(cause("memory_growth")))
    diagnosis = (await investigate(asked)).diagnosis
    assert diagnosis.root_cause is None
    assert "resolved within the last 7 days" in diagnosis.summary
