"""Signs of life: a heartbeat that stays away is an incident of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.domain.alert import IngestStatus
from bot.domain.audit import HeartbeatMissed
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.incident import IncidentState
from bot.ports import AlertSink, IncidentStore
from bot.workflow.moving import move
from bot.workflow.own_alerts import synthetic_alert

MISSING = "HeartbeatMissing"


class WatchingHeartbeats:
    """Compares when each heartbeat was last seen with how long it may stay away.

    A heartbeat never seen counts from the start of this process, so that a forgotten Watchdog shows.
    """

    def __init__(
        self,
        store: IncidentStore,
        sink: AlertSink,
        missing_after: Mapping[str, timedelta | None],
        clock: Clock,
        started_at: datetime,
    ) -> None:
        self._store = store
        self._sink = sink
        self._missing_after = missing_after
        self._clock = clock
        self._started_at = started_at

    async def run(self, subject: str = "") -> None:
        now = self._clock.now()
        async with self._store.reading() as rows:
            seen = await rows.heartbeats()
            raised = {
                name: await rows.incident_of_firing("assent", f"assent:{MISSING}:{name}") is not None
                for name in self._missing_after
            }
        for name, limit in self._missing_after.items():
            if limit is None:
                continue
            last = seen.get(name, self._started_at)
            missing = now - last > limit
            if missing != raised[name]:
                await self._raise(name, last, now, firing=missing)

    async def _raise(self, name: str, last: datetime, now: datetime, *, firing: bool) -> None:
        alert = synthetic_alert(
            f"{MISSING}:{name}",
            firing=firing,
            summary=f"the heartbeat {name} has not been seen since {to_rfc3339(last)}"
            if firing
            else f"the heartbeat {name} is back",
            since=last,
            now=now,
        )
        (taken,) = await self._sink.ingest([alert])
        # Told before, and no incident came of it: a route ignores it, or it was closed for its age.
        if firing and taken.status is IngestStatus.ACCEPTED:
            async with self._store.transaction() as tx:
                await tx.record(HeartbeatMissed(heartbeat=name, last_seen=to_rfc3339(last)))


class AgingOut:
    """Closes incidents that nobody and nothing has touched for a long time."""

    def __init__(self, store: IncidentStore, age_out: timedelta, clock: Clock) -> None:
        self._store = store
        self._age_out = age_out
        self._clock = clock

    async def run(self) -> None:
        now = self._clock.now()
        async with self._store.transaction() as tx:
            for incident in await tx.stale_incidents(now - self._age_out, 200):
                if incident.firing:
                    # Its alerts are repeated, not started anew: closed, it would fall silent.
                    continue
                await move(tx, incident, IncidentState.CLOSED, "untouched for too long", now)
