"""How the service is: what /readyz and the gauges say of it."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.storage import SqlStore
from bot.ports import Chat
from bot.telemetry import Metrics


async def readiness(store: SqlStore, chats: Mapping[str, Chat]) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {"store": await store.healthy()}
    for name, chat in chats.items():
        found[f"chat:{name}"] = chat.healthy()
    return found


async def gauge(store: SqlStore, metrics: Metrics) -> None:
    counts = await store.counts()
    metrics.incidents_open.set(counts.live_incidents)
    metrics.outbox_pending.set(counts.pending_deliveries)
    metrics.ledger_ok.set(1 if await store.ledger_problem() is None else 0)
