"""One investigation outside the service, with what its store has kept; nothing of the incident is stored."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from adapters.storage import StoreBeside, open_store_beside
from bot.app.reasoning import open_reasoners
from bot.app.replay import firing, new_case, seed
from bot.app.seams import Seams
from bot.app.wiring import grouping, router
from bot.domain.alert import Alert
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.errors import AssentError, ConfigError, UserError
from config.schema import Config
from investigators.ports import Case, Investigation

_ALERTS = 50


@asynccontextmanager
async def open_kept(config: Config, clock: Clock) -> AsyncIterator[tuple[StoreBeside | None, str]]:
    """The configured store, whether a service runs on it or not, or None and one line why not."""
    path = config.data_dir / "assent.db"
    if not path.exists():
        yield None, f"there is no store at {path}"
        return
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(open_store_beside(path, clock))
        except AssentError as error:
            problem = "; ".join(error.problems) if isinstance(error, ConfigError) else str(error)
            yield None, problem
            return
        yield store, ""


def case_of_body(config: Config, body: bytes, where: str, clock: Clock, *, recorded: bool) -> Case:
    """The first firing alert's incident. Raises InputError where there is none."""
    now = clock.now()
    limits, missing = config.limits, config.grouping.missing_severity
    alerts = firing(body, where, now, limits=limits, missing_severity=missing)
    token = seed(body, now) if recorded else secrets.token_hex
    return new_case(alerts, now, token, router(config), grouping(config))


async def case_of_incident(store: StoreBeside, short_id: str, clock: Clock) -> Case:
    """As its next run would have it; of one that is over, as it was when it ended. Raises UserError where
    there is no such incident."""
    async with store.reading() as rows:
        incident = await rows.incident_by_short_id(short_id.lstrip("#"))
        if incident is None:
            raise UserError(f"there is no incident {short_id} in the store")
        stored = await rows.current_alerts(incident.id, _ALERTS)
        now = incident.resolved_at or clock.now()
        return Case(
            incident=incident,
            alerts=tuple(one.alert for one in stored),
            run=incident.run + 1,
            now=now,
            recurrence=await rows.recurrence_of(incident, now),
        )


def body_of(alerts: Sequence[Alert]) -> bytes:
    """The alerts as Alertmanager would send them, for a recording of what came otherwise."""
    bodies = [
        {
            "status": alert.status.value,
            "labels": {**alert.labels, "alertname": alert.name},
            "annotations": dict(alert.annotations),
            "startsAt": to_rfc3339(alert.starts_at),
            "endsAt": "0001-01-01T00:00:00Z" if alert.ends_at is None else to_rfc3339(alert.ends_at),
            "fingerprint": alert.fingerprint,
        }
        for alert in alerts
    ]
    return json.dumps({"version": "4", "status": "firing", "groupKey": "", "alerts": bodies}).encode()


async def investigate_once(
    config: Config, seams: Seams, case: Case, store: StoreBeside | None
) -> Investigation:
    async with (
        aiohttp.ClientSession() as session,
        open_reasoners(
            config, seams, session, store, purse=None if store is None else store.purse
        ) as reasoners,
    ):
        return await reasoners.investigator.investigate(case)
