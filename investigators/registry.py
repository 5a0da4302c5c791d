"""The deterministic investigator: plan, gather, judge, rank, criticise, write. No model anywhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from bot.domain.clock import Clock
from bot.domain.diagnosis import Gap
from bot.domain.evidence import Fact
from investigators.critic import criticise
from investigators.diagnosis import Findings, write_diagnosis
from investigators.entities import entities_of
from investigators.facts.catalogue import RULES, Rule
from investigators.gathering import gather
from investigators.hypotheses import rank, settle
from investigators.pack import Pack
from investigators.plan import make_plan
from investigators.ports import Case, HostSource, Investigation, MetricSource


class DeterministicInvestigator:
    """Investigates from metric and host sources by fixed rules.

    ``deadline`` bounds the gathering as a whole; ``lookback`` is how far before the alert's onset it
    looks. Sources fail into gaps; only a bug in this package raises.
    """

    def __init__(
        self,
        metrics: Sequence[MetricSource],
        hosts: Sequence[HostSource],
        clock: Clock,
        deadline: timedelta,
        lookback: timedelta,
        rules: Sequence[Rule] = RULES,
    ) -> None:
        self._metrics = tuple(metrics)
        self._hosts = tuple(hosts)
        self._clock = clock
        self._deadline = deadline
        self._lookback = lookback
        self._rules = tuple(rules)

    async def investigate(self, case: Case) -> Investigation:
        began = self._clock.now()
        entities, more = entities_of(case, self._hosts)
        plan = make_plan(case, entities, self._lookback)
        answers = await gather(case, plan, entities, self._metrics, self._hosts, self._deadline, self._clock)
        pack = Pack(case=case, entities=entities, answers=answers)
        # Thousands of samples and lines take tens of milliseconds: not on the event loop.
        findings = await asyncio.to_thread(judge, pack, self._rules)
        now = self._clock.now()
        seconds = max(0.0, (now - began).total_seconds())
        diagnosis = write_diagnosis(findings, now, seconds, more_entities=more)
        return Investigation(evidence=tuple(answer.evidence for answer in answers), diagnosis=diagnosis)


def judge(pack: Pack, rules: Sequence[Rule] = RULES) -> Findings:
    """Everything between the evidence and the words: pure, except that a broken rule is logged."""
    raw, trouble = _facts(pack, rules)
    facts, conflicts = settle(raw)
    evidence = {answer.evidence.id: answer.evidence for answer in pack.answers}
    candidates = rank(pack.entities, facts, conflicts, evidence)
    verdict = criticise(candidates, raw)
    return Findings(pack=pack, facts=facts, conflicts=conflicts, verdict=verdict, trouble=trouble)


def _facts(pack: Pack, rules: Sequence[Rule]) -> tuple[tuple[Fact, ...], tuple[Gap, ...]]:
    facts: dict[tuple[str, ...], Fact] = {}
    trouble: list[Gap] = []
    for entity in pack.entities:
        for rule in rules:
            try:
                found = rule.check(pack, entity)
            except Exception as error:
                # One broken rule must not silence the others.
                logging.getLogger(__name__).exception("rule %s failed", rule.name)
                trouble.append(
                    Gap(
                        what=f"rule {rule.name}",
                        reason=f"internal error ({type(error).__name__}), see the log",
                    )
                )
                continue
            for fact in found:
                # Two entities on one machine see the same disks.
                key = (fact.kind, fact.subject, fact.rule, *fact.evidence_ids)
                facts.setdefault(key, fact)
    return tuple(facts.values()), tuple(dict.fromkeys(trouble))
