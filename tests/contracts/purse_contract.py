"""What every purse of a day's money must do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from investigators.analyst.ports import Purse
from tests.contracts.store_nouns import StillClock

LIMIT = Decimal(1)


class AnyPurse(Purse, Protocol):
    async def spent_today(self) -> Decimal: ...


class PurseContract:
    """A test module supplies ``purse`` and the ``clock`` it goes by, which stands at 03:00 UTC."""

    async def test_what_is_taken_is_spent_until_it_is_given_back(self, purse: AnyPurse) -> None:
        taking = await purse.take(Decimal("0.75"), LIMIT)
        assert taking is not None
        assert await purse.take(Decimal("0.26"), LIMIT) is None
        await purse.give_back(taking, Decimal("0.70"))
        assert await purse.spent_today() == Decimal("0.05")
        assert await purse.take(Decimal("0.95"), LIMIT) is not None

    async def test_the_limit_itself_may_be_spent_and_not_a_billionth_more(self, purse: AnyPurse) -> None:
        assert await purse.take(LIMIT + Decimal("0.000000001"), LIMIT) is None
        assert await purse.take(LIMIT, LIMIT) is not None
        assert await purse.take(Decimal("0.000000001"), LIMIT) is None

    async def test_a_refused_taking_takes_nothing(self, purse: AnyPurse) -> None:
        await purse.take(Decimal(2), LIMIT)
        assert await purse.spent_today() == 0

    async def test_no_more_comes_back_than_was_taken(self, purse: AnyPurse) -> None:
        one = await purse.take(Decimal("0.5"), LIMIT)
        other = await purse.take(Decimal("0.5"), LIMIT)
        assert one is not None
        assert other is not None
        for _ in range(3):
            await purse.give_back(one, Decimal("0.5"))
        assert await purse.spent_today() == Decimal("0.5")

    async def test_a_new_day_of_utc_has_new_money(self, purse: AnyPurse, clock: StillClock) -> None:
        taking = await purse.take(LIMIT, LIMIT)
        clock.forward(timedelta(hours=20, minutes=59))
        assert await purse.take(Decimal("0.01"), LIMIT) is None
        clock.forward(timedelta(minutes=1))
        assert await purse.take(LIMIT, LIMIT) is not None
        assert taking is not None
        await purse.give_back(taking, LIMIT)
        assert await purse.spent_today() == LIMIT, "yesterday's money does not come back today"

    async def test_what_is_charged_is_spent_beyond_any_limit_and_leaves_less_to_take(
        self, purse: AnyPurse
    ) -> None:
        assert await purse.take(Decimal("0.9"), LIMIT) is not None
        await purse.charge(Decimal("0.05"))
        assert await purse.take(Decimal("0.06"), LIMIT) is None
        await purse.charge(Decimal("0.7"))
        assert await purse.spent_today() == Decimal("1.65")

    async def test_what_is_charged_is_gone_with_its_day(self, purse: AnyPurse, clock: StillClock) -> None:
        await purse.charge(LIMIT)
        clock.forward(timedelta(days=1))
        assert await purse.take(LIMIT, LIMIT) is not None

    async def test_many_at_once_do_not_overspend(self, purse: AnyPurse) -> None:
        taken = await asyncio.gather(*(purse.take(Decimal("0.03"), LIMIT) for _ in range(60)))
        assert len([name for name in taken if name is not None]) == 33
        assert len({name for name in taken if name is not None}) == 33
        assert await purse.spent_today() == Decimal("0.99")
