"""Real processes to restart: one small script with habits, and the configuration around it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from adapters.executors.process import ProcessExecutor, ProcessInspector
from bot.domain.proposal import Action, Target
from config.schema import ManagedProcess

SCRIPT = """
import os, signal, sys, time
habit, here = sys.argv[1], sys.argv[2]
started = os.path.join(here, "starts")
with open(started, "a") as file:
    file.write(f"{os.getpid()}\\n")
count = len(open(started).read().split())
if habit == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if habit == "dies-when-restarted" and count > 1:
    print("password=hunter2hunter2 rejected", flush=True)
    sys.exit(3)
if habit == "own-pid-file":
    with open(os.path.join(here, "service.pid"), "w") as file:
        file.write(f"{os.getpid()}\\nsecond line\\n")
if habit == "background":
    if os.fork():
        os._exit(0)
    os.setsid()
    with open(os.path.join(here, "service.pid"), "w") as file:
        file.write(str(os.getpid()))
if habit == "environment":
    print(sorted(os.environ), flush=True)
print("up", os.getpid(), flush=True)
open(os.path.join(here, f"up-{os.getpid()}"), "w").close()
while True:
    time.sleep(3600)
"""
RESTART = Action(name="process.restart", executor="process", params={"process": "shop"})
ENVIRONMENT = {"PATH": os.environ["PATH"], "ASSENT_TOKEN": "canary", "MATRIX_PASSWORD": "canary"}


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Bench:
    """One service in a directory of its own; :meth:`close` ends every process it ever had."""

    def __init__(self, directory: Path, habit: str = "plain") -> None:
        self.directory = directory
        self.pid_file = directory / "service.pid"
        self.log_file = directory / "service.log"
        script = directory / "service.py"
        script.write_text(SCRIPT)
        self.argv = (sys.executable, "-I", "-S", str(script), habit, str(directory))
        self.others: list[subprocess.Popen[bytes]] = []

    def entry(self, **changes: object) -> ManagedProcess:
        values: dict[str, object] = {
            "name": "shop",
            "pid_file": self.pid_file,
            "start": self.argv,
            "log_file": self.log_file,
            "stop_timeout": timedelta(seconds=3),
        }
        return ManagedProcess.model_validate({**values, **changes})

    def inspector(self, **changes: object) -> ProcessInspector:
        return ProcessInspector([self.entry(**changes)], clock=WallClock(), environment=ENVIRONMENT)

    def executor(self, timeout: float = 10, **changes: object) -> ProcessExecutor:
        return ProcessExecutor(
            [self.entry(**changes)],
            clock=WallClock(),
            environment=ENVIRONMENT,
            state_dir=self.directory / "state",
            timeout=timedelta(seconds=timeout),
        )

    def popen(self, *argv: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self.others.append(process)
        return process

    async def first_start(self) -> int:
        """Start the service as an init script would, and wait until it is up."""
        process = self.popen(*self.argv)
        self.pid_file.write_text(f"{process.pid}\n")
        await self.up(process.pid)
        return process.pid

    async def up(self, pid: int) -> None:
        async with asyncio.timeout(10):
            while not (self.directory / f"up-{pid}").exists():
                await asyncio.sleep(0.01)

    def starts(self) -> list[int]:
        """The pids of every start so far."""
        path = self.directory / "starts"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def close(self) -> None:
        for process in self.others:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pid in self.starts():
            end(pid, str(self.directory))
        for path in self.directory.glob("up-*"):
            end(int(path.name[3:]), str(self.directory))


def end(pid: int, mark: str) -> None:
    """Kill a process if it is still the one with ``mark`` among its arguments."""
    try:
        process = psutil.Process(pid)
        if mark in process.cmdline():
            process.send_signal(signal.SIGKILL)
            process.wait(5)
    except psutil.Error:
        return


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_of(target: Target) -> int:
    return int(target.uid.partition("@")[0])
