"""The sink the listener is tested with keeps the same promises as the one it runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from adapters.storage import open_store
from bot.domain.alert import Alert
from bot.domain.clock import SystemClock
from tests.contracts.alert_sink_contract import AlertSinkContract, SinkWorld
from tests.fakes.alert_sink import InMemoryAlertSink


class TestInMemoryAlertSink(AlertSinkContract):
    @pytest.fixture
    async def world(self) -> SinkWorld:
        sink = InMemoryAlertSink()
        return SinkWorld(sink=sink, stored=sink.stored)


class TestSqlStore(AlertSinkContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[SinkWorld]:
        async with open_store(
            tmp_path / "store.db", clock=SystemClock(), wake=lambda _job, _at: None
        ) as store:

            async def stored() -> Sequence[Alert]:
                async with store.reading() as rows:
                    return [pending.alert for pending in await rows.pending_alerts(1000)]

            yield SinkWorld(sink=store, stored=stored)
