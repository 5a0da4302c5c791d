"""Money, tokens, turns and time: asked before each call, and never more than the limit."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.errors import Unavailable
from investigators.analyst.budget import Budget
from investigators.analyst.ports import FailureKind, Limits, ModelFailure, Usage
from tests.fakes.evidence import FixedClock
from tests.fakes.purse import FakePurse
from tests.investigators.analyst.world import Wallet

CENT = Decimal("0.01")


def budget(purse: Any = None, clock: FixedClock | None = None, **limits: Any) -> Budget:
    return Budget(Limits(**limits), purse, clock or FixedClock(), timedelta(seconds=60))


async def refused(made: Budget, usd: Decimal | None = CENT, tokens: int = 10) -> FailureKind:
    with pytest.raises(ModelFailure) as failure:
        await made.reserve(usd, tokens)
    return failure.value.kind


async def test_a_call_that_could_pass_the_limit_is_not_made() -> None:
    made = budget(usd=Decimal("0.05"))
    held = await made.reserve(Decimal("0.04"), 10)
    assert await refused(made, Decimal("0.02")) is FailureKind.BUDGET
    await held.settle(CENT, Usage(input=5))
    assert made.usd == CENT
    await made.reserve(Decimal("0.04"), 10)
    assert await refused(made) is FailureKind.BUDGET


async def test_tokens_are_counted_with_those_reserved() -> None:
    made = budget(tokens=100)
    held = await made.reserve(None, 60)
    assert await refused(made, None, 60) is FailureKind.BUDGET
    await held.settle(None, Usage(input=10, output=5, cache_read=5))
    assert made.usage.total == 20
    await made.reserve(None, 80)


async def test_an_unknown_price_is_never_zero() -> None:
    made = budget()
    await (await made.reserve(None, 10)).settle(None, Usage(input=1))
    assert made.usd is None


async def test_a_call_whose_end_is_not_known_has_no_known_price() -> None:
    made = budget()
    assert made.usd == 0
    await made.reserve(CENT, 10)
    assert made.usd is None


async def test_settling_twice_counts_once() -> None:
    wallet = Wallet("1")
    made = budget(wallet)
    held = await made.reserve(Decimal("0.5"), 10)
    await held.settle(CENT, Usage(input=1))
    await held.settle(CENT, Usage(input=1))
    assert made.usd == CENT
    assert made.usage.total == 1
    assert wallet.left == Decimal("0.99")


async def test_the_days_money_is_taken_before_and_given_back_after() -> None:
    wallet = Wallet("0.05")
    made = budget(wallet)
    held = await made.reserve(Decimal("0.05"), 10)
    assert wallet.left == 0
    assert await refused(made) is FailureKind.DAILY_BUDGET
    await held.settle(Decimal("0.02"), Usage())
    assert wallet.left == Decimal("0.03")


async def test_what_the_day_refuses_is_not_held_by_the_investigation() -> None:
    wallet = Wallet("0")
    made = budget(wallet, usd=Decimal("0.05"), tokens=10)
    for _ in range(5):
        assert await refused(made, Decimal("0.05"), 10) is FailureKind.DAILY_BUDGET
    assert made.usd == 0


async def test_where_the_days_money_cannot_be_read_nothing_is_spent() -> None:
    class Broken(Wallet):
        async def take(self, usd: Decimal, limit: Decimal) -> str | None:
            raise Unavailable("store", "is gone")

    assert await refused(budget(Broken())) is FailureKind.BUDGET


async def test_money_that_cannot_be_given_back_counts_as_spent() -> None:
    class Broken(Wallet):
        async def give_back(self, taking: str, usd: Decimal) -> None:
            raise Unavailable("store", "is gone")

    wallet = Broken("1")
    made = budget(wallet)
    await (await made.reserve(Decimal("0.5"), 10)).settle(CENT, Usage())
    assert made.usd == CENT
    assert wallet.left == Decimal("0.5")


async def test_what_a_call_costs_beyond_its_projection_is_of_the_days_money_too() -> None:
    clock = FixedClock()
    purse = FakePurse(clock)
    limits = {"usd": Decimal("0.50"), "usd_per_day": Decimal("0.60")}
    first, second = budget(purse, clock, **limits), budget(purse, clock, **limits)
    for made, calls in ((first, 10), (second, 2)):
        for _ in range(calls):
            await (await made.reserve(CENT, 10)).settle(5 * CENT, Usage())
    assert await refused(first) is FailureKind.BUDGET
    assert await refused(second) is FailureKind.DAILY_BUDGET
    assert await purse.spent_today() == 12 * 5 * CENT


async def test_a_call_of_unknown_price_that_turns_out_to_have_one_is_charged() -> None:
    wallet = Wallet("1")
    await (await budget(wallet).reserve(None, 10)).settle(CENT, Usage())
    assert wallet.left == Decimal("0.99")


async def test_what_could_not_be_charged_is_charged_before_the_next_call_or_there_is_none() -> None:
    class Broken(Wallet):
        works = False

        async def charge(self, usd: Decimal) -> None:
            if not self.works:
                raise Unavailable("store", "is gone")
            await super().charge(usd)

    wallet = Broken("1")
    made = budget(wallet)
    await (await made.reserve(CENT, 10)).settle(5 * CENT, Usage())
    assert made.usd == 5 * CENT
    assert await refused(made) is FailureKind.BUDGET
    wallet.works = True
    await made.reserve(CENT, 10)
    assert wallet.left == Decimal("0.94")


async def test_without_a_limit_of_the_day_nothing_is_charged_to_it() -> None:
    wallet = Wallet("1")
    await (await budget(wallet, usd_per_day=None).reserve(CENT, 10)).settle(5 * CENT, Usage())
    assert wallet.left == 1


async def test_time_that_is_over_ends_it() -> None:
    clock = FixedClock()
    made = budget(clock=clock)
    await made.reserve(CENT, 10)
    clock.moment += timedelta(seconds=61)
    assert await refused(made) is FailureKind.TIMEOUT


def test_turns_are_counted_for_all_conversations() -> None:
    made = budget(turns=2)
    made.begin_turn()
    made.begin_turn()
    with pytest.raises(ModelFailure) as failure:
        made.begin_turn()
    assert failure.value.kind is FailureKind.BUDGET
    assert made.turns == 2


async def test_time_is_kept_to_end_in() -> None:
    clock = FixedClock()
    made = budget(clock=clock)
    await (await made.reserve(CENT, 10)).settle(CENT, Usage(input=1))
    assert not made.scarce
    clock.moment += timedelta(seconds=46)
    assert made.scarce
