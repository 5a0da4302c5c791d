"""What every AlertSink must do.

A test module supplies a world and inherits the suite::

    class TestMySink(AlertSinkContract):
        @pytest.fixture
        async def world(self) -> AsyncIterator[SinkWorld]: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.domain.alert import Alert, AlertStatus, IngestStatus, Severity
from bot.ports import AlertSink

STARTED = datetime(2026, 11, 21, 1, 16, 7, 879000, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkWorld:
    """``stored`` reads back what a process that starts now would find, in order of arrival."""

    sink: AlertSink
    stored: Callable[[], Awaitable[Sequence[Alert]]]


def alert(fingerprint: str = "a52934cbf7b17321", *, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint=fingerprint,
        status=status,
        name="HighErrorRate",
        severity=Severity.CRITICAL,
        labels={"alertname": "HighErrorRate", "service": "checkout", "text": "ü 🔥 \u202e"},
        annotations={"summary": "High error rate on checkout"},
        starts_at=STARTED,
        received_at=STARTED + timedelta(seconds=5),
        values={"A": 0.21},
        links={"generator": "http://prometheus.test:19090/graph"},
        group_key='{}:{alertname="HighErrorRate"}',
        receiver="bot",
    )


class AlertSinkContract:
    """The promises the listener relies on when it answers 202."""

    async def test_what_was_ingested_is_stored_as_it_was(self, world: SinkWorld) -> None:
        given = alert()
        await world.sink.ingest([given])
        assert list(await world.stored()) == [given]

    async def test_results_come_one_per_alert_in_order(self, world: SinkWorld) -> None:
        results = await world.sink.ingest([alert(f"fp{n}") for n in range(5)])
        assert [(result.index, result.fingerprint, result.status) for result in results] == [
            (n, f"fp{n}", IngestStatus.ACCEPTED) for n in range(5)
        ]

    async def test_the_same_delivery_again_is_a_duplicate_and_stored_once(self, world: SinkWorld) -> None:
        await world.sink.ingest([alert()])
        again = await world.sink.ingest([replace(alert(), received_at=STARTED + timedelta(minutes=1))])
        assert [result.status for result in again] == [IngestStatus.DUPLICATE]
        assert len(await world.stored()) == 1

    async def test_twice_in_one_batch_is_stored_once(self, world: SinkWorld) -> None:
        results = await world.sink.ingest([alert(), alert()])
        assert [result.status for result in results] == [IngestStatus.ACCEPTED, IngestStatus.DUPLICATE]
        assert len(await world.stored()) == 1

    async def test_resolved_and_a_later_firing_are_new_deliveries(self, world: SinkWorld) -> None:
        await world.sink.ingest([alert()])
        results = await world.sink.ingest(
            [alert(status=AlertStatus.RESOLVED), replace(alert(), starts_at=STARTED + timedelta(hours=1))]
        )
        assert [result.status for result in results] == [IngestStatus.ACCEPTED, IngestStatus.ACCEPTED]
        assert len(await world.stored()) == 3

    async def test_concurrent_deliveries_of_the_same_alert_store_it_once(self, world: SinkWorld) -> None:
        answers = await asyncio.gather(*(world.sink.ingest([alert()]) for _ in range(20)))
        statuses = sorted(answer[0].status for answer in answers)
        assert statuses == [IngestStatus.ACCEPTED, *[IngestStatus.DUPLICATE] * 19]
        assert len(await world.stored()) == 1
