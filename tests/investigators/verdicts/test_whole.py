"""From sources to the diagnosis: perspectives, a second fault, reasons, and an honest inconclusive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

from bot.domain.alert import Alert
from bot.domain.diagnosis import Band, Diagnosis, DiagnosisVerdict, PerspectiveState
from bot.domain.evidence import Evidence, Sample, Series
from investigators.perspectives import PERSPECTIVES, Perspective
from investigators.queries import Query, Sources, SurveyQuery
from investigators.registry import DeterministicInvestigator, Rules
from tests.fakes.evidence import NOW, FixedClock
from tests.fakes.wide import WorldSource
from tests.investigators.test_wide_sources import POD
from tests.investigators.world import alert, case

EVERY: frozenset[type[Query]] = frozenset(get_args(Query))


def pod(name: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
    owner = [{"kind": "ReplicaSet", "name": f"{name}-7d9f8b6c5", "controller": True}]
    meta = {**POD["metadata"], "name": f"{name}-7d9f8b6c5-x2x4z", "ownerReferences": owner}
    spec = {"nodeName": "n1", "containers": [{"name": name, "image": f"{name}:1"}]}
    told = {"name": name, "restartCount": 0, "ready": False, "image": f"{name}:1", **status}
    return {**POD, "metadata": meta, "spec": spec, "status": {"containerStatuses": [told]}}


NO_TAG = {
    "state": {
        "waiting": {
            "reason": "ErrImagePull",
            "message": 'failed to pull "shelf:1": manifest for registry.example/shelf:1 not found: '
            "manifest unknown",
        }
    }
}


def about(name: str, **more: Any) -> Alert:
    labels = {"namespace": "shop", "service": name}
    return alert(f"{name}Bad", labels=labels, fingerprint=name, now=NOW, **more)


async def investigate(*alerts: Alert, rules: Rules | None = None, **content: Any) -> Diagnosis:
    source = WorldSource(name="world", content=content.pop("by", content), answers=EVERY)
    engine = DeterministicInvestigator(
        Sources(wide=(source,)), FixedClock(), timedelta(seconds=20), timedelta(hours=1), rules
    )
    return (await engine.investigate(case(*alerts))).diagnosis


async def test_two_faults_at_once_are_both_told() -> None:
    pods = {"objects": (POD, pod("shelf", NO_TAG))}
    diagnosis = await investigate(about("cart"), about("shelf"), Pod=pods)
    first, second = diagnosis.hypotheses[:2]
    assert {(one.object, one.fault) for one in (first, second)} == {
        ("cart", "oom_killed"),
        ("shelf", "image_tag_missing"),
    }
    assert diagnosis.root_cause is not None
    assert diagnosis.root_cause.startswith(first.object)
    assert f"A fault of its own is at {second.object}:" in diagnosis.summary
    assert second.lost_to == "a second fault, independent of the first"
    assert not [view for view in diagnosis.perspectives if view.against]


async def test_one_fault_beside_which_another_service_is_broken_is_not_two() -> None:
    pods = {"objects": (POD, pod("shelf", NO_TAG))}
    diagnosis = await investigate(about("cart"), Pod=pods)
    assert (diagnosis.hypotheses[0].object, diagnosis.hypotheses[0].fault) == ("cart", "oom_killed")
    assert "second" not in diagnosis.summary


async def test_every_perspective_is_told_with_why_it_has_nothing() -> None:
    diagnosis = await investigate(about("cart"), Pod={"objects": (POD,)})
    told = {view.name: view.state for view in diagnosis.perspectives}
    assert told == {
        "app": PerspectiveState.BLIND,
        "runtime": PerspectiveState.FOUND,
        "deps": PerspectiveState.BLIND,
        "infra": PerspectiveState.BLIND,
    }


async def test_a_perspective_that_breaks_is_a_gap_and_the_diagnosis_stands() -> None:
    def breaks(evidence: Evidence, kind: str) -> bool:
        raise RuntimeError("a bug")

    bad = Perspective(name="app", needs="luck", looked=breaks)
    rules = Rules(perspectives=(bad, *PERSPECTIVES[1:]))
    diagnosis = await investigate(about("cart"), rules=rules, Pod={"objects": (POD,)})
    assert diagnosis.hypotheses[0].fault == "oom_killed"
    assert diagnosis.perspectives[0].state is PerspectiveState.FAILED
    assert any(gap.what == "rule perspective app" for gap in diagnosis.gaps)


def series(object: str, values: list[float]) -> Series:
    start = NOW - timedelta(minutes=len(values))
    samples = tuple(
        Sample(at=start + timedelta(minutes=index), value=value) for index, value in enumerate(values)
    )
    return Series(name="request_latency_seconds", labels={"service": object}, samples=samples)


async def test_what_is_only_statistical_and_weak_ends_inconclusive_with_where_to_look() -> None:
    wobble = [1.0, 1.1, 0.9, 1.05, 0.95] * 11
    risen = [*wobble, 1.35, 1.4, 1.35, 1.4, 1.35]
    fired = about("cart", started=timedelta(minutes=5))
    diagnosis = await investigate(
        fired, by={SurveyQuery: {"series": tuple(series(name, risen) for name in ("db", "shelf"))}}
    )
    assert diagnosis.hypotheses[0].fault == "latency_shift"
    assert diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE
    assert diagnosis.root_cause is None
    assert diagnosis.band is Band.LOW
    assert diagnosis.steps[0].startswith("Look first at db, which is not sure")
    assert any("from the side of infra" in step for step in diagnosis.steps)


async def test_an_answer_that_no_world_can_be_built_from_is_a_gap_and_the_rest_stands() -> None:
    nameless = replace(series("cart", [1.0, 2.0]), labels={"pod": 7})
    content = {"Pod": {"objects": (POD,)}, SurveyQuery: {"series": (nameless,)}}
    diagnosis = await investigate(about("cart"), by=content)
    assert diagnosis.hypotheses[0].fault == "oom_killed"
    assert any(gap.reason == "the answer is malformed" for gap in diagnosis.gaps)
