"""An alert sink in memory, with the promises of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.domain.alert import Alert, IngestResult, IngestStatus
from bot.domain.errors import Unavailable
from bot.domain.ids import AlertId


class InMemoryAlertSink:
    """Keeps each delivery key once.

    ``broken`` makes every ingest fail with it and store nothing; clearing ``open`` makes ingests wait
    (``entered`` tells that one has begun).
    """

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.broken: Unavailable | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()

    async def ingest(self, alerts: Sequence[Alert]) -> Sequence[IngestResult]:
        self.entered.set()
        await self.open.wait()
        if self.broken is not None:
            raise self.broken
        return [self._keep(index, alert) for index, alert in enumerate(alerts)]

    async def stored(self) -> Sequence[Alert]:
        """Every stored alert, in order of arrival."""
        return tuple(self.alerts.values())

    def _keep(self, index: int, alert: Alert) -> IngestResult:
        known = alert.delivery_key in self.alerts
        self.alerts.setdefault(alert.delivery_key, alert)
        return IngestResult(
            index=index,
            status=IngestStatus.DUPLICATE if known else IngestStatus.ACCEPTED,
            fingerprint=alert.fingerprint,
            alert_id=AlertId(f"al_{alert.delivery_key[:24]}"),
        )
