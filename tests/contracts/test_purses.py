"""The store's purse and the fake one keep the same promises; the store's keeps them through a crash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.storage import open_store
from adapters.storage.engine import open_connections
from adapters.storage.spend_rows import SqlPurse
from bot.domain.errors import Unavailable
from tests.contracts.purse_contract import LIMIT, AnyPurse, PurseContract
from tests.contracts.store_nouns import StillClock, Woken
from tests.fakes.purse import FakePurse


class TestSqlPurse(PurseContract):
    @pytest.fixture
    def clock(self) -> StillClock:
        return StillClock()

    @pytest.fixture
    async def purse(self, tmp_path: Path, clock: StillClock) -> AsyncIterator[AnyPurse]:
        async with open_store(tmp_path / "assent.db", clock=clock, wake=Woken()) as store:
            yield store.purse


class TestFakePurse(PurseContract):
    @pytest.fixture
    def clock(self) -> StillClock:
        return StillClock()

    @pytest.fixture
    def purse(self, clock: StillClock) -> AnyPurse:
        return FakePurse(clock)


async def test_what_was_taken_before_a_crash_stays_spent(tmp_path: Path) -> None:
    path = tmp_path / "assent.db"
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        assert await store.purse.take(LIMIT, LIMIT) is not None
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        assert await store.purse.take(Decimal("0.01"), LIMIT) is None


async def test_two_purses_on_one_database_share_the_day(tmp_path: Path) -> None:
    async with open_connections(tmp_path / "assent.db") as connections:
        one, other = SqlPurse(connections, StillClock()), SqlPurse(connections, StillClock())
        assert await one.take(Decimal("0.6"), LIMIT) is not None
        assert await other.take(Decimal("0.6"), LIMIT) is None


async def test_days_long_gone_are_forgotten(tmp_path: Path) -> None:
    clock = StillClock()
    async with open_connections(tmp_path / "assent.db") as connections:
        purse = SqlPurse(connections, clock)
        await purse.take(LIMIT, LIMIT)
        first = clock.now().date()
        for days in (1, 30, 2):
            clock.forward(timedelta(days=days))
            await purse.take(LIMIT, LIMIT)
        kept = [(first + timedelta(days=31)).isoformat(), (first + timedelta(days=33)).isoformat()]
        async with connections.reading() as rows:
            assert [day for (day,) in await rows.query("SELECT day FROM model_spend ORDER BY day")] == kept


async def test_a_closed_store_has_no_money(tmp_path: Path) -> None:
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=Woken()) as store:
        purse = store.purse
    with pytest.raises(Unavailable):
        await purse.take(Decimal("0.01"), LIMIT)
