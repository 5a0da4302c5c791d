"""Facts about a small world, ranked and criticised as an investigation does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict, TraceSpan, Window
from bot.domain.ids import EvidenceId
from investigators.causes import world_candidates
from investigators.critic import Verdict, criticise
from investigators.entities import Entity
from investigators.gathering import Answer
from investigators.hypotheses import Candidate, settle
from investigators.pack import Pack
from investigators.queries import ObjectQuery, Query
from investigators.refutations import Grounds
from investigators.signals.locate import Located
from investigators.wide import WideAsk
from investigators.world.world import World
from tests.fakes.evidence import NOW as CASE_NOW
from tests.investigators.platform.build import ONSET, span, world
from tests.investigators.platform.objects import Object, at, pod
from tests.investigators.world import alert, case

WINDOW = Window(start=ONSET - timedelta(hours=1), end=ONSET + timedelta(minutes=10))


def fact(
    kind: str,
    subject: str,
    confidence: float = 0.9,
    *,
    of: str = "service",
    verdict: FactVerdict = FactVerdict.FOUND,
    evidence: Sequence[str] = ("pods",),
    rule: str = "test",
    began: datetime | None = None,
    **values: float,
) -> Fact:
    onset = {} if began is None else {"onset": began.timestamp()}
    return Fact(
        kind=kind, verdict=verdict, confidence=confidence, subject=subject, subject_kind=of, rule=rule,
        evidence_ids=tuple(EvidenceId(one) for one in evidence), detail=f"{kind} is seen",
        values={**values, **onset},
    )  # fmt: skip


def entity(subject: str = "cart", *, onset: datetime = ONSET, **labels: str) -> Entity:
    fired = replace(alert(f"{subject}Bad", labels=labels or {"service": subject}), starts_at=onset)
    return Entity(
        subject=subject, host=None, machine=False, instance=None, job=None, selectors=(), peers=(),
        alerts=(fired,), onset=onset, host_queries={},
    )  # fmt: skip


def grounds(
    of: World,
    facts: Sequence[Fact],
    *,
    entities: Sequence[Entity] | None = None,
    steady: Iterable[str] = (),
) -> Grounds:
    return Grounds(of, (entity(),) if entities is None else entities, facts, frozenset(steady))


def judged(
    of: World,
    *facts: Fact,
    entities: Sequence[Entity] | None = None,
    steady: Iterable[str] = (),
    evidence: Iterable[Evidence] = (),
) -> Verdict:
    """By every fact about the world: candidates, their demotion, the critic."""
    alerted = (entity(),) if entities is None else tuple(entities)
    settled, conflicts = settle(facts)
    known = {one.id: one for one in evidence}
    candidates = world_candidates(of, Located(), settled, conflicts, known, alerted)
    return criticise(candidates, facts, grounds(of, facts, entities=alerted, steady=steady))


def reasons(verdict: Verdict) -> dict[tuple[str, str], str]:
    return {one.key: one.hypothesis.refuted_by or "" for one in verdict.refuted}


def standing(verdict: Verdict) -> list[tuple[str, str]]:
    return [one.key for one in verdict.standing]


def candidates(of: World, *facts: Fact, entities: Sequence[Entity] | None = None) -> tuple[Candidate, ...]:
    return judged(of, *facts, entities=entities).standing


def run(
    name: str,
    index: int = 0,
    *,
    node: str = "node-1",
    ready: bool = True,
    restarts: int = 0,
    code: int | None = None,
    reason: str = "Error",
    age: float = 600,
) -> Object:
    """A pod of a Deployment with one container; ``code`` of its last end; ``age`` in minutes."""
    owner = {"kind": "ReplicaSet", "name": f"{name}-5d9c7b6f4", "controller": True}
    made = dict(pod(f"{name}-5d9c7b6f4-bx{index}kz", {"app": name}, node=node, ready=ready, owner=owner))
    made["metadata"] = {**made["metadata"], "creationTimestamp": at(age)}
    ended = {} if code is None else {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at(5)}}
    status: dict[str, Any] = {
        "name": name, "ready": ready, "restartCount": restarts, "lastState": ended,
        "state": {"running": {"startedAt": at(age)}},
    }  # fmt: skip
    made["status"] = {**made["status"], "containerStatuses": [status]}
    return made


def calls(
    caller: str,
    callee: str,
    *,
    early: bool,
    ms: float = 10,
    failed: bool = False,
    slow: int = 0,
    count: int = 30,
) -> list[TraceSpan]:
    """Calls spread over nine minutes, before the onset or since; the first ``slow`` take a second."""
    found = []
    for index in range(count):
        minutes = (20 if early else 9) - 9 * index / count
        trace = f"{'early' if early else 'late'}-{caller}-{callee}-{index}"
        took = 1000.0 if index < slow else ms
        found += [
            span(trace, "c", caller, kind="client", ms=took + 1, minutes=minutes, error=failed),
            span(trace, "s", callee, parent="c", ms=took, minutes=minutes, error=failed),
        ]
    return found


def traced(caller: str, callee: str, **since: Any) -> list[TraceSpan]:
    """Well before the onset, and as said since."""
    return [*calls(caller, callee, early=True), *calls(caller, callee, early=False, **since)]


def chain(*objects: Object, spans: Sequence[TraceSpan] = ()) -> World:
    """cart calls db."""
    return world(*objects, spans=spans, edges=(("cart", "db"),), kinds={"cart": "service", "db": "service"})


def answer(ident: str, kind: str, query: Query | None = None, **parts: Any) -> Answer:
    evidence = Evidence(
        id=EvidenceId(ident), source="test", kind=kind, query=ident, window=WINDOW, taken_at=CASE_NOW,
        status=parts.pop("status", EvidenceStatus.OK), summary=ident, **parts,
    )  # fmt: skip
    choices = (ObjectQuery(object_kind="Pod"),) if query is None else (query,)
    return Answer(ask=WideAsk(choices=choices, window=WINDOW, subject="cart"), evidence=evidence, query=query)


def pack(*answers: Answer, entities: Sequence[Entity] | None = None) -> Pack:
    alerted = (entity(),) if entities is None else tuple(entities)
    asked = case(*(one for each in alerted for one in each.alerts), now=CASE_NOW)
    return Pack(case=asked, entities=alerted, answers=answers)
