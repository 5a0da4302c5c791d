"""Limits of one investigation that a test sets, with everything that was reserved and settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from investigators.analyst.ports import FailureKind, ModelFailure, Reservation, Usage


@dataclass
class FakeSpending:
    """``refuses`` from that many reservations on. ``reserved`` and ``settled`` are in order."""

    refuses: int | None = None
    reserved: list[tuple[Decimal | None, int]] = field(default_factory=list)
    settled: list[tuple[Decimal | None, Usage]] = field(default_factory=list)

    async def reserve(self, usd: Decimal | None, tokens: int) -> Reservation:
        if self.refuses is not None and len(self.reserved) >= self.refuses:
            raise ModelFailure(FailureKind.BUDGET, "the investigation's money is spent")
        self.reserved.append((usd, tokens))
        return _Reservation(self)


@dataclass(frozen=True, slots=True)
class _Reservation:
    spending: FakeSpending

    async def settle(self, usd: Decimal | None, usage: Usage) -> None:
        self.spending.settled.append((usd, usage))
