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
from bot.domain.diagnosis import Diagnosis, Gap, Suspect
from bot.domain.evidence import Fact, Window
from bot.domain.ids import EvidenceId
from bot.domain.threads import in_thread
from investigators.causes import world_candidates
from investigators.changes.linking import linked
from investigators.changes.verdict import ChangeVerdict, suspects
from investigators.critic import criticise
from investigators.diagnosis import Findings, write_diagnosis
from investigators.entities import Entity, entities_of
from investigators.facts.catalogue import RULES, Rule
from investigators.facts.charge import WorldRule
from investigators.facts.known import WORLD_RULES
from investigators.gathering import Answer, gather
from investigators.hypotheses import Candidate, rank, settle
from investigators.pack import Pack
from investigators.plan import Plan, make_plan
from investigators.ports import Case, Investigation
from investigators.queries import ObjectQuery, Sources
from investigators.signals.locate import WITNESSES, Located, Witness, locate
from investigators.similar import similar
from investigators.wide import WideAsk, first_asks, second_asks
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
        diagnosis = await in_thread(self._pool, self._concluded, pack, began, more)
        return Investigation(evidence=tuple(answer.evidence for answer in answers), diagnosis=diagnosis)

    def _concluded(self, pack: Pack, began: datetime, more: int) -> Diagnosis:
        findings = judge(pack, self._rules)
        now = self._clock.now()
        seconds = max(0.0, (now - began).total_seconds())
        return write_diagnosis(findings, now, seconds, more_entities=more)

    async def _gather(self, case: Case, plan: Plan, entities: tuple[Entity, ...]) -> tuple[Answer, ...]:
        asks = first_asks(case, entities, [entity.subject for entity in entities], plan.window)
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
    world = _world(pack)
    trouble: dict[Gap, None] = {}
    located = _guarded("locate", partial(locate, world, rules.compare), Located(), trouble)
    raw = [*_entity_facts(pack, rules.entity, trouble), *_world_facts(world, rules.world, trouble)]
    raw += located.facts
    verdict_on_changes = None
    if rules.blame_changes and world.changes:
        verdict_on_changes = _guarded("changes", partial(_blamed, world), None, trouble)
        raw += verdict_on_changes.facts if verdict_on_changes is not None else ()
    unique = tuple({_key(fact): fact for fact in reversed(raw)}.values())[::-1]
    facts, conflicts = settle(unique)
    evidence = {answer.evidence.id: answer.evidence for answer in pack.answers}
    candidates = _merged(
        rank(pack.entities, facts, conflicts, evidence),
        world_candidates(world, located, facts, conflicts, evidence, pack.entities),
    )
    verdict = criticise(candidates, unique)
    suspected: tuple[Suspect, ...] = ()
    nobody: bool | None = None
    if verdict_on_changes is not None:
        suspected, nobody = verdict_on_changes.suspects, verdict_on_changes.no_culprit
        if not suspected:
            # No diff explains the symptom; one may still have set what a rule found broken.
            suspected = linked(world, [candidate.hypothesis for candidate in verdict.standing])
            nobody = not suspected and nobody
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
    )


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
    onset = min((entity.onset for entity in pack.entities), default=pack.now)
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
