"""The day's money in memory, within the limits of the port."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from bot.domain.clock import Clock


@dataclass
class FakePurse:
    """``takings``: by name, the day and what of it was not given back."""

    clock: Clock
    takings: dict[str, tuple[date, Decimal]] = field(default_factory=dict)

    async def take(self, usd: Decimal, limit: Decimal) -> str | None:
        today = self.clock.now().date()
        if sum((taken for day, taken in self.takings.values() if day == today), usd) > limit:
            return None
        name = str(len(self.takings) + 1)
        self.takings[name] = (today, usd)
        return name

    async def give_back(self, taking: str, usd: Decimal) -> None:
        day, taken = self.takings[taking]
        self.takings[taking] = (day, max(taken - usd, Decimal(0)))

    async def charge(self, usd: Decimal) -> None:
        self.takings[str(len(self.takings) + 1)] = (self.clock.now().date(), usd)

    async def spent_today(self) -> Decimal:
        today = self.clock.now().date()
        return sum((taken for day, taken in self.takings.values() if day == today), Decimal(0))
