"""What one investigation may cost: asked before every call, settled after it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from investigators.analyst.ports import FailureKind, Limits, ModelFailure, Purse, Reservation, Usage

_TO_FINISH = 3
"""Calls to end well with: the answer, one to mend it, and a second look at it."""
_GROWS = Decimal("1.25")
"""What the next call may take of what the last one did: a conversation grows."""
_TIME_TO_FINISH = 4
"""The part of the time that is kept to end in."""


class Budget:
    """The limits of one investigation and the day's money; a ``Spending`` for all its conversations.

    ``wall`` is what is left of the time from now on.
    """

    def __init__(self, limits: Limits, purse: Purse | None, clock: Clock, wall: timedelta) -> None:
        self._limits = limits
        self._purse = purse
        self._clock = clock
        self._wall = wall
        self._end = clock.now() + wall
        self._last: tuple[Decimal, int] = (Decimal(0), 0)
        self._held_usd = Decimal(0)
        self._held_tokens = 0
        self._spent_usd = Decimal(0)
        self._owed = Decimal(0)
        self._price_known = True
        self.usage = Usage()
        self.turns = 0
        self.tool_calls = 0

    @property
    def usd(self) -> Decimal | None:
        """What was spent; None where the price of any call is not known, or whether it was answered."""
        return self._spent_usd if self._price_known and not self._held_tokens else None

    @property
    def left(self) -> timedelta:
        """Of the time."""
        return self._end - self._clock.now()

    @property
    def turns_left(self) -> int:
        return max(0, self._limits.turns - self.turns)

    def begin_turn(self) -> None:
        """Raises ModelFailure where no turn is left."""
        if self.turns_left == 0:
            raise ModelFailure(FailureKind.BUDGET, f"its {self._limits.turns} turns are used up")
        self.turns += 1

    @property
    def scarce(self) -> bool:
        """Whether to end now: another reading could leave too little money, tokens or time for an answer."""
        usd, tokens = self._last
        limits, needed = self._limits, _TO_FINISH * _GROWS
        if limits.usd is not None and limits.usd - self._committed < needed * usd:
            return True
        if limits.tokens - self.usage.total - self._held_tokens < needed * tokens:
            return True
        return self.left < self._wall / _TIME_TO_FINISH

    @property
    def tools_left(self) -> int:
        return max(0, self._limits.tool_calls - self.tool_calls)

    async def reserve(self, usd: Decimal | None, tokens: int) -> Reservation:
        """Raises ModelFailure; nothing is taken then."""
        limits = self._limits
        if self.left <= timedelta(0):
            raise ModelFailure(FailureKind.TIMEOUT, f"no answer within {limits.wall.total_seconds():g} s")
        if self.usage.total + self._held_tokens + tokens > limits.tokens:
            raise ModelFailure(
                FailureKind.BUDGET, f"the next call could pass the limit of {limits.tokens} tokens"
            )
        if usd is not None and limits.usd is not None and self._committed + usd > limits.usd:
            raise ModelFailure(
                FailureKind.BUDGET, f"the next call could pass the limit of {limits.usd} USD an investigation"
            )
        held = usd or Decimal(0)
        self._last = (held, tokens)
        self._held_usd += held
        self._held_tokens += tokens
        try:
            taking = await self._taken(usd)
        except BaseException:
            self._held_usd -= held
            self._held_tokens -= tokens
            raise
        return _Held(budget=self, usd=usd, tokens=tokens, taking=taking)

    @property
    def _committed(self) -> Decimal:
        return self._spent_usd + self._held_usd

    async def _taken(self, usd: Decimal | None) -> str | None:
        limit = self._limits.usd_per_day
        if usd is None or limit is None or self._purse is None:
            return None
        try:
            await self._pay(self._purse)
            taking = await self._purse.take(usd, limit)
        except Unavailable:
            raise ModelFailure(
                FailureKind.BUDGET, "what is left of the day's money could not be read"
            ) from None
        if taking is None:
            raise ModelFailure(FailureKind.DAILY_BUDGET, f"the limit of {limit} USD a day is reached")
        return taking

    async def settle(self, held: _Held, usd: Decimal | None, usage: Usage) -> None:
        self._held_usd -= held.usd or Decimal(0)
        self._held_tokens -= held.tokens
        self.usage += usage
        if usd is None:
            # What is not known counts as all that was reserved.
            self._price_known = False
            self._spent_usd += held.usd or Decimal(0)
            return
        self._spent_usd += usd
        taken = Decimal(0) if held.usd is None else held.usd
        if usd > taken:
            await self._charge(usd - taken)
        elif held.taking is not None and self._purse is not None and usd < taken:
            # Where it cannot be given back it counts as spent: the day ends a little sooner.
            with suppress(Unavailable):
                await self._purse.give_back(held.taking, taken - usd)

    async def _charge(self, usd: Decimal) -> None:
        """What a call cost beyond its projection is of the day's money too."""
        if self._purse is None or self._limits.usd_per_day is None:
            return
        self._owed += usd
        # The next reservation pays it or is refused.
        with suppress(Unavailable):
            await self._pay(self._purse)

    async def _pay(self, purse: Purse) -> None:
        owed, self._owed = self._owed, Decimal(0)
        if not owed:
            return
        try:
            await purse.charge(owed)
        except BaseException:
            self._owed += owed
            raise


@dataclass(slots=True, kw_only=True)
class _Held:
    budget: Budget
    usd: Decimal | None
    tokens: int
    taking: str | None
    settled: bool = False

    async def settle(self, usd: Decimal | None, usage: Usage) -> None:
        """Only the first time counts."""
        if not self.settled:
            self.settled = True
            await self.budget.settle(self, usd, usage)
