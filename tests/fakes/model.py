"""A model that says what a test's script says, within the limits of the port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from investigators.analyst.ports import (
    Conversation,
    ModelFailure,
    Opening,
    Reply,
    Spending,
    Stop,
    Tier,
    ToolCall,
    ToolResult,
    Usage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the model was told: ``number`` counts all turns of all its conversations, from 1; ``turn`` those
    of this one."""

    number: int
    turn: int
    opening: Opening
    text: str
    results: tuple[ToolResult, ...]
    may_use_tools: bool


Script = Callable[[Turn], Reply | ModelFailure]


def said(text: str, *, usage: Usage | None = None, stop: Stop = Stop.DONE) -> Reply:
    return Reply(
        text=text, calls=(), stop=stop, usage=usage or Usage(input=100, output=10), usd=None, model=""
    )


def asked(*calls: ToolCall, text: str = "", usage: Usage | None = None) -> Reply:
    return Reply(
        text=text,
        calls=calls,
        stop=Stop.TOOLS,
        usage=usage or Usage(input=100, output=10),
        usd=None,
        model="",
    )


@dataclass
class ScriptedModel:
    """``turns`` is everything it was ever told: no secret may be among it. A call costs ``usd``."""

    script: Script
    usd: Decimal | None = Decimal("0.01")
    name: str = "scripted"
    turns: list[Turn] = field(default_factory=list)

    def name_of(self, tier: Tier) -> str:
        return f"scripted-{tier.value}"

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        return _Conversation(self, opening, spending)


class _Conversation:
    def __init__(self, model: ScriptedModel, opening: Opening, spending: Spending) -> None:
        self._model = model
        self._opening = opening
        self._spending = spending
        self._pending: tuple[str, ...] = ()
        self._turn = 0
        self._over = False

    async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
        assert not self._pending, "calls are unanswered"
        return await self._next(text, (), may_use_tools)

    async def give(
        self, results: Sequence[ToolResult], text: str = "", *, may_use_tools: bool = True
    ) -> Reply:
        assert tuple(one.call_id for one in results) == self._pending, "every call has one result, in order"
        return await self._next(text, tuple(results), may_use_tools)

    async def _next(self, text: str, results: tuple[ToolResult, ...], may_use_tools: bool) -> Reply:
        assert not self._over, "the conversation is over"
        self._turn += 1
        model = self._model
        try:
            reservation = await self._spending.reserve(model.usd, 1_000)
        except ModelFailure:
            self._over = True
            raise
        turn = Turn(
            number=len(model.turns) + 1,
            turn=self._turn,
            opening=self._opening,
            text=text,
            results=results,
            may_use_tools=may_use_tools,
        )
        model.turns.append(turn)
        said = model.script(turn)
        if isinstance(said, ModelFailure):
            self._over = True
            await reservation.settle(Decimal(0), Usage())
            raise said
        await reservation.settle(model.usd, said.usage)
        calls = said.calls if may_use_tools else ()
        self._pending = tuple(call.id for call in calls)
        stop = Stop.DONE if said.stop is Stop.TOOLS and not calls else said.stop
        return Reply(
            text=said.text,
            calls=calls,
            stop=stop,
            usage=said.usage,
            usd=model.usd,
            model=model.name_of(self._opening.tier),
        )
