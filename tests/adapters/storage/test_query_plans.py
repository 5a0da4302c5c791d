"""No query reads a whole table that grows, and the store is quick with a year's worth of rows."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.sql import ClauseElement

import adapters.storage
from adapters.storage import open_store
from adapters.storage.rows import Statements
from bot.domain.ids import IncidentId
from bot.domain.incident import IncidentState
from tests.contracts.store_nouns import NOW, StillClock, Woken, alert, incident

READ_WHOLE = {"switches", "heartbeats", "checkpoints"}
"""Small for ever, or read to be proved from end to end."""


def statements() -> Iterator[tuple[str, ClauseElement]]:
    """Every statement the package keeps. Names in lower case are parts of others."""
    for module in pkgutil.iter_modules(adapters.storage.__path__, "adapters.storage."):
        if module.ispkg:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            values = value if isinstance(value, tuple) else (value,)
            for each in values:
                found = each[-1] if isinstance(each, tuple) and each else each
                if name.isupper() and isinstance(found, (Select, Insert, Update, Delete)):
                    yield f"{module.name}.{name}", found


def offences(sql: str, plan: list[str]) -> Iterator[str]:
    """Steps that read a table from end to end. Stopping early in the order of the key is no offence."""
    stops_early = "LIMIT" in sql and "WHERE" not in sql and "USE TEMP B-TREE FOR ORDER BY" not in plan
    for step in plan:
        kind, table, *rest = step.split()
        whole = kind == "SCAN" and "INDEX" not in rest and not table.startswith("anon_")
        if whole and table not in READ_WHOLE and not stops_early:
            yield step


async def test_every_query_of_a_growing_table_uses_an_index(tmp_path: Path) -> None:
    path = tmp_path / "assent.db"
    async with open_store(path, clock=StillClock(), wake=Woken()):
        pass
    db = sqlite3.connect(path)
    compiled = Statements()
    seen = 0
    found = []
    for name, statement in statements():
        sql, names, _ = compiled.compiled(statement)
        plan = [row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * len(names))]
        found += [f"{name}: {step}" for step in offences(sql, plan)]
        seen += 1
    db.close()
    assert found == []
    assert seen > 70


async def test_counting_the_incidents_of_a_service_reads_its_index_alone(tmp_path: Path) -> None:
    path = tmp_path / "assent.db"
    async with open_store(path, clock=StillClock(), wake=Woken()):
        pass
    db = sqlite3.connect(path)
    compiled = Statements()
    plans = {}
    for name, statement in statements():
        if name.startswith("adapters.storage.memory_rows."):
            sql, names, _ = compiled.compiled(statement)
            plan = db.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * len(names))
            plans[name.rpartition(".")[2]] = " | ".join(row[-1] for row in plan)
    db.close()
    counted = (
        "incidents USING COVERING INDEX ix_incidents_service_opened (service=? AND environment=? AND mode=?"
    )
    assert counted in plans["_COUNTS"]
    assert "incidents USING INDEX ix_incidents_service_resolved" in plans["_LATELY_RESOLVED"]
    assert "TEMP B-TREE" not in plans["_LATELY_RESOLVED"]
    assert "past USING INDEX ix_past_offered" in plans["_OFFERED"]


async def test_with_a_hundred_thousand_alerts_every_question_is_answered_at_once(tmp_path: Path) -> None:
    path = tmp_path / "assent.db"
    async with open_store(path, clock=StillClock(), wake=Woken()) as store:
        async with store.transaction() as tx:
            for number in range(5000):
                state = IncidentState.OPEN if number % 10 == 0 else IncidentState.RESOLVED
                await tx.add_incident(
                    incident(number, short_id=f"S{number}", state=state, resolved_at=NOW, run=number % 3)
                )
        for number in range(100):
            found = await store.ingest([alert(f"fp{number}-{n}") for n in range(1000)])
            async with store.transaction() as tx:
                await tx.place_alerts(
                    [r.alert_id for r in found if r.alert_id], IncidentId(f"inc_{number * 10}")
                )
        started = time.perf_counter()
        async with store.reading() as rows:
            for number in range(20):
                one = IncidentId(f"inc_{number * 10}")
                assert await rows.incident_by_short_id(f"s{number}") is not None
                assert len(await rows.current_alerts(one, 20)) == 20
                assert await rows.incident_of_firing("alertmanager", f"fp{number}-7") is not None
                assert await rows.incident_with_fingerprint(f"fp{number}-7") is not None
                assert len(await rows.incidents(live_only=True, limit=20)) == 20
                assert (
                    await rows.joinable_incident(
                        source="alertmanager", group_key=f"g{number}", correlation={}, resolved_after=NOW
                    )
                    is None
                    or number % 10 == 0
                )
                assert list(await rows.pending_alerts(500)) == []
        each = (time.perf_counter() - started) / 20
        work = await store.pending_work()
        # Generous: a table scan of this size takes many times as long.
        assert each < 0.1
        assert len(work) > 5000
