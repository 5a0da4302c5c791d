"""Fills a store of the current revision through its own API: at least one row in every table."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from adapters.storage import open_store
from approvals.ledger import Checkpoint
from approvals.ports import Switch
from bot.domain.chat import DeliveryOp, ReactionAdded
from bot.domain.ids import ExecutionId, IncidentId
from bot.domain.incident import IncidentState
from bot.domain.outcome import Outcome, OutcomeVerdict
from bot.domain.proposal import Remediation, RemediationKind
from tests.contracts.store_asked import question, wish
from tests.contracts.store_nouns import (
    NOW,
    ROOM,
    StillClock,
    Woken,
    alert,
    declared_edge,
    delivery,
    edge,
    event,
    execution,
    incident,
    past_incident,
    place,
    posted,
    ready_for_the_gate,
    result,
    summary,
)
from tests.migrations.harness import SAMPLES, dump


async def fill(path: Path) -> None:
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        version = await ready_for_the_gate(store)
        await place(store, IncidentId("inc_1"), [alert("a"), alert("b")])
        await store.ingest([alert("waiting")])
        await store.claim(execution(), version, [event("claimed")])
        await store.finish(ExecutionId("exe_1"), result(), IncidentState.VERIFYING, [event("finished")])
        async with store.transaction() as tx:
            await tx.add_incident(incident(2))
            await tx.add_remediation(
                Remediation(incident_id=IncidentId("inc_1"), run=1, kind=RemediationKind.PROPOSED, at=NOW)
            )
            await tx.add_outcome(
                Outcome(
                    execution_id=ExecutionId("exe_1"),
                    verdict=OutcomeVerdict.PENDING,
                    at=NOW,
                    attempt=1,
                    checks=(),
                    last=False,
                )
            )
            await tx.remember(past_incident())
            await tx.plan_summary(IncidentId("inc_1"), 0)
            await tx.add_summary(summary())
            await tx.plan_summary(IncidentId("inc_1"), 1)
            await tx.keep_edges([edge("checkout", "db")], NOW - timedelta(days=7))
            await tx.declare_edges([declared_edge("web", "checkout")], NOW)
            await tx.add_question(question())
            await tx.add_wish(wish())
            await tx.beat("Watchdog", NOW)
            await tx.set_switch(Switch(paused=True, actor="ada", reason="test"), NOW)
            await tx.put(delivery("a1", DeliveryOp.OPEN_THREAD))
            await tx.put(delivery("a2", room=ROOM))
            opening = (await tx.due_deliveries(NOW, 1))[0]
            await tx.mark_sent(opening.sequence, posted("$root"), NOW)
        reaction = ReactionAdded(
            event_id="$e1",
            platform="matrix",
            room="!room:test",
            sender="@ada:test",
            at=NOW,
            message_id="$card",
            key="✅",
        )
        await store.store("matrix", [reaction], "s1")
        await store.purse.take(Decimal("0.25"), Decimal(10))
        head = await store.head()
        await store.add_checkpoint(
            Checkpoint(size=head.size, head_hash=head.hash, at=NOW, envelope=b'{"payload": ""}')
        )


def main(revision: str, path: Path) -> None:
    """Write the sample of the current revision: ``python -m tests.migrations.filling 0001 /some/file.db``."""
    asyncio.run(fill(path))
    db = sqlite3.connect(path)
    (SAMPLES / f"{revision}.sql").write_text(dump(db))
    db.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
