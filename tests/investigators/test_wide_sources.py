"""A source of typed questions that fails, hangs, lies or floods is a gap: never an end, never an absence."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, get_args

import pytest

from bot.domain.diagnosis import Diagnosis
from bot.domain.evidence import EvidenceStatus, FactVerdict
from bot.domain.incident import Route
from investigators.ports import Investigation
from investigators.queries import ObjectQuery, PodLogQuery, Query, Sources
from investigators.registry import DeterministicInvestigator
from tests.fakes.evidence import NOW, FixedClock
from tests.fakes.wide import Trouble, WorldSource
from tests.investigators.world import alert, case

EVERY: frozenset[type[Query]] = frozenset(get_args(Query))
NOT_PLANNED = ("LogExpressionQuery", "PodLogQuery", "SelectQuery")
"""What only a crash, a person or a model leads to."""
ASKED = sorted((kind for kind in EVERY if kind.__name__ not in NOT_PLANNED), key=str)
"""What every investigation asks by itself; the rest follows from answers."""
LABELS = {"namespace": "shop", "service": "cart", "instance": "box:1", "job": "cart"}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "cart-7d9f8b6c5-x2x4z",
        "namespace": "shop",
        "labels": {"app": "cart"},
        "creationTimestamp": "2026-03-01T11:55:00Z",
        "ownerReferences": [
            {"kind": "ReplicaSet", "name": "cart-7d9f8b6c5", "controller": True, "apiVersion": "apps/v1"}
        ],
    },
    "spec": {
        "nodeName": "n1",
        "containers": [{"name": "cart", "image": "cart:1", "resources": {"limits": {"memory": "64Mi"}}}],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "cart",
                "restartCount": 4,
                "ready": False,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {
                    "terminated": {
                        "reason": "OOMKilled",
                        "exitCode": 137,
                        "startedAt": "2026-03-01T11:57:00Z",
                        "finishedAt": "2026-03-01T11:59:00Z",
                    }
                },
            }
        ],
    },
}


def honest() -> WorldSource:
    return WorldSource(name="cluster", content={"Pod": {"objects": (POD,)}}, answers=EVERY)


async def investigate(*sources: WorldSource, deadline: float = 2.0) -> Investigation:
    engine = DeterministicInvestigator(
        Sources(wide=sources), FixedClock(), timedelta(seconds=deadline), timedelta(hours=1)
    )
    fired = alert("CartDown", labels={**LABELS}, started=timedelta(minutes=2), now=NOW)
    route = Route(name="default", runbook_url="https://wiki.example.org/cart")
    return await engine.investigate(case(fired, route=route))


def absences(diagnosis: Diagnosis) -> set[tuple[str, str]]:
    return {(fact.kind, fact.subject) for fact in diagnosis.facts if fact.verdict is FactVerdict.ABSENT}


async def test_an_honest_source_names_the_cause() -> None:
    top = (await investigate(honest())).diagnosis.hypotheses[0]
    assert (top.object, top.fault) == ("cart", "oom_killed")


@pytest.mark.parametrize("query", ASKED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "trouble",
    [
        Trouble.FAILS,
        Trouble.RAISES,
        Trouble.CANCELS,
        Trouble.ANSWERS_ELSE,
        Trouble.NOT_EVIDENCE,
        Trouble.EMPTY_OK,
        Trouble.WRONG_TYPES,
    ],
)
async def test_what_goes_wrong_with_one_question_is_a_gap_and_the_rest_stands(
    trouble: Trouble, query: type[Query]
) -> None:
    bad = WorldSource(name="bad", trouble=trouble, troubled=frozenset({query}), answers=frozenset({query}))
    result = await investigate(honest(), bad)
    assert any(gap.what.startswith("bad: ") for gap in result.diagnosis.gaps)
    top = result.diagnosis.hypotheses[0]
    assert (top.object, top.fault) == ("cart", "oom_killed")


@pytest.mark.parametrize("query", ASKED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("trouble", [Trouble.LIES, Trouble.FLOODS, Trouble.CONTRADICTS])
async def test_lies_and_floods_neither_end_an_investigation_nor_hide_its_cause(
    trouble: Trouble, query: type[Query]
) -> None:
    bad = WorldSource(name="bad", trouble=trouble, troubled=frozenset({query}), answers=frozenset({query}))
    diagnosis = (await investigate(honest(), bad, deadline=20)).diagnosis
    assert not [gap for gap in diagnosis.gaps if gap.what.startswith("rule ")]
    assert ("cart", "oom_killed") in [(one.object, one.fault) for one in diagnosis.hypotheses[:3]]


@pytest.mark.parametrize("query", ASKED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("trouble", [Trouble.HANGS, Trouble.IGNORES_CANCELLATION])
async def test_one_question_that_is_never_answered_is_a_gap_with_the_deadline(
    trouble: Trouble, query: type[Query]
) -> None:
    bad = WorldSource(name="bad", trouble=trouble, troubled=frozenset({query}), answers=frozenset({query}))
    async with asyncio.timeout(20):
        result = await investigate(honest(), bad, deadline=0.5)
    reasons = [gap.reason for gap in result.diagnosis.gaps if gap.what.startswith("bad: ")]
    assert reasons
    assert all(reason.startswith("deadline: ") for reason in reasons)
    top = result.diagnosis.hypotheses[0]
    assert (top.object, top.fault) == ("cart", "oom_killed")


@pytest.mark.parametrize("trouble", [Trouble.FAILS, Trouble.WRONG_TYPES, Trouble.LIES])
async def test_the_log_of_a_crashed_pod_that_cannot_be_had_is_a_gap(trouble: Trouble) -> None:
    """A question that only an answer raises."""
    bad = WorldSource(
        name="bad", trouble=trouble, troubled=frozenset({PodLogQuery}), answers=frozenset({PodLogQuery})
    )
    result = await investigate(honest(), bad)
    assert [item for item in result.evidence if item.kind == "kubernetes.log" and item.source == "bad"]
    assert trouble is Trouble.LIES or any(gap.what.startswith("bad: ") for gap in result.diagnosis.gaps)
    assert result.diagnosis.hypotheses[0].fault == "oom_killed"


@pytest.mark.parametrize("trouble", [t for t in Trouble if t not in (Trouble.LIES, Trouble.CONTRADICTS)])
async def test_no_trouble_with_a_source_adds_an_absence(trouble: Trouble) -> None:
    """Judged with the honest source alone and with the bad one beside it."""
    bad = WorldSource(name="bad", trouble=trouble, troubled=EVERY, answers=EVERY)
    alone = await investigate(honest())
    beside = await investigate(honest(), bad, deadline=1.0 if "hangs" in trouble else 20)
    assert absences(beside.diagnosis) <= absences(alone.diagnosis)
    theirs = {item.id for item in beside.evidence if item.source == "bad"}
    for fact in beside.diagnosis.facts:
        assert fact.verdict is not FactVerdict.ABSENT or not theirs & set(fact.evidence_ids), fact


async def test_a_source_that_hangs_costs_the_deadline_and_is_named() -> None:
    bad = WorldSource(name="bad", trouble=Trouble.HANGS, troubled=EVERY, answers=EVERY)
    async with asyncio.timeout(20):
        result = await investigate(honest(), bad, deadline=0.5)
    assert all(item.status is EvidenceStatus.FAILED for item in result.evidence if item.source == "bad")
    assert any("deadline" in gap.reason for gap in result.diagnosis.gaps if gap.what.startswith("bad"))
    assert result.diagnosis.hypotheses[0].fault == "oom_killed"


@pytest.mark.parametrize("trouble", [Trouble.FAILS, Trouble.RAISES, Trouble.CANCELS, Trouble.EMPTY_OK])
async def test_a_cluster_that_does_not_answer_proves_nothing_absent(trouble: Trouble) -> None:
    silent = WorldSource(name="cluster", trouble=trouble, troubled=EVERY, answers=EVERY)
    diagnosis = (await investigate(silent)).diagnosis
    assert absences(diagnosis) == set()
    assert diagnosis.root_cause is None


async def test_one_kind_that_may_not_be_read_makes_only_its_own_rules_silent() -> None:
    """The pods are read whole; what they show stands, whatever another source says of the rest."""
    mute = WorldSource(
        name="mute",
        trouble=Trouble.FAILS,
        troubled=frozenset({ObjectQuery}),
        answers=frozenset({ObjectQuery}),
    )
    alone = absences((await investigate(honest())).diagnosis)
    beside = absences((await investigate(honest(), mute)).diagnosis)
    assert beside <= alone
