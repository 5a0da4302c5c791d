"""How many alerts a second become durable, and how soon the sender hears of it.

Runs Assent's listener on its SQLite store, and beside it, in the same run and with the same bytes, the
ceiling: a bare aiohttp handler that puts the raw body into SQLite with group commit and looks at nothing.
Each server is a process of its own; this process only sends. Bodies are a captured Alertmanager delivery of
one alert, each with its own fingerprint. Every 202 is checked against the rows found on disk afterwards.
The two take turns, so that whatever else the machine does troubles both; medians are reported.

    python -m benchmarks.ingest [--seconds 3] [--rate 2000] [--rounds 3] [--loop asyncio|uvloop] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.measure import ROOT, Measure, percentile
from benchmarks.output import finish
from benchmarks.sending import CONNECTIONS, Requests, closed_loop, open_loop

_BARE = "bare aiohttp handler, raw SQLite group commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One server, once: saturated (``per_second``, ``cpu_ms``), then at a steady rate (``p50_ms``,
    ``p99_ms``, ``steady_cpu_ms``). CPU is of the whole server process, per alert."""

    per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    steady_cpu_ms: float


async def serve_once(name: str, seconds: float, rate: int, loop: str, folder: Path) -> Result:
    """One server on an empty file: warm up, saturate, then a steady rate; then count what is on disk."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.servers", name, "--loop", loop, "--dir", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        requests = Requests("/webhook/am")
        process = psutil.Process(server.pid)
        warm, _ = await closed_loop(port, requests, 0.5)
        before = _cpu_seconds(process)
        full, took = await closed_loop(port, requests, seconds)
        between = _cpu_seconds(process)
        steady = await open_loop(port, requests, seconds, rate)
        after = _cpu_seconds(process)
    finally:
        server.communicate("stop\n", timeout=30)
    tallies = (warm, full, steady)
    if failed := sum(tally.failed for tally in tallies):
        raise SystemExit(f"{name}: {failed} requests were not answered 202")
    answered, durable = sum(tally.accepted for tally in tallies), _rows_on_disk(folder)
    if answered != durable:
        raise SystemExit(f"{name}: {answered} answers 202, but {durable} rows on disk")
    return Result(
        per_second=full.accepted / took,
        cpu_ms=(between - before) / full.accepted * 1000,
        p50_ms=percentile(steady.seconds, 50) * 1000,
        p99_ms=percentile(steady.seconds, 99) * 1000,
        steady_cpu_ms=(after - between) / steady.accepted * 1000,
    )


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _rows_on_disk(folder: Path) -> int:
    with sqlite3.connect(folder / "store.db") as database:
        return int(database.execute("SELECT count(*) FROM alerts").fetchone()[0])


def measure(
    seconds: float = 3.0, rate: int = 2000, rounds: int = 3, loop: str = "asyncio", place: Path | None = None
) -> list[Measure]:
    """Both servers ``rounds`` times, in turn."""
    found: dict[str, list[Result]] = {"bare": [], "assent": []}
    for _ in range(rounds):
        for name, results in found.items():
            with tempfile.TemporaryDirectory(dir=place) as folder:
                results.append(asyncio.run(serve_once(name, seconds, rate, loop, Path(folder))))
    return judge(found["assent"], found["bare"], rate)


def judge(assent: Sequence[Result], bare: Sequence[Result], rate: int) -> list[Measure]:
    def both(value: Callable[[Result], float]) -> tuple[float, float]:
        return median(map(value, assent)), median(map(value, bare))

    full, bare_full = both(lambda result: result.per_second)
    cpu, bare_cpu = both(lambda result: result.cpu_ms)
    steady_cpu, bare_steady_cpu = both(lambda result: result.steady_cpu_ms)
    middle, bare_middle = both(lambda result: result.p50_ms)
    late, bare_late = both(lambda result: result.p99_ms)
    return [
        Measure(
            name="durable alerts, saturated",
            value=full,
            unit="/s",
            baseline_name=_BARE,
            baseline=bare_full,
            goal=0.5,
            at_least=True,
            goal_on_ratio=True,
            note=f"one a request, {CONNECTIONS} connections, median of {len(assent)}",
        ),
        Measure(
            name="CPU per alert up to the 202, saturated",
            value=cpu,
            unit="ms",
            baseline_name=_BARE,
            baseline=bare_cpu,
            goal=0.4,
        ),
        Measure(
            name=f"CPU per alert at {rate}/s",
            value=steady_cpu,
            unit="ms",
            baseline_name=_BARE,
            baseline=bare_steady_cpu,
            goal=0.4,
        ),
        Measure(
            name=f"202 at {rate}/s, p50",
            value=middle,
            unit="ms",
            baseline_name=_BARE,
            baseline=bare_middle,
        ),
        Measure(
            name=f"202 at {rate}/s, p99",
            value=late,
            unit="ms",
            baseline_name=_BARE,
            baseline=bare_late,
            goal=25,
            note="from when it was due",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each phase")
    parser.add_argument("--rate", type=int, default=2000, help="requests a second of the steady phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--dir", type=Path, help="where the files go; default: a temporary folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    measures = measure(given.seconds, given.rate, given.rounds, given.loop, given.dir)
    return finish(measures, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
