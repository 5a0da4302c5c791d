"""The store on SQLite keeps every promise of the contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from adapters.storage import open_store
from bot.domain.alert import Alert
from tests.contracts.alert_sink_contract import AlertSinkContract, SinkWorld
from tests.contracts.store_contract import StillClock, StoreContract, StoreWorld, Woken


class TestSqlStore(StoreContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[StoreWorld]:
        clock, woken = StillClock(), Woken()
        async with open_store(tmp_path / "assent.db", clock=clock, wake=woken) as store:
            yield StoreWorld(store=store, clock=clock, woken=woken)


class TestSqlStoreAsAlertSink(AlertSinkContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[SinkWorld]:
        async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=Woken()) as store:

            async def stored() -> Sequence[Alert]:
                async with store.reading() as rows:
                    return [found.alert for found in await rows.pending_alerts(1000)]

            yield SinkWorld(sink=store, stored=stored)
