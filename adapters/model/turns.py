"""What every conversation keeps to, whoever answers: one turn at a time, results in order, money, time."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NoReturn

from adapters.model.prices import Projection
from investigators.analyst.ports import (
    FailureKind,
    ModelFailure,
    Reply,
    Reservation,
    Spending,
    Stop,
    ToolCall,
    ToolResult,
    Usage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One turn of ours. ``dropped`` are ids of calls that the last reply was not allowed to make."""

    text: str
    results: tuple[ToolResult, ...] = ()
    dropped: tuple[str, ...] = ()
    may_use_tools: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One turn of the model."""

    text: str
    calls: tuple[ToolCall, ...]
    stop: Stop
    usage: Usage
    usd: Decimal | None


class Failed(Exception):
    """An attempt's end, within the adapters. ``cost`` is None where nobody can know whether the provider
    did the work."""

    def __init__(self, failure: ModelFailure, *, free: bool) -> None:
        self.failure = failure
        self.free = free
        super().__init__(failure.reason)


class Turns(ABC):
    """The port's conversation, but for asking. Misuse raises RuntimeError: it is a mistake of the caller."""

    def __init__(self, model: str, spending: Spending, timeout: timedelta) -> None:
        self.model = model
        self._spending = spending
        self._timeout = timeout
        self._pending: tuple[str, ...] = ()
        self._dropped: tuple[str, ...] = ()
        self._over = False

    async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
        return await self._turn((), text, may_use_tools)

    async def give(
        self, results: Sequence[ToolResult], text: str = "", *, may_use_tools: bool = True
    ) -> Reply:
        return await self._turn(tuple(results), text, may_use_tools)

    @abstractmethod
    def _hear(self, told: Told) -> Projection:
        """Append what is told, and say what asking costs at most."""

    @abstractmethod
    async def _ask(self, told: Told, deadline: float) -> Answer:
        """Ask and append the answer. ``deadline`` is of the loop's clock. Raises Failed."""

    @abstractmethod
    def _late(self) -> Failed:
        """What a turn that took too long came to."""

    async def _turn(self, results: tuple[ToolResult, ...], text: str, may_use_tools: bool) -> Reply:
        if self._over:
            raise RuntimeError("the conversation is over")
        if tuple(result.call_id for result in results) != self._pending:
            raise RuntimeError("every call of the last reply needs one result, in its order")
        if not (text.strip() or results):
            raise RuntimeError("there is nothing to say")
        # Until the reply is there: a turn that broke off, or a second one meanwhile, is the end.
        self._over = True
        told = Told(text=text, results=results, dropped=self._dropped, may_use_tools=may_use_tools)
        seconds = self._timeout.total_seconds()
        deadline = asyncio.get_running_loop().time() + seconds
        projection = self._hear(told)
        reservation: Reservation | None = None
        try:
            async with asyncio.timeout(seconds):
                reservation = await self._spending.reserve(projection.usd, projection.usage.total)
                answer = await self._ask(told, deadline)
        except TimeoutError:
            await self._fail(self._late(), projection, reservation)
        except Failed as failed:
            await self._fail(failed, projection, reservation)
        except asyncio.CancelledError:
            if reservation is not None:
                await reservation.settle(projection.usd, projection.usage)
            raise
        await reservation.settle(answer.usd, answer.usage)
        return self._replied(answer, may_use_tools)

    async def _fail(
        self, failed: Failed, projection: Projection, reservation: Reservation | None
    ) -> NoReturn:
        if reservation is not None:
            if failed.free:
                await reservation.settle(Decimal(0), Usage())
            else:
                await reservation.settle(projection.usd, projection.usage)
        raise failed.failure from None

    def _replied(self, answer: Answer, may_use_tools: bool) -> Reply:
        runs = may_use_tools and answer.stop in (Stop.DONE, Stop.TOOLS)
        calls = answer.calls if runs else ()
        self._pending = tuple(call.id for call in calls)
        self._dropped = () if runs else tuple(call.id for call in answer.calls)
        stop = answer.stop
        if stop in (Stop.DONE, Stop.TOOLS):
            stop = Stop.TOOLS if calls else Stop.DONE
        self._over = False
        return Reply(
            text=answer.text, calls=calls, stop=stop, usage=answer.usage, usd=answer.usd, model=self.model
        )


def failed(kind: FailureKind, reason: str, *, free: bool = True) -> Failed:
    return Failed(ModelFailure(kind, reason), free=free)
