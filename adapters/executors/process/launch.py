"""Start a program: argv only, never a shell."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from adapters.executors.output import RAW_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run: ``program`` is the resolved path of ``argv[0]``, ``environment`` all it gets."""

    program: str
    argv: tuple[str, ...]
    cwd: Path | None
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A process we started. ``exit`` is done with its exit code (negative: the signal) when it ends."""

    pid: int
    exit: asyncio.Future[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that ended, or was killed when its time was up (``exit_code`` None)."""

    exit_code: int | None
    output: str


def launch_detached(command: Command, log_file: Path | None) -> Launched:
    """Start a process that outlives us, its output appended to ``log_file``. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(log_file or os.devnull, flags | (os.O_CREAT if log_file else 0), 0o640)
    try:
        return _spawn(command, log)
    finally:
        os.close(log)


async def run_command(command: Command, timeout: timedelta) -> Ran:
    """Run a command to its end. Its process group is killed when its time is up. Raises OSError.

    A background child that keeps the output open is not waited for.
    """
    loop = asyncio.get_running_loop()
    kept = bytearray()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        try:
            launched = _spawn(command, writer)
        finally:
            os.close(writer)
        loop.add_reader(reader, _drain, reader, kept, loop)
        try:
            done, _ = await asyncio.wait({launched.exit}, timeout=timeout.total_seconds())
            code = launched.exit.result() if done else None
        finally:
            if not launched.exit.done():
                _kill_group(launched.pid)
                await asyncio.wait({launched.exit})
            _drain(reader, kept, loop)
            loop.remove_reader(reader)
    finally:
        os.close(reader)
    return Ran(exit_code=code, output=kept.decode(errors="replace"))


def _spawn(command: Command, output: int) -> Launched:
    """Start in a session of its own.

    A thread waits for the end as long as we live, so that an ended process does not stay a zombie.
    asyncio's own subprocesses will not do: closing their transport kills the child."""
    process = subprocess.Popen(  # noqa: S603 - the argv is the operator's own, from configuration
        list(command.argv),
        executable=command.program,
        cwd=command.cwd,
        env=dict(command.environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        close_fds=True,
    )
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def tell(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def reap() -> None:
        code = process.wait()
        try:
            loop.call_soon_threadsafe(tell, code)
        except RuntimeError:
            return  # the loop is closed: nobody is left to tell

    threading.Thread(target=reap, name=f"reap-{process.pid}", daemon=True).start()
    return Launched(pid=process.pid, exit=ended)


def _drain(reader: int, kept: bytearray, loop: asyncio.AbstractEventLoop) -> None:
    # Reading goes on beyond what is kept: a full pipe would stop the command.
    for _ in range(64):
        try:
            chunk = os.read(reader, 65_536)
        except BlockingIOError:
            return
        if not chunk:
            loop.remove_reader(reader)
            return
        kept.extend(chunk[: RAW_BYTES - len(kept)])


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
