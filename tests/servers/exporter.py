"""A small service as a real child process: exposes its process metrics, and misbehaves on demand.

``GET /metrics`` · ``POST /leak?bytes_per_second=N`` · ``POST /burn`` (one core) · ``POST /calm`` ·
``POST /log?text=…`` · ``POST /hang`` (stop answering) · ``POST /die?signal=N``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from tests.servers.ports import free_port


class Exporter:
    """Starts the service; ``pid_file`` and ``log_file`` lie in ``directory``."""

    def __init__(self, directory: Path, name: str = "demo") -> None:
        self.name = name
        self.port = free_port()
        self.pid_file = directory / f"{name}.pid"
        self.log_file = directory / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(self.port), str(self.log_file),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        self.pid_file.write_text(f"{self.process.pid}\n")
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while True:
                try:
                    async with session.get(f"http://{self.address}/metrics"):
                        return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def tell(self, path: str, **params: str | int) -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"http://{self.address}/{path}", params=params) as response:
                response.raise_for_status()

    async def die(self, number: int) -> int:
        """End it by a signal; the return code is negative, as Python has it."""
        assert self.process is not None
        self.process.send_signal(number)
        return await self.process.wait()


class _Service:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._hoard: list[bytearray] = []
        self._leak = 0
        self._burning = False
        self._hanging = False
        self._started = time.time()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self.metrics),
                web.post("/leak", self.leak),
                web.post("/burn", self.burn),
                web.post("/calm", self.calm),
                web.post("/log", self.log),
                web.post("/hang", self.hang),
            ]
        )
        app.on_startup.append(self._start)
        return app

    async def _start(self, app: web.Application) -> None:
        app["leaking"] = asyncio.create_task(self._leaking())

    async def _leaking(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self._leak:
                # Written to, so that the pages are really resident.
                self._hoard.append(bytearray(os.urandom(1) * (self._leak // 20)))

    async def metrics(self, request: web.Request) -> web.Response:
        if self._hanging:
            await asyncio.sleep(3600)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        times = os.times()
        opened = len(os.listdir("/proc/self/fd"))
        return web.Response(
            text=(
                f"process_resident_memory_bytes {pages * os.sysconf('SC_PAGE_SIZE')}\n"
                f"process_cpu_seconds_total {times.user + times.system}\n"
                f"process_start_time_seconds {self._started}\n"
                f"process_open_fds {opened}\nprocess_max_fds 1024\n"
            ),
            content_type="text/plain",
        )

    async def leak(self, request: web.Request) -> web.Response:
        self._leak = int(request.query["bytes_per_second"])
        return web.Response()

    async def burn(self, request: web.Request) -> web.Response:
        self._burning = True
        threading.Thread(target=self._burn, daemon=True).start()
        return web.Response()

    def _burn(self) -> None:
        while self._burning:
            sum(range(2_000))

    async def calm(self, request: web.Request) -> web.Response:
        self._burning, self._leak = False, 0
        return web.Response()

    async def log(self, request: web.Request) -> web.Response:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with self._log.open("a") as file:
            file.write(f"{stamp} {request.query['text']}\n")
        return web.Response()

    async def hang(self, request: web.Request) -> web.Response:
        self._hanging = True
        return web.Response()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    web.run_app(
        _Service(Path(sys.argv[2])).app(), host="127.0.0.1", port=int(sys.argv[1]), print=lambda *_: None
    )
