"""How many alerts a second become durable, and how soon the sender hears of it.

Runs Assent's listener on its SQLite store, and beside it, in the same run and with the same bytes, the
ceiling: a bare aiohttp handler that puts the raw body into SQLite with group commit and looks at nothing.
Each server is a process of its own; this process only sends. Bodies are a captured Alertmanager delivery of
one alert, each with its own fingerprint. Every 202 is checked against the rows found on disk afterwards.

    python -m benchmarks.ingest [--seconds 4] [--rate 2000] [--loop asyncio|uvloop] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
PAYLOAD = ROOT / "tests" / "data" / "payloads" / "alertmanager-0.28_firing_single.json"
FINGERPRINT = b"a52934cbf7b17321"
TOKEN = "benchmark"

CONNECTIONS = 64
MAX_REQUESTS = 200_000
MAX_SECONDS = 60.0


class Requests:
    """Request bytes with a fingerprint of their own each, made from the captured body."""

    def __init__(self, path: str) -> None:
        body = PAYLOAD.read_bytes()
        assert body.count(FINGERPRINT) == 1
        before, after = body.split(FINGERPRINT)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Alertmanager/0.28.1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        self._before, self._after = head + before, after
        self._made = 0

    def next(self) -> bytes:
        self._made += 1
        return self._before + b"%016x" % self._made + self._after


@dataclass
class Tally:
    """Answers, by what they were, and the seconds each accepted one took."""

    accepted: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)


class Sender(asyncio.Protocol):
    """One connection with one request under way at a time."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._received = b""
        self._since = 0.0
        self.when_done = lambda _sender: None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, since: float) -> None:
        assert self.transport is not None
        self._since = since
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._received = b""
        if head.startswith(b"HTTP/1.1 202 "):
            self._tally.accepted += 1
            self._tally.seconds.append(time.perf_counter() - self._since)
        else:
            self._tally.failed += 1
        self.when_done(self)


async def connect(port: int, count: int, tally: Tally) -> list[Sender]:
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(lambda: Sender(tally), "127.0.0.1", port) for _ in range(count)]
    return [sender for _, sender in pairs]


async def closed_loop(port: int, requests: Requests, seconds: float) -> tuple[Tally, float]:
    """Every connection sends its next request as soon as it has its answer. Returns seconds, too."""
    tally = Tally()
    senders = await connect(port, CONNECTIONS, tally)
    started = time.perf_counter()
    ends = started + seconds
    over = asyncio.Event()
    under_way, sent = len(senders), len(senders)

    def again(sender: Sender) -> None:
        nonlocal under_way, sent
        now = time.perf_counter()
        if now < ends and sent < MAX_REQUESTS:
            sent += 1
            sender.send(requests.next(), now)
            return
        under_way -= 1
        if not under_way:
            over.set()

    for sender in senders:
        sender.when_done = again
        sender.send(requests.next(), time.perf_counter())
    async with asyncio.timeout(MAX_SECONDS):
        await over.wait()
    took = time.perf_counter() - started
    for sender in senders:
        sender.transport.close()
    return tally, took


async def open_loop(port: int, requests: Requests, seconds: float, rate: int) -> Tally:
    """Requests leave on schedule whether or not earlier ones were answered; time counts from the schedule."""
    tally = Tally()
    idle = deque(await connect(port, CONNECTIONS * 2, tally))
    waiting: deque[float] = deque()
    total = min(int(seconds * rate), MAX_REQUESTS)
    answered = 0
    over = asyncio.Event()

    def free(sender: Sender) -> None:
        nonlocal answered
        answered += 1
        if waiting:
            sender.send(requests.next(), waiting.popleft())
        else:
            idle.append(sender)
        if answered == total:
            over.set()

    senders = list(idle)
    for sender in senders:
        sender.when_done = free
    started = time.perf_counter()
    async with asyncio.timeout(MAX_SECONDS):
        for number in range(total):
            due = started + number / rate
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if idle:
                idle.popleft().send(requests.next(), due)
            else:
                waiting.append(due)
        await over.wait()
    for sender in senders:
        sender.transport.close()
    return tally


@dataclass(frozen=True)
class Result:
    name: str
    per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    open_loop_cpu_ms: float
    durable: int
    answered: int
    rss_mb: float


