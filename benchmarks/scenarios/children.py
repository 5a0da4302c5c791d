"""Child processes of a recorded machine: how each is started, and how it ended."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.synapse import steady_port

_START_SECONDS = 30.0
_UNPRIVILEGED = 61_000


def interpreter() -> str:
    """The system's interpreter, which other users may run too: the standard library is enough."""
    return shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable


@dataclass(slots=True, kw_only=True)
class Child:
    """One supervised process. ``exits`` is what the supervisor saw, as rows of the exits table."""

    name: str
    folder: Path
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | int | None = None
    log: Path = field(init=False)
    process: asyncio.subprocess.Process | None = None
    exits: list[dict[str, Any]] = field(default_factory=list)
    _watch: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        self.ended.clear()
        extra: dict[str, Any] = {} if self.user is None else {"user": self.user, "extra_groups": []}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **extra,
            )
        self._watch = asyncio.create_task(self._wait(self.process))

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        number = -code if code < 0 else None
        self.exits.append(
            {"name": self.name, "pid": process.pid, "exit_code": code, "signal": number, "at": time.time()}
        )
        self.ended.set()

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()
        if self._watch is not None:
            await self._watch


class SmallService(Child):
    """benchmarks.scenarios.service as a child: a copy of it beside its configuration."""

    port: int
    config: dict[str, Any]

    def __init__(
        self, folder: Path, name: str, config: Mapping[str, Any], *, under: Sequence[str] = ()
    ) -> None:
        own = folder / name
        own.mkdir()
        shutil.copy(Path(__file__).parent / "service.py", own / "service.py")
        command = [*under, interpreter(), "service.py", "config.json"]
        # Limits of processes count for everybody but root.
        user = _UNPRIVILEGED if any("--nproc" in word for word in under) else None
        super().__init__(name=name, folder=own, command=command, user=user)
        self.port = int(config.get("port", 0)) or steady_port()
        self.config = {"name": name, "rate": 4, **config, "port": self.port}

    @property
    def scheme(self) -> str:
        return "https" if self.config.get("tls") else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/work"

    def configure(self, **changes: Any) -> None:
        self.config |= changes
        (self.folder / "config.json").write_text(json.dumps(self.config, indent=2))

    async def start(self) -> None:
        self.configure()
        await super().start()

    async def ready(self) -> None:
        """Wait until it answers."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(_START_SECONDS):
            while True:
                try:
                    async with session.get(
                        f"{self.scheme}://127.0.0.1:{self.port}/metrics", ssl=False
                    ) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def restart(self, **changes: Any) -> None:
        """As a deployment does: SIGTERM, another configuration, start. Does not wait until it answers."""
        await self.stop(signal.SIGTERM)
        self.configure(**changes)
        await self.start()

    async def do(self, fault: str) -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{self.scheme}://127.0.0.1:{self.port}/do/{fault}", ssl=False) as answer:
                answer.raise_for_status()
