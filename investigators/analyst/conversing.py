"""How a follow-up is talked over with a model: read-only tools, an investigation's limits, one mending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.domain.clock import Clock
from bot.domain.evidence import Evidence
from investigators.analyst.agent import Dialogue
from investigators.analyst.budget import Budget
from investigators.analyst.citations import Exhibits
from investigators.analyst.ports import Limits, Model, ModelFailure, Opening, Purse, ToolSource
from investigators.analyst.tools import ToolBox
from investigators.ports import Question
from investigators.queries import Sources

_MEND = "Your answer cannot be used: {wrong}. Give the whole answer once more, as one JSON object."


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversed:
    """How a conversation ended: ``text`` is its last answer, after the one turn to mend it where that was
    needed, or ``failure`` why there is none; ``evidence`` what its tools took. ``usd`` None where the price
    is not known."""

    text: str
    model: str
    failure: ModelFailure | None = None
    evidence: tuple[Evidence, ...] = ()
    usd: Decimal | None = Decimal(0)
    turns: int = 1
    tool_calls: int = 0
    tokens: int = 0


class Talk:
    """A :class:`investigators.analyst.follow_up.Converse` over the sources of an investigation."""

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

    async def __call__(
        self,
        opening: Opening,
        text: str,
        check: Callable[[str, tuple[Evidence, ...]], str | None],
        question: Question,
    ) -> Conversed:
        """Never raises for a model that fails."""
        limits = self._limits
        budget = Budget(limits, self._purse, self._clock, limits.wall)
        exhibits = Exhibits(limit=limits.result_characters)
        tools = ToolBox(
            question.case, self._sources, self._servers, exhibits, limits, self._clock, self._pool
        )
        said, failure = "", None
        try:
            conversation = self._model.open(replace(opening, tools=tools.specs), budget, budget.left)
            dialogue = Dialogue(conversation, budget, tools if tools.specs else None)
            said = await dialogue.ask(text)
            wrong = check(said, tuple(tools.evidence))
            if wrong is not None and budget.turns_left:
                said = await dialogue.ask(_MEND.format(wrong=wrong), read=False)
        except ModelFailure as error:
            failure = error
        return Conversed(
            text=said,
            model=self._model.name_of(opening.tier),
            failure=failure,
            evidence=tuple(tools.evidence),
            usd=budget.usd,
            turns=budget.turns,
            tool_calls=budget.tool_calls,
            tokens=budget.usage.total,
        )
