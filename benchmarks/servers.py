"""The two servers of the ingest benchmark, each in a process of its own.

    python -m benchmarks.servers assent|bare --dir FOLDER [--loop asyncio|uvloop]

Prints its port, and serves until a line arrives on standard input or that is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from pathlib import Path

from benchmarks.sending import TOKEN


async def serve_assent(folder: Path, stop: asyncio.Event) -> None:
    from adapters.alerts import parsers
    from adapters.http import open_listener
    from adapters.storage import open_store
    from bot.cli.collecting import collect_seldom
    from bot.domain.clock import SystemClock
    from bot.telemetry import Metrics, configure_logging
    from config.schema import Limits, Listen, Source

    collect_seldom()  # as the service does once it is built
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=("assent", "bare"))
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    given = parser.parse_args()
    if given.loop == "uvloop":
        import uvloop

        uvloop.run(serve(given.name, given.dir))
    else:
        asyncio.run(serve(given.name, given.dir))


if __name__ == "__main__":
    main()
