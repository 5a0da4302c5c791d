"""The rules first, then a model within what is left of time and money; if it fails, what the rules said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from bot.domain.alert import Severity
from bot.domain.clock import Clock
from bot.domain.diagnosis import Cost, Diagnosis, ModelNote, ModelState
from bot.domain.evidence import Evidence
from bot.domain.redaction import clean
from investigators.analyst.agent import Told, quick, thorough
from investigators.analyst.answer import Status
from investigators.analyst.brief import brief
from investigators.analyst.budget import Budget
from investigators.analyst.citations import Exhibits
from investigators.analyst.critic_pass import second_look
from investigators.analyst.deadline import in_time
from investigators.analyst.machines import machines_beside
from investigators.analyst.offers import scope_of
from investigators.analyst.ports import (
    Limits,
    Model,
    ModelFailure,
    OfferedAction,
    Purse,
    Tier,
    ToolSource,
)
from investigators.analyst.tiers import firing, tier_of
from investigators.analyst.tools import ToolBox
from investigators.analyst.verdict import Opinion, conclude, opinion_of, would_rise
from investigators.ports import Case, Investigation, Investigator
from investigators.queries import Sources

_REASON = 300


@dataclass(slots=True, kw_only=True)
class _Work:
    """What is known of one investigation while the model works on it, however it ends."""

    case: Case
    rules: Investigation
    budget: Budget
    exhibits: Exhibits
    tier: Tier
    began: datetime
    tools: ToolBox | None = None


class Analyst:
    """Investigates by rules and lets a model read on.

    ``limits.wall`` bounds the whole of it, the rules included, so whoever waits for it waits longer than that
    and than the rules' own deadline. ``on_error`` is told of what went wrong inside and raises in tests.
    """

    def __init__(
        self,
        rules: Investigator,
        model: Model,
        sources: Sources,
        tool_sources: Sequence[ToolSource] = (),
        actions: Sequence[OfferedAction] = (),
        *,
        limits: Limits,
        clock: Clock,
        purse: Purse | None = None,
        pool: Executor | None = None,
        on_error: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._rules = rules
        self._model = model
        self._sources = sources
        self._tool_sources = tuple(tool_sources)
        self._actions = tuple(actions)
        self._limits = limits
        self._clock = clock
        self._purse = purse
        self._pool = pool
        self._on_error = on_error

    async def investigate(self, case: Case) -> Investigation:
        loop = asyncio.get_running_loop()
        started, began = loop.time(), self._clock.now()
        rules = await self._rules.investigate(case)
        tier = tier_of(case, rules.diagnosis)
        if tier is None:
            reason = "no alert of it fires any more"
            if firing(case):
                reason = "its route wants no model asked"
            return _with(
                rules, replace(rules.diagnosis, model=ModelNote(state=ModelState.SKIPPED, reason=reason))
            )
        left = self._limits.wall - timedelta(seconds=loop.time() - started)
        work = _Work(
            case=case,
            rules=rules,
            budget=Budget(self._limits, self._purse, self._clock, left),
            exhibits=Exhibits(limit=self._limits.result_characters),
            tier=tier,
            began=began,
        )
        return self._finished(work, await self._consulted(work, left))

    async def _consulted(self, work: _Work, left: timedelta) -> Diagnosis:
        """The one place where a model's trouble ends."""
        try:
            return await in_time(self._diagnosed(work), left, self._limits.wall)
        except ModelFailure as failure:
            return self._failed(work, failure.kind.value, failure.reason)
        except Exception as error:
            logging.getLogger(__name__).exception("the model's part of an investigation failed")
            self._on_error(error)
            return self._failed(work, "internal", f"internal error ({type(error).__name__}), see the log")

    async def _diagnosed(self, work: _Work) -> Diagnosis:
        told = await self._told(work)
        opinion = replace(opinion_of(told.answer, work.exhibits), claims=told.claims)
        if self._needs_second_look(work, opinion):
            opinion = await second_look(self._model, work.budget, opinion, work.exhibits)
        note = replace(self._note(work, ModelState.FAILED), kind=opinion.kind)
        return conclude(work.rules.diagnosis, opinion, self._actions, note, scope_of(work.case))

    async def _told(self, work: _Work) -> Told:
        text = brief(work.case, work.rules, work.exhibits, self._actions)
        if work.tier is Tier.FAST:
            told = await quick(self._model, work.budget, work.exhibits, text)
            if told is not None:
                return told
            # Nothing of the first conversation is said in the second: it was not good enough.
            work.tier = Tier.DEEP
        work.tools = ToolBox(
            work.case,
            self._sources,
            self._tool_sources,
            work.exhibits,
            self._limits,
            self._clock,
            self._pool,
            machines_beside(work.case, self._sources.hosts, work.rules.evidence),
        )
        return await thorough(
            self._model,
            work.budget,
            work.tools,
            work.exhibits,
            text,
            perspectives=work.case.incident.severity is Severity.CRITICAL,
        )

    def _needs_second_look(self, work: _Work, opinion: Opinion) -> bool:
        if opinion.answer.status is not Status.DIAGNOSED or not opinion.claims.sound:
            return False
        if work.case.incident.severity is Severity.CRITICAL or opinion.answer.actions:
            return True
        rules = work.rules.diagnosis
        # The rules' own action would wait for fewer doubts.
        return rules.suggestion is not None and would_rise(rules, opinion)

    def _failed(self, work: _Work, kind: str, reason: str) -> Diagnosis:
        note = replace(self._note(work, ModelState.FAILED), kind=kind, reason=clean(reason, limit=_REASON))
        return replace(work.rules.diagnosis, model=note)

    def _note(self, work: _Work, state: ModelState) -> ModelNote:
        return ModelNote(state=state, model=self._model.name_of(work.tier))

    def _finished(self, work: _Work, diagnosis: Diagnosis) -> Investigation:
        budget, now = work.budget, self._clock.now()
        assert diagnosis.model is not None
        note = replace(
            diagnosis.model,
            turns=budget.turns,
            tool_calls=budget.tool_calls,
            tokens=budget.usage.total,
        )
        seconds = max(diagnosis.cost.seconds, (now - work.began).total_seconds())
        cost = Cost(seconds=seconds, usd=_sum(work.rules.diagnosis.cost.usd, budget.usd))
        return _with(
            work.rules,
            replace(diagnosis, at=now, cost=cost, model=note),
            () if work.tools is None else tuple(work.tools.evidence),
        )


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _with(rules: Investigation, diagnosis: Diagnosis, more: tuple[Evidence, ...] = ()) -> Investigation:
    return replace(rules, evidence=(*rules.evidence, *more), diagnosis=diagnosis)