async def measure(name: str, seconds: float, rate: int, loop: str, folder: Path) -> Result:
    """One server on an empty file: warm up, saturate, then a steady rate; then count what is on disk."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.ingest",
        "--serve",
        name,
        "--loop",
        loop,
        "--dir",
        str(folder),
    ]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        requests = Requests("/webhook/am")
        process = psutil.Process(server.pid)
        warm, _ = await closed_loop(port, requests, 0.5)
        before = cpu_seconds(process)
        full, took = await closed_loop(port, requests, seconds)
        between = cpu_seconds(process)
        steady = await open_loop(port, requests, seconds, rate)
        after = cpu_seconds(process)
        memory = process.memory_info().rss / 2**20
    finally:
        server.communicate("stop\n", timeout=30)
    tallies = (warm, full, steady)
    if failed := sum(tally.failed for tally in tallies):
        raise SystemExit(f"{name}: {failed} requests were not answered 202")
    cuts = statistics.quantiles(steady.seconds, n=100)
    return Result(
        name=name,
        per_second=full.accepted / took,
        cpu_ms=(between - before) / full.accepted * 1000,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        open_loop_cpu_ms=(after - between) / steady.accepted * 1000,
        durable=rows_on_disk(folder),
        answered=sum(tally.accepted for tally in tallies),
        rss_mb=memory,
    )


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def rows_on_disk(folder: Path) -> int:
    with sqlite3.connect(folder / "store.db") as database:
        return int(database.execute("SELECT count(*) FROM alerts").fetchone()[0])


# The two servers


async def serve_assent(folder: Path, stop: asyncio.Event) -> None:
    from adapters.alerts import parsers
    from adapters.http import open_listener
    from adapters.storage import open_store
    from bot.domain.clock import SystemClock
    from bot.telemetry import Metrics, configure_logging
    from config.schema import Limits, Listen, Source

    configure_logging("json", "info", sys.stderr)
    limits, clock = Limits(), SystemClock()
    source = Source.model_validate({"name": "am", "kind": "alertmanager", "auth": {"bearer": TOKEN}})

    async def ready() -> dict[str, str | None]:
        return {}

    async with (
        open_store(folder / "store.db", clock=clock, wake=lambda _job, _at: None) as store,
        open_listener(
            Listen(host="127.0.0.1", port=0),
            sources=(source,),
            limits=limits,
            parsers=parsers(limits),
            sink=store,
            metrics=Metrics(version="benchmark"),
            readiness=ready,
            clock=clock,
        ) as listener,
    ):
        print(listener.port, flush=True)
        await stop.wait()


async def serve_bare(folder: Path, stop: asyncio.Event) -> None:
    """No authentication, no parsing, no answer per alert: what Python, aiohttp and the disk allow."""
    from aiohttp import web

    database = sqlite3.connect(folder / "store.db", check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE alerts (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    waiting: list[tuple[bytes, asyncio.Future[None]]] = []
    arrived = asyncio.Event()

    def commit(bodies: list[tuple[bytes]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO alerts (body) VALUES (?)", bodies)
        database.execute("COMMIT")

    async def write() -> None:
        while True:
            await arrived.wait()
            arrived.clear()
            while waiting:
                group, waiting[:] = waiting[:], []
                await asyncio.to_thread(commit, [(body,) for body, _ in group])
                for _, stored in group:
                    stored.set_result(None)

    async def take(request: web.Request) -> web.Response:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((await request.read(), stored))
        arrived.set()
        await stored
        return web.Response(status=202)

    application = web.Application()
    application.router.add_post("/webhook/am", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    writer = asyncio.create_task(write())
    print(runner.addresses[0][1], flush=True)
    await stop.wait()
    await runner.cleanup()
    writer.cancel()
    database.close()


async def serve(name: str, folder: Path) -> None:
    """Serve until a line arrives on standard input, or it ends because the parent died."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    await (serve_assent if name == "assent" else serve_bare)(folder, stop)


def run(main: object, loop: str) -> object:
    if loop == "asyncio":
        return asyncio.run(main)  # type: ignore[arg-type]
    import uvloop

    return uvloop.run(main)


def report(results: list[Result], rounds: int, rate: int, place: Path) -> dict[str, float | int]:
    best = {
        name: max((result for result in results if result.name == name), key=lambda result: result.per_second)
        for name in ("bare", "assent")
    }
    print(
        f"ingest: best of {rounds} rounds, one alert a request, {CONNECTIONS} connections, files in {place}"
    )
    print(
        f"{'':8}{'alerts/s':>10}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'RSS MB':>9}"
        f"{'durable':>10}"
    )
    print(f"{'':8}{'saturated':>10}{'/alert':>9}{f'at {rate}/s':>18}{'/alert':>9}")
    for name, result in best.items():
        print(
            f"{name:8}{result.per_second:10.0f}{result.cpu_ms:9.3f}{result.p50_ms:9.2f}{result.p99_ms:9.2f}"
            f"{result.open_loop_cpu_ms:9.3f}{result.rss_mb:9.1f}{result.durable:10d}"
        )
    ratio = best["assent"].per_second / best["bare"].per_second
    print(f"assent reaches {ratio:.0%} of the bare handler")
    return {
        "bare_per_second": best["bare"].per_second,
        "assent_per_second": best["assent"].per_second,
        "ratio": ratio,
        "cpu_ms_per_alert": best["assent"].cpu_ms,
        "p50_ms": best["assent"].p50_ms,
        "p99_ms": best["assent"].p99_ms,
        "rate": rate,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each phase")
    parser.add_argument("--rate", type=int, default=2000, help="requests a second of the steady phase")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--dir", type=Path, help="where the files go; default: a temporary folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--serve", choices=("assent", "bare"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run(serve(given.serve, given.dir), given.loop)
        return 0
    results: list[Result] = []
    place = given.dir or Path(tempfile.gettempdir())
    for _ in range(given.rounds):
        for name in ("bare", "assent"):
            with tempfile.TemporaryDirectory(dir=place) as folder:
                result = asyncio.run(measure(name, given.seconds, given.rate, given.loop, Path(folder)))
            if result.durable != result.answered:
                print(f"{name}: {result.answered} answers 202, but {result.durable} rows on disk")
                return 1
            results.append(result)
    summary = report(results, given.rounds, given.rate, place)
    if given.json:
        print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
