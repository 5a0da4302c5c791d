from __future__ import annotations

import pytest

from tests.contracts.alert_sink_contract import AlertSinkContract, SinkWorld
from tests.fakes.alert_sink import InMemoryAlertSink


class TestInMemoryAlertSink(AlertSinkContract):
    @pytest.fixture
    async def world(self) -> SinkWorld:
        sink = InMemoryAlertSink()
        return SinkWorld(sink=sink, stored=sink.stored)
