"""A real Synapse: killed, given a broken configuration, given a signing key that is none."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.scenarios.box import Box, Scenario, rule
from benchmarks.scenarios.children import Child
from benchmarks.scenarios.monitoring import HOST
from benchmarks.scenarios.truth import Cause, Truth
from tests.servers.ports import free_port
from tests.servers.synapse import Synapse

_TAGS = ("homeserver", "recorded")
# A process of Python is otherwise called python.
_START = (
    "import pathlib, runpy; pathlib.Path('/proc/self/comm').write_text('synapse'); "
    "runpy.run_module('synapse.app.homeserver', run_name='__main__', alter_sys=True)"
)


class Chat(Child):
    """Synapse in the foreground, with the files that a short first life of it has made."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(
            name="synapse",
            folder=folder,
            command=[sys.executable, "-c", _START, "-c", "homeserver.yaml"],
        )
        self.port = port

    def configure(self, **changes: Any) -> None:
        file = self.folder / "homeserver.yaml"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes, indent=1))

    async def probe(self, _: web.Request) -> web.Response:
        """What blackbox_exporter says of its versions page."""
        began, ok = time.perf_counter(), 0
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.8)) as session:
                async with session.get(f"http://127.0.0.1:{self.port}/_matrix/client/versions") as answer:
                    ok = int(answer.status == 200)
        except (aiohttp.ClientError, TimeoutError):
            ok = 0
        took = time.perf_counter() - began
        return web.Response(text=f"probe_success {ok}\nprobe_duration_seconds {took:.4f}\n")


async def chat(box: Box) -> Chat:
    """A running Synapse with a probe, as job ``synapse``."""
    made = await box.stack.enter_async_context(Synapse())
    await made.stop()
    child = Chat(made.home, made.port)
    child.configure(log_config=str(_log_config(made.home)))
    box.own(child)
    await child.start()
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{made.url}/_matrix/client/versions"):
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    app = web.Application()
    app.add_routes([web.get("/metrics", child.probe)])
    runner = web.AppRunner(app)
    await runner.setup()
    box.stack.push_async_callback(runner.cleanup)
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    box.scrape("synapse", child.port, port, service="synapse")
    box.homes.append(made.home)
    return child


def _log_config(home: Path) -> Path:
    file = home / "log.yaml"
    config: Mapping[str, Any] = {
        "version": 1,
        "formatters": {
            "plain": {"format": "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(message)s"}
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"level": "INFO", "handlers": ["console"]},
        "disable_existing_loggers": False,
    }
    file.write_text(json.dumps(config))
    return file


def _unanswered() -> dict[str, Any]:
    return rule("HomeserverDown", 'probe_success{job="synapse"} == 0', f"synapse on {HOST} does not answer")


def _truth(*faults: str, **more: Any) -> Truth:
    return Truth(causes=[Cause(object="synapse", fault=one, kind="") for one in faults], tags=_TAGS, **more)


async def killed(box: Box) -> Truth:
    server = await chat(box)
    await box.watch(_unanswered())
    server.send(signal.SIGKILL)
    await box.alerted("HomeserverDown")
    return _truth("process_crash", "process_not_running")


async def suspended(box: Box) -> Truth:
    server = await chat(box)
    await box.watch(_unanswered())
    server.send(signal.SIGSTOP)
    await box.alerted("HomeserverDown")
    return _truth("process_hang")


async def broken_configuration(box: Box) -> Truth:
    """A change of its configuration makes it end at the next start."""
    server = await chat(box)
    await box.watch(_unanswered())
    await server.stop(signal.SIGTERM)
    server.configure(database={"name": "sqlit3", "args": {"database": "homeserver.db"}})
    box.changed(
        "5a90b1fe",
        "synapse",
        "Spell out the database engine",
        kind="config",
        files=["homeserver.yaml"],
        diff='-  "name": "sqlite3"\n+  "name": "sqlit3"\n',
    )
    await server.start()
    await server.ended.wait()
    await box.alerted("HomeserverDown", linger=6)
    return _truth("process_crash", "process_not_running", "wrong_env_value", culprit="5a90b1fe")


async def bad_signing_key(box: Box) -> Truth:
    """Its signing key was overwritten; it ends at the next start."""
    server = await chat(box)
    await box.watch(_unanswered())
    await server.stop(signal.SIGTERM)
    (server.folder / "signing.key").write_text("ed25519 a_AbCd not+a+key\n")
    await server.start()
    await server.ended.wait()
    await box.alerted("HomeserverDown", linger=6)
    return _truth("process_crash", "process_not_running")


SCENARIOS: dict[str, Scenario] = {
    "homeserver-killed": killed,
    "homeserver-suspended": suspended,
    "homeserver-broken-configuration": broken_configuration,
    "homeserver-bad-signing-key": bad_signing_key,
}
