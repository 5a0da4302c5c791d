"""Alerts to incidents, one investigation's own work, and proof of the ledger, each beside the bare work.

python -m benchmarks.engine [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.keys import generate_signing_key, load_signer, load_trusted
from adapters.queue.local import LocalQueue
from adapters.storage import SqlStore, open_store
from approvals.statement import sign_checkpoint
from benchmarks.measure import Measure
from benchmarks.output import finish
from bot.app.build import CONCURRENCY
from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.audit import AlertsJoined
from bot.domain.clock import SystemClock
from bot.domain.evidence import LogLine
from bot.domain.ids import IncidentId, new_id
from bot.domain.incident import Mode, Route
from bot.ports import JobKind
from bot.telemetry import Metrics
from bot.workflow.announcement import Announcing
from bot.workflow.intake import GroupingRules, Intake
from bot.workflow.proving import prove_ledger
from bot.workflow.routing import Router, RoutingRule
from tests.fakes.evidence import NOW, WorldHost, WorldMetrics, series
from tests.investigators.world import alert, case, investigator

_ALERTS = 5_000
_BATCH = 500
_ENTRIES = 50_000
_INVESTIGATIONS = 20
_MIB = 2**20
_SECONDS = 120.0


# Intake


def _pending(number: int) -> Alert:
    now = SystemClock().now()
    name = f"service-{number}"
    return Alert(
        source="alertmanager",
        fingerprint=f"{number:016x}",
        status=AlertStatus.FIRING,
        name="HighErrorRate",
        severity=Severity.WARNING,
        labels={"alertname": "HighErrorRate", "service": name, "namespace": "shop", "severity": "warning"},
        annotations={"summary": f"{name} answers one request in ten with an error"},
        starts_at=now,
        received_at=now,
        group_key=f'{{}}:{{service="{name}"}}',
    )


async def place_alerts(folder: Path) -> tuple[float, float]:
    """Seconds until every alert has an incident of its own, and until each is announced. Both steps run side
    by side on the service's own queue, as they do there; nothing is sent."""
    clock, metrics = SystemClock(), Metrics(version="benchmark")
    errors: list[Exception] = []
    queue = LocalQueue(clock, CONCURRENCY, on_error=lambda _job, error: errors.append(error))
    announce_only = RoutingRule(
        route=Route(name="all", mode=Mode.NOTIFY, rooms=("incidents",)),
        match={},
        match_re={},
        words=(),
        severities=frozenset(),
    )
    rules = GroupingRules(
        correlation_labels=("cluster", "namespace", "service"),
        reopen_within=timedelta(hours=1),
        heartbeats={},
    )
    async with open_store(folder / "intake.db", clock=clock, wake=queue.put) as store:
        router = Router(rules=(announce_only,), default_rooms=())
        intake = Intake(store, router, rules, clock, secrets.token_hex, metrics, errors.append)
        announcing = Announcing(store, clock)
        placed = asyncio.Event()

        async def place(subject: str) -> None:
            await intake.run(subject)
            placed.set()

        async def send(_subject: str) -> None:
            """The chat's part is not measured here."""

        for first in range(0, _ALERTS, _BATCH):
            await store.ingest([_pending(number) for number in range(first, first + _BATCH)])
        started = time.perf_counter()
        handlers = {JobKind.INTAKE: place, JobKind.ANNOUNCE: announcing.run, JobKind.DELIVER: send}
        working = asyncio.create_task(queue.run(handlers))
        async with asyncio.timeout(_SECONDS):
            await placed.wait()
            until_placed = time.perf_counter() - started
            await queue.drain(timedelta(seconds=_SECONDS))
        until_announced = time.perf_counter() - started
        working.cancel()
        counts = await store.counts()
    for error in errors:
        raise error
    if (counts.live_incidents, counts.pending_deliveries) != (_ALERTS, _ALERTS):
        raise SystemExit(f"{_ALERTS} alerts made {counts}")
    return until_placed, until_announced


