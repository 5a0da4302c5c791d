"""What is as it is at this time of every day is told apart from what is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from bot.domain.diagnosis import Diagnosis, DiagnosisVerdict
from bot.domain.evidence import FactVerdict, Sample, Series
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.fakes.evidence import NOW, FixedClock, WorldMetrics, series
from tests.investigators.world import alert, case

QUANTITY = 'queue_length{job="demo"}'
EXPR = f"{QUANTITY} > 100"
NIGHTLY = [210.0, 190.0, 205.0, 198.0, 202.0, 207.0, 195.0, 201.0, 199.0, 204.0]
QUIET = [20.0, 19.0, 21.0, 20.0, 22.0, 18.0, 20.0, 21.0, 19.0, 20.0]


async def diagnose(
    days: Sequence[float],
    now: Sequence[float] = (203.0, 203.0, 203.0),
    *,
    started: timedelta = timedelta(minutes=10),
    failure: str | None = None,
    incomplete: str | None = None,
    labels: dict[str, str] | None = None,
) -> Diagnosis:
    """``days`` are the values of the days before at this time, ``now`` those of the last seconds."""
    labels = labels or {"job": "demo", "service": "demo"}
    daily = tuple(
        Sample(at=NOW - timedelta(days=len(days) - number), value=value) for number, value in enumerate(days)
    )
    recent = series("", now, step=1, **labels)
    curve = Series(name="", labels=labels, samples=(*daily, *recent.samples))
    holds = {EXPR: [recent], QUANTITY: [curve]}
    metrics = WorldMetrics(expressions=holds, failure=failure, incomplete=incomplete)
    investigator = DeterministicInvestigator(
        Sources(metrics=(metrics,)), FixedClock(), timedelta(seconds=5), timedelta(hours=1)
    )
    return (await investigator.investigate(case(alert(expr=EXPR, started=started)))).diagnosis


def verdict_of(diagnosis: Diagnosis) -> FactVerdict | None:
    return next((fact.verdict for fact in diagnosis.facts if fact.kind == "usual_at_this_hour"), None)


async def test_what_is_beyond_its_limit_at_this_time_of_every_day_asks_for_no_action() -> None:
    diagnosis = await diagnose(NIGHTLY)
    assert verdict_of(diagnosis) is FactVerdict.FOUND
    assert diagnosis.verdict is DiagnosisVerdict.NO_ACTION
    assert "10 of the last 10 days" in diagnosis.summary
    assert "Nothing unusual" in diagnosis.summary
    assert any("mute it at this time of day" in step for step in diagnosis.steps)
    assert any("10 of the last 10 days" in citation.finding for citation in diagnosis.citations)


@pytest.mark.parametrize(
    ("days", "now", "why"),
    [
        (QUIET, (203.0,) * 3, "it is never beyond the limit at this time"),
        (NIGHTLY, (900.0,) * 3, "it is far more than at this time of any day"),
    ],
)
async def test_what_is_unusual_for_the_hour_is_said_to_be(
    days: Sequence[float], now: Sequence[float], why: str
) -> None:
    diagnosis = await diagnose(days, now)
    assert verdict_of(diagnosis) is FactVerdict.ABSENT, why
    assert diagnosis.verdict is not DiagnosisVerdict.NO_ACTION


async def test_few_days_prove_nothing() -> None:
    diagnosis = await diagnose(NIGHTLY[:5])
    assert verdict_of(diagnosis) is FactVerdict.UNKNOWN
    assert diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE


async def test_a_source_that_fails_leaves_it_unknown() -> None:
    diagnosis = await diagnose(NIGHTLY, failure="connection refused")
    assert verdict_of(diagnosis) is FactVerdict.UNKNOWN


async def test_an_answer_that_was_cut_concludes_no_absence() -> None:
    assert verdict_of(await diagnose(QUIET, incomplete="cut")) is FactVerdict.UNKNOWN


async def test_what_has_fired_for_days_is_not_of_this_time_of_day() -> None:
    diagnosis = await diagnose(NIGHTLY, started=timedelta(days=3))
    assert verdict_of(diagnosis) is None
    assert diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE


async def test_the_days_of_another_object_say_nothing_of_this_one() -> None:
    diagnosis = await diagnose(NIGHTLY, labels={"job": "other"})
    assert verdict_of(diagnosis) is FactVerdict.UNKNOWN
