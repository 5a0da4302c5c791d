"""When the trouble began, where that is not when the alert fired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from adapters.evidence.build import Record
from bot.domain.evidence import Fact, FactVerdict, Series
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.fakes.evidence import NOW, FixedClock, WorldMetrics, series
from tests.investigators.world import alert, case

QUANTITY = 'rate(errors_total{job="demo"}[1m])'
EXPR = f"{QUANTITY} > 5"
FIRED = timedelta(minutes=2)


def rule(seconds: float) -> Record:
    return {
        "name": "Demo",
        "query": EXPR,
        "duration_s": seconds,
        "state": "firing",
        "health": "ok",
        "last_error": "",
    }


async def onsets(
    values: Sequence[float] | None = None,
    *,
    rules: Sequence[Record] = (),
    expr: str = EXPR,
    labels: dict[str, str] | None = None,
) -> list[Fact]:
    """``values`` a minute apart until now; the alert fired two minutes ago."""
    curves: dict[str, list[Series]] = {}
    if values is not None:
        curves[QUANTITY] = [series("", values, step=60, **(labels or {"job": "demo"}))]
    metrics = WorldMetrics(expressions=curves, rule_records=list(rules))
    investigator = DeterministicInvestigator(
        Sources(metrics=(metrics,)), FixedClock(), timedelta(seconds=5), timedelta(hours=1)
    )
    answer = await investigator.investigate(case(alert(expr=expr, started=FIRED)))
    return [fact for fact in answer.diagnosis.facts if fact.kind == "alert_onset"]


def minutes_before_now(fact: Fact) -> float:
    return (NOW - datetime.fromtimestamp(fact.values["onset"], NOW.tzinfo)).total_seconds() / 60


async def test_the_curve_says_when_its_level_changed() -> None:
    (fact,) = await onsets([0.1] * 40 + [9.0] * 12)
    assert fact.verdict is FactVerdict.FOUND
    assert minutes_before_now(fact) == pytest.approx(11)
    assert (fact.values["before"], fact.values["after"]) == (0.1, 9.0)
    assert "before the alert fired" in fact.detail
    assert fact.evidence_ids


async def test_without_a_curve_the_rules_waiting_time_says_it() -> None:
    (fact,) = await onsets(rules=[rule(600)])
    assert minutes_before_now(fact) == pytest.approx(12)


async def test_the_curve_goes_before_the_waiting_time() -> None:
    (fact,) = await onsets([0.1] * 40 + [9.0] * 12, rules=[rule(300)])
    assert minutes_before_now(fact) == pytest.approx(11)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([0.1] * 50 + [9.0] * 3, "it changed when the alert fired"),
        ([9.0] * 50, "it was always beyond the limit"),
        ([0.1] * 40 + [2.0] * 12, "it changed but stayed within the limit"),
        ([9.0] * 40 + [0.1] * 12, "it went the other way"),
        ([float(n % 5) for n in range(52)], "it has no level"),
        ([9.0] * 4, "it is too short"),
        (None, "nobody answered"),
    ],
)
async def test_the_alerts_start_stands(values: Sequence[float] | None, why: str) -> None:
    assert await onsets(values) == [], why


async def test_the_curve_of_another_object_says_nothing_of_this_one() -> None:
    assert await onsets([0.1] * 40 + [9.0] * 12, labels={"job": "other"}) == []


async def test_an_expression_without_a_single_limit_has_no_curve() -> None:
    assert await onsets([0.1] * 40 + [9.0] * 12, expr=f"{EXPR} and on() vector(1)") == []


@pytest.mark.parametrize("seconds", [0, 30, 86_400])
async def test_a_waiting_time_that_is_short_or_absurd_moves_nothing(seconds: float) -> None:
    assert await onsets(rules=[rule(seconds)]) == []
