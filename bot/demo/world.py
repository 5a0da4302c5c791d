"""Starting and watching the demo's service."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import psutil

from bot.demo.service import MEBIBYTE
from bot.domain.errors import Unavailable

NAME = "shop"
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHandle:
    """The demo's service. ``pid`` is the first instance's; :meth:`current_pid` reads the pid file, which a
    restart rewrites. ``argv`` is the command that starts it again on the same port."""

    port: int
    pid: int
    directory: Path
    argv: tuple[str, ...]

    @property
    def log(self) -> Path:
        return self.directory / "shop.log"

    @property
    def pid_file(self) -> Path:
        return self.directory / "shop.pid"

    @property
    def exit_file(self) -> Path:
        return self.directory / "shop.exits"

    @property
    def health_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/healthz"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def current_pid(self) -> int | None:
        """The pid in the pid file, if it is one of a live instance of this service."""
        try:
            pid = int(self.pid_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if _is_service(pid, self.directory) else None

    async def stop(self) -> None:
        """End whichever instance runs now, and every other that was started in this directory."""
        ours = [p for p in psutil.process_iter() if _is_service(p.pid, self.directory)]
        for process in ours:
            process.terminate()
        _, late = await asyncio.to_thread(psutil.wait_procs, ours, 3)
        for process in late:
            process.kill()
        await asyncio.to_thread(psutil.wait_procs, late, 3)


async def start_service(
    directory: Path,
    *,
    leak_mb_per_second: float = 8.0,
    leak_after: timedelta = timedelta(seconds=1),
    memory_limit_mb: float = 120.0,
    timeout: timedelta = timedelta(seconds=10),
) -> ServiceHandle:
    """Start the service on a free port of 127.0.0.1 with all its files in ``directory``, and wait until it
    listens. Raises Unavailable when it does not come up."""
    directory = await asyncio.to_thread(_made, directory)
    log, out = directory / "shop.log", directory / "shop.out"
    port = await asyncio.to_thread(_free_port)
    argv = (
        sys.executable,
        "-m",
        "bot.demo.service",
        "--name",
        NAME,
        "--port",
        str(port),
        "--log",
        str(log),
        "--pid-file",
        str(directory / "shop.pid"),
        "--exit-file",
        str(directory / "shop.exits"),
        "--leak-state",
        str(directory / "shop.leaked"),
        "--leak-mb-per-second",
        f"{leak_mb_per_second:g}",
        "--leak-after",
        f"{leak_after.total_seconds():g}",
        "--memory-limit-mb",
        f"{memory_limit_mb:g}",
    )
    process = _spawn(argv, directory)
    handle = ServiceHandle(port=port, pid=process.pid, directory=directory, argv=argv)
    try:
        await _until(lambda: process.returncode is not None or handle.current_pid() == process.pid, timeout)
        if process.returncode is None:
            await _until_answers(handle.health_url, timeout)
    except TimeoutError:
        await handle.stop()
        raise Unavailable(
            "demo service", f"did not come up in {timeout.total_seconds():g} s; see {log}"
        ) from None
    if process.returncode is not None:
        raise Unavailable("demo service", f"ended at once with exit code {process.returncode}; see {out}")
    return handle


async def wait_until_leaking(
    service: ServiceHandle, *, above_mb: float = 60.0, timeout: timedelta = timedelta(seconds=30)
) -> int:
    """Return resident memory in bytes as soon as it is above ``above_mb``. Raises Unavailable on timeout."""
    seen = 0

    def high() -> bool:
        nonlocal seen
        seen = _resident(service.current_pid())
        return seen > above_mb * MEBIBYTE

    try:
        await _until(high, timeout)
    except TimeoutError:
        raise Unavailable(
            "demo service",
            f"holds {seen // MEBIBYTE} MiB after {timeout.total_seconds():g} s, no leak to show",
        ) from None
    return seen


async def wait_until_healthy(
    service: ServiceHandle, *, other_than: int, timeout: timedelta = timedelta(seconds=30)
) -> int:
    """Return the pid of a healthy instance that is not ``other_than``. Raises Unavailable on timeout."""
    try:
        await _until(lambda: service.current_pid() not in (None, other_than), timeout)
        await _until_answers(service.health_url, timeout)
    except TimeoutError:
        raise Unavailable(
            "demo service", f"no new healthy instance in {timeout.total_seconds():g} s"
        ) from None
    return service.current_pid() or 0


def _spawn(argv: tuple[str, ...], directory: Path) -> subprocess.Popen[bytes]:
    with (directory / "shop.out").open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    # Somebody has to wait for it: an ended one would stay a zombie, which still has its pid.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


def _is_service(pid: int, directory: Path) -> bool:
    try:
        process = psutil.Process(pid)
        argv = process.cmdline()
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and "bot.demo.service" in argv
            and str(directory / "shop.pid") in argv
        )
    except psutil.Error:
        return False


def _resident(pid: int | None) -> int:
    try:
        return 0 if pid is None else int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until(holds: Callable[[], bool], timeout: timedelta) -> None:
    """Another process's state is no event here: it must be asked for. Raises TimeoutError."""
    async with asyncio.timeout(timeout.total_seconds()):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)


async def _until_answers(url: str, timeout: timedelta) -> None:
    async with asyncio.timeout(timeout.total_seconds()), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_LOOK_SECONDS)
