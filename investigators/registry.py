"""The deterministic investigator: plan, gather, judge, rank, criticise, write. No model anywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from bot.domain.clock import Clock
from bot.domain.diagnosis import Citation, Gap, PerspectiveView, Suspect
from bot.domain.evidence import Fact, Window
from bot.domain.ids import EvidenceId
from bot.domain.threads import in_thread
from investigators.causes import world_candidates
from investigators.changes.linking import linked
from investigators.changes.verdict import ChangeVerdict, suspects
from investigators.critic import Verdict, criticise
from investigators.dependents import dependents_affected
from investigators.diagnosis import Findings, write_diagnosis
from investigators.entities import Entity, entities_of, subjects_of
from investigators.facts.catalogue import RULES, Rule
from investigators.facts.charge import WorldRule
from investigators.facts.hour import usual
from investigators.facts.known import WORLD_RULES
from investigators.facts.onset import began_at
from investigators.gathering import Answer, gather
from investigators.hypotheses import Candidate, rank, settle
from investigators.pack import Pack
from investigators.perspectives import PERSPECTIVES, Perspective, disagreements, views
from investigators.plan import Plan, make_plan
from investigators.ports import Case, Investigation
from investigators.queries import ObjectQuery, Sources
from investigators.reasons import Second, second_fault
from investigators.refutations import Grounds
from investigators.signals.locate import WITNESSES, Located, Witness, locate
from investigators.signals.novelty import novelty
from investigators.similar import similar
from investigators.synthesis import Synthesis, synthesise
from investigators.wide import MAX_SUBJECTS, WideAsk, first_asks, second_asks
from investigators.world.building import build_world
from investigators.world.cluster import Cluster
from investigators.world.world import World

_Result = TypeVar("_Result")
_FIRST_SHARE = 0.7
"""Of the deadline; the rest is for the questions that the first answers raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What judges: rules about one object of the alerts, rules about the whole world, what is compared with
    healthy times, and whether changes made on purpose are looked at. All of it by default; less to see what
    each part is worth."""

    entity: tuple[Rule, ...] = RULES
    world: tuple[WorldRule, ...] = WORLD_RULES
    compare: frozenset[Witness] = WITNESSES
    blame_changes: bool = True
    perspectives: tuple[Perspective, ...] = PERSPECTIVES


class DeterministicInvestigator:
    """Investigates by fixed rules from whatever sources there are.

    ``deadline`` bounds the gathering as a whole; ``lookback`` is how far before the alert's onset it
    looks. Sources fail into gaps; only a bug in this package raises. It thinks in the ``pool``, or in the
    event loop's own.
    """

    def __init__(
        self,
        sources: Sources,
        clock: Clock,
        deadline: timedelta,
        lookback: timedelta,
        rules: Rules | None = None,
        pool: Executor | None = None,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._deadline = deadline
        self._lookback = lookback
        self._rules = rules or Rules()
        self._pool = pool

    async def investigate(self, case: Case) -> Investigation:
        began = self._clock.now()
        entities, more = entities_of(case, self._sources.hosts)
        plan = make_plan(case, entities, self._lookback)
        answers = await self._gather(case, plan, entities)
        pack = Pack(case=case, entities=entities, answers=answers)
        # Thousands of samples and lines take tens of milliseconds: not on the event loop.
        return await in_thread(self._pool, self._concluded, pack, began, more)

    def _concluded(self, pack: Pack, began: datetime, more: int) -> Investigation:
        findings = judge(pack, self._rules)
        now = self._clock.now()
        seconds = max(0.0, (now - began).total_seconds())
        return Investigation(
            evidence=tuple(answer.evidence for answer in pack.answers),
            diagnosis=write_diagnosis(findings, now, seconds, more_entities=more),
            edges=findings.graph.kept(now),
        )

    async def _gather(self, case: Case, plan: Plan, entities: tuple[Entity, ...]) -> tuple[Answer, ...]:
        subjects = subjects_of(case, self._sources.hosts, MAX_SUBJECTS)
        asks = first_asks(case, entities, subjects, plan.window)
        follows = any(ObjectQuery in source.answers for source in self._sources.wide)
        first = self._deadline * _FIRST_SHARE if follows else self._deadline
        answers = await gather(case, plan, asks, entities, self._sources, first, self._clock, pool=self._pool)
        if not any(answer.query is not None and answer.evidence.objects for answer in answers):
            return answers
        more = await in_thread(self._pool, _follow_up, case, entities, answers, plan.window)
        nothing = Plan(window=plan.window, metrics=(), host=())
        rest = self._deadline - first
        return answers + await gather(
            case,
            nothing,
            more,
            entities,
            self._sources,
            rest,
            self._clock,
            first_number=len(answers),
            pool=self._pool,
        )


def _follow_up(
    case: Case, entities: tuple[Entity, ...], answers: tuple[Answer, ...], window: Window
) -> tuple[WideAsk, ...]:
    about = entities[0].subject if entities else case.incident.title
    objects = [(a.query.object_kind, a.evidence) for a in answers if isinstance(a.query, ObjectQuery)]
    cluster = _guarded("cluster", partial(Cluster.build, objects), Cluster(), {})
    return second_asks(cluster, entities, window, about)


def judge(pack: Pack, rules: Rules | None = None) -> Findings:
    """Everything between the evidence and the words: pure, except that a broken rule is logged."""
    rules = rules or Rules()
    trouble: dict[Gap, None] = {}
    world = _sound_world(pack, trouble)
    located = _guarded("locate", partial(locate, world, rules.compare), Located(), trouble)
    raw = [*_entity_facts(pack, rules.entity, trouble), *_world_facts(world, rules.world, trouble)]
    raw += located.facts
    verdict_on_changes = None
    if rules.blame_changes and world.changes:
        verdict_on_changes = _guarded("changes", partial(_blamed, world), None, trouble)
        raw += verdict_on_changes.facts if verdict_on_changes is not None else ()
    unique = tuple({_key(fact): fact for fact in reversed(raw)}.values())[::-1]
    settled, conflicts = settle(unique)
    spread: tuple[Fact, ...] = ()
    facts = (
        *settled,
        *_guarded("topology.dependents", partial(dependents_affected, world, settled), spread, trouble),
    )
    evidence = {answer.evidence.id: answer.evidence for answer in pack.answers}
    candidates = _merged(
        rank(pack.entities, facts, conflicts, evidence),
        world_candidates(world, located, facts, conflicts, evidence, pack.entities),
    )
    grounds = Grounds(world, pack.entities, unique, located.steady)
    uncriticised = Verdict(standing=candidates, refuted=())
    verdict = _guarded("critic", partial(criticise, candidates, unique, grounds), uncriticised, trouble)
    second = _guarded("synthesis", partial(second_fault, verdict.standing, grounds), None, trouble)
    suspected: tuple[Suspect, ...] = ()
    nobody: bool | None = None
    if verdict_on_changes is not None:
        suspected, nobody = verdict_on_changes.suspects, verdict_on_changes.no_culprit
        if not suspected:
            # No diff explains the symptom; one may still have set what a rule found broken.
            suspected = linked(world, [candidate.hypothesis for candidate in verdict.standing])
            nobody = not suspected and nobody
    said: tuple[Citation, ...] = ()
    if rules.compare and verdict.standing:
        top = verdict.standing[0].hypothesis.object
        said = _guarded("novelty", partial(novelty, world, top), said, trouble)
    together = _guarded("synthesis", partial(synthesise, world, verdict.standing), Synthesis(), trouble)
    seen = _seen(rules.perspectives, pack, verdict, second, trouble)
    objects: tuple[str, ...] = _guarded("objects", partial(_objects, grounds), (), trouble)
    past = [one for item in world.looked("incident.past") for one in item.objects]
    return Findings(
        pack=pack,
        facts=facts,
        conflicts=conflicts,
        verdict=verdict,
        trouble=tuple(trouble),
        suspects=suspected,
        no_culprit=nobody,
        similar=similar(facts, pack.case, past),
        painless=located.painless,
        usual=usual(facts, [entity.subject for entity in pack.entities if entity.firing]),
        said=said,
        synthesis=together,
        graph=world.graph,
        perspectives=seen,
        second=second,
        objects=objects,
    )


def _seen(
    perspectives: Sequence[Perspective],
    pack: Pack,
    verdict: Verdict,
    second: Second | None,
    trouble: dict[Gap, None],
) -> tuple[PerspectiveView, ...]:
    def guard(name: str, work: Callable[[], PerspectiveView], broken: PerspectiveView) -> PerspectiveView:
        return _guarded(f"perspective {name}", work, broken, trouble)

    seen = views(perspectives, pack, verdict.standing, guard)
    return disagreements(seen, verdict.standing, None if second is None else second.candidate)


def _objects(grounds: Grounds) -> tuple[str, ...]:
    """What the incident is about, as the world names it, then the nodes its pods are on."""
    names = [
        name for subject, each in grounds.names.items() for name in sorted(each - {subject}) or [subject]
    ]
    nodes = sorted({pod.node for pod in grounds.pods if pod.workload in names and pod.node})
    return tuple(dict.fromkeys([*names, *nodes]))


def _blamed(world: World) -> ChangeVerdict | None:
    return suspects(world, world.now)


def _sound_world(pack: Pack, trouble: dict[Gap, None]) -> World:
    """The world of every answer or, where that breaks, of every answer that does not break by itself."""
    world = _guarded("world", partial(_world, pack), None, {})
    if world is not None:
        return world
    kept = []
    for answer in pack.answers:
        alone = Pack(case=pack.case, entities=pack.entities, answers=(answer,))
        if _guarded("world", partial(_world, alone), None, {}) is not None:
            kept.append(answer)
            continue
        source, query = answer.evidence.source, answer.evidence.query
        trouble[Gap(what=f"{source}: {query}", reason="the answer is malformed")] = None
    return _world(Pack(case=pack.case, entities=pack.entities, answers=tuple(kept)))


def _world(pack: Pack) -> World:
    # A rule with a ``for`` fires long after the trouble began: what changed is looked for from there.
    onset = min((began_at(pack, entity) for entity in pack.entities), default=pack.now)
    named = [entity.subject for entity in pack.entities]
    return build_world(pack.now, onset, pack.case.alerts, named, pack.wide)


def _merged(*groups: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """One candidate for each object and fault, the surer one; best first."""
    best: dict[tuple[str, str], Candidate] = {}
    for candidate in (one for group in groups for one in group):
        key = (candidate.hypothesis.object, candidate.hypothesis.fault)
        if key not in best or best[key].hypothesis.score < candidate.hypothesis.score:
            best[key] = candidate
    return tuple(
        sorted(best.values(), key=lambda c: (-c.hypothesis.score, c.hypothesis.fault, c.hypothesis.object))
    )


def _key(fact: Fact) -> tuple[str | EvidenceId, ...]:
    """Two entities on one machine see the same disks."""
    return (fact.kind, fact.subject, fact.rule, *fact.evidence_ids)


def _entity_facts(pack: Pack, rules: Sequence[Rule], trouble: dict[Gap, None]) -> list[Fact]:
    facts: list[Fact] = []
    for entity in pack.entities:
        for rule in rules:
            found: Sequence[Fact] = ()
            facts += _guarded(rule.name, partial(rule.check, pack, entity), found, trouble)
    return facts


def _world_facts(world: World, rules: Sequence[WorldRule], trouble: dict[Gap, None]) -> list[Fact]:
    facts: list[Fact] = []
    for rule in rules:
        found: Sequence[Fact] = ()
        facts += _guarded(rule.name, partial(rule.check, world), found, trouble)
    return facts


def _guarded(name: str, work: Callable[[], _Result], otherwise: _Result, trouble: dict[Gap, None]) -> _Result:
    """One broken rule must not silence the others."""
    try:
        return work()
    except Exception as error:
        logging.getLogger(__name__).exception("rule %s failed", name)
        reason = f"internal error ({type(error).__name__}), see the log"
        trouble[Gap(what=f"rule {name}", reason=reason)] = None
        return otherwise
