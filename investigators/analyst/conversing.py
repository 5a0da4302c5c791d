"""How a follow-up is talked over with a model: read-only tools, an investigation's limits, one mending."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from bot.domain.clock import Clock
from bot.domain.evidence import Evidence
from investigators.analyst.agent import Dialogue
from investigators.analyst.budget import Budget
from investigators.analyst.citations import Exhibits
from investigators.analyst.critic_pass import second_look
from investigators.analyst.deadline import in_time
from investigators.analyst.machines import machines_beside
from investigators.analyst.ports import Limits, Model, ModelFailure, Opening, Purse, ToolSource
from investigators.analyst.tools import ToolBox
from investigators.analyst.verdict import Opinion
from investigators.ports import Question
from investigators.queries import Sources

_MEND = "Your answer cannot be used: {wrong}. Give the whole answer once more, as one JSON object."


class Review(Protocol):
    """Judges what a model says in the end."""

    def problem(self, said: str) -> str | None:
        """None where it stands, else what to mend, in our words."""
        ...

    def doubtful(self, said: str) -> Opinion | None:
        """What of it needs a second look, None where nothing does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversed:
    """How a conversation ended: ``text`` is its last answer, after the one turn to mend it where that was
    needed, or ``failure`` why there is none; ``looked`` what a second look at it came to; ``evidence`` what
    its tools took, also where it failed. ``usd`` is None where not all of the price is known."""

    text: str
    model: str
    failure: ModelFailure | None = None
    looked: Opinion | None = None
    evidence: tuple[Evidence, ...] = ()
    usd: Decimal | None = Decimal(0)
    turns: int = 1
    tool_calls: int = 0
    tokens: int = 0


class Talk:
    """Conversations over the sources of an investigation, within its limits, its time included."""

    def __init__(
        self,
        model: Model,
        sources: Sources,
        servers: Sequence[ToolSource],
        limits: Limits,
        clock: Clock,
        purse: Purse | None = None,
        pool: Executor | None = None,
    ) -> None:
        self._model = model
        self._sources = sources
        self._servers = tuple(servers)
        self._limits = limits
        self._clock = clock
        self._purse = purse
        self._pool = pool

    def exhibits(self) -> Exhibits:
        """None yet; what a conversation may show of each is limited."""
        return Exhibits(limit=self._limits.result_characters)

    async def __call__(
        self, opening: Opening, text: str, exhibits: Exhibits, question: Question, review: Review
    ) -> Conversed:
        """``opening`` names no tools: those are ours, and what they take is added to the exhibits. Never
        raises for a model that fails, and never takes much longer than the limits say."""
        limits = self._limits
        budget = Budget(limits, self._purse, self._clock, limits.wall)
        case, sources = question.case, self._sources
        beside = machines_beside(case, sources.hosts, question.evidence)
        tools = ToolBox(case, sources, self._servers, exhibits, limits, self._clock, self._pool, beside)
        ended = Conversed(text="", model=self._model.name_of(opening.tier))
        lead = self._lead(replace(opening, tools=tools.specs), text, exhibits, review, budget, tools)
        try:
            said, looked = await in_time(lead, limits.wall, limits.wall)
            ended = replace(ended, text=said, looked=looked)
        except ModelFailure as failure:
            ended = replace(ended, failure=failure)
        return replace(
            ended,
            evidence=tuple(tools.evidence),
            usd=budget.usd,
            turns=budget.turns,
            tool_calls=budget.tool_calls,
            tokens=budget.usage.total,
        )

    async def _lead(
        self,
        opening: Opening,
        text: str,
        exhibits: Exhibits,
        review: Review,
        budget: Budget,
        tools: ToolBox,
    ) -> tuple[str, Opinion | None]:
        conversation = self._model.open(opening, budget, budget.left)
        dialogue = Dialogue(conversation, budget, tools if tools.specs else None)
        said = await dialogue.ask(text)
        wrong = review.problem(said)
        if wrong is not None and budget.turns_left:
            said = await dialogue.ask(_MEND.format(wrong=wrong), read=False)
            wrong = review.problem(said)
        opinion = review.doubtful(said) if wrong is None else None
        if opinion is None:
            return said, None
        return said, await second_look(self._model, budget, opinion, exhibits)