def bare_placing(folder: Path) -> float:
    """Seconds for the rows alone: an incident, two ledger entries, and a mark on the alert, for each."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE alerts (id INTEGER PRIMARY KEY, body TEXT, incident TEXT)")
    database.execute("CREATE TABLE incidents (id TEXT PRIMARY KEY, body TEXT)")
    database.execute("CREATE TABLE ledger (seq INTEGER PRIMARY KEY, hash BLOB, body TEXT)")
    body = json.dumps({"text": "x" * 600})
    database.execute("BEGIN")
    database.executemany("INSERT INTO alerts VALUES (?, ?, NULL)", ((n, body) for n in range(_ALERTS)))
    database.execute("COMMIT")
    started = time.perf_counter()
    for first in range(0, _ALERTS, _BATCH):
        numbers = range(first, first + _BATCH)
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO incidents VALUES (?, ?)", ((f"inc_{n}", body) for n in numbers))
        database.executemany(
            "INSERT INTO ledger VALUES (?, ?, ?)",
            ((2 * n + i, hashlib.sha256(body.encode()).digest(), body) for n in numbers for i in (0, 1)),
        )
        database.executemany(
            "UPDATE alerts SET incident = ? WHERE id = ?", ((f"inc_{n}", n) for n in numbers)
        )
        database.execute("COMMIT")
    took = time.perf_counter() - started
    database.close()
    return took


def measure_intake() -> list[Measure]:
    with tempfile.TemporaryDirectory() as place:
        placed, announced = asyncio.run(place_alerts(Path(place)))
        bare = bare_placing(Path(place))
    return [
        Measure(
            name="new incidents placed, announcements beside",
            value=_ALERTS / placed,
            unit="/s",
            baseline_name="the same rows by raw SQLite",
            baseline=_ALERTS / bare,
            goal=500,
            at_least=True,
            note=f"{_ALERTS} alerts",
        ),
        Measure(
            name="new incidents placed and announced",
            value=_ALERTS / announced,
            unit="/s",
            baseline_name="the same rows by raw SQLite",
            baseline=_ALERTS / bare,
            note="into the outbox",
        ),
    ]


# Ledger


async def prove(folder: Path) -> tuple[float, float]:
    """Seconds to verify a stored chain, and to hash the same bytes alone."""
    clock = SystemClock()
    signer = load_signer(generate_signing_key())
    verifier = load_trusted((), signer=signer)
    async with open_store(folder / "ledger.db", clock=clock, wake=lambda _job, _at: None) as store:
        await _fill(store, clock)
        head = await store.head()
        await store.add_checkpoint(sign_checkpoint(signer, head, clock.now()))
        started = time.perf_counter()
        report = (await prove_ledger(store, verifier, None)).report
        took = time.perf_counter() - started
        if not report.ok or report.entries != _ENTRIES:
            raise SystemExit(f"the ledger does not verify: {report}")
        links = [(entry.prev_hash, entry.body) async for batch in store.entries() for entry in batch]
    started = time.perf_counter()
    for previous, body in links:
        hashlib.sha256(previous + body).digest()
    return took, time.perf_counter() - started


async def _fill(store: SqlStore, clock: SystemClock) -> None:
    for _ in range(0, _ENTRIES, _BATCH):
        async with store.transaction() as tx:
            await tx.record(
                *(
                    AlertsJoined(
                        incident_id=IncidentId(new_id("inc")),
                        count=1,
                        firing=1,
                        resolved=0,
                        alert_ids=(new_id("alr"),),
                    )
                    for _ in range(_BATCH)
                )
            )


def measure_ledger() -> list[Measure]:
    with tempfile.TemporaryDirectory() as place:
        took, bare = asyncio.run(prove(Path(place)))
    return [
        Measure(
            name="ledger entries verified",
            value=_ENTRIES / took,
            unit="/s",
            baseline_name="hashlib alone over the same bytes",
            baseline=_ENTRIES / bare,
            note=f"{_ENTRIES} entries read from the file",
        )
    ]


# Investigation


def measure_investigation() -> list[Measure]:
    """A leak seen by metrics (31 series of 120 samples), the process table and 500 log lines."""
    leak = [(50 + step) * _MIB for step in range(120)]
    found = [
        series("process_resident_memory_bytes", leak, job="demo", instance="box:8000"),
        series("up", [1] * 120, job="demo", instance="box:8000"),
        *(
            series("process_resident_memory_bytes", leak, job="demo", instance=f"box:{n}")
            for n in range(8001, 8030)
        ),
    ]
    started = (NOW - timedelta(hours=5)).timestamp()
    running: dict[str, Any] = {
        "name": "demo",
        "pid": 7,
        "started_at": started,
        "rss_bytes": 170 * _MIB,
        "cpu_percent": 2.0,
    }
    host = WorldHost(
        process_records=[{**running, "threads": 1, "open_files": 9, "status": "sleeping"}],
        process_series=[series("process_resident_memory_bytes", leak[-6:], step=0.25)],
        resource_records=[{"memory_available_bytes": 9e8, "memory_total_bytes": 1e9, "cpu_percent": 5.0}],
        exit_records=[],
        lines=[
            LogLine(text=f"2026-03-01 INFO GET /item/{n} 200 in {n} ms", at=NOW - timedelta(seconds=500 - n))
            for n in range(500)
        ],
    )
    asked = case(alert("MemoryHigh", expr='process_resident_memory_bytes{job="demo"} > 1e8'))
    engine = investigator([WorldMetrics(series=found)], [host])
    own_cpu: list[float] = []
    for _ in range(_INVESTIGATIONS):
        before = time.process_time()
        answer = asyncio.run(engine.investigate(asked))
        own_cpu.append(time.process_time() - before)
    if answer.diagnosis.root_cause is None:
        raise SystemExit(f"the leak was not found: {answer.diagnosis.summary}")
    before = time.process_time()
    for one in found:
        times = [sample.at.timestamp() for sample in one.samples]
        statistics.linear_regression(times, [sample.value for sample in one.samples])
    bare = time.process_time() - before
    return [
        Measure(
            name="CPU of one investigation",
            value=statistics.median(own_cpu) * 1000,
            unit="ms",
            baseline_name="a straight line through the same series",
            baseline=bare * 1000,
            goal=100,
            note=f"{len(found)} series, {len(host.lines or ())} log lines",
        )
    ]


def measure() -> list[Measure]:
    return [*measure_intake(), *measure_ledger(), *measure_investigation()]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    return finish(measure(), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
