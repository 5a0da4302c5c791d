"""The writing half: stop exactly the process that was approved, and start it again."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from adapters.executors.output import RAW_BYTES, tidy_line, tidy_output
from adapters.executors.process.handle import ProcessHandle
from adapters.executors.process.health import answers
from adapters.executors.process.identity import ABSENT, RunningProcess, observe
from adapters.executors.process.inventory import Inventory, PidFile, read_pid_file
from adapters.executors.process.launch import Command, Launched, launch_detached, run_command
from adapters.executors.process.marker import Markers, recorded_result, replace_file
from adapters.executors.process.preflight import obstacles
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.errors import ConfigError, InputError, Unavailable
from bot.domain.outcome import ExecutionResult
from bot.domain.proposal import Action, Target
from config.schema import ManagedProcess

SETTLE = 0.5
"""Seconds a new process must live before it counts as started."""

DAEMON_WAIT = 1.0
"""Seconds for a ``start`` command that goes into the background to name itself in the pid file."""

KILL_WAIT = 5.0
"""Seconds to wait after SIGKILL; a process that outlives it hangs in the kernel."""

RESERVE = timedelta(seconds=2)
"""Time that must be left of ``timeout`` after stopping; also to see the new process after a command."""

POLL = 0.1


class _Failed(Exception):
    """The action stops here; the text says why."""


@dataclass(slots=True)
class _Run:
    """One run on its way: what was done, in order, for the report."""

    entry: ManagedProcess
    target: Target
    began: float
    steps: list[str] = field(default_factory=list)
    launched: bool = False
    log_from: int = 0
    pid_file_before: PidFile | None = None
    output: str = ""
    new_uid: str | None = None

    def note(self, step: str) -> None:
        self.steps.append(f"+{time.monotonic() - self.began:.2f} s  {step}")


class ProcessExecutor:
    """:class:`approvals.ports.Executor` for ``process.restart``.

    With ``start``: SIGTERM, SIGKILL after ``stop_timeout``, then the ``start`` argv in a session of its own
    with output to ``log_file``; it counts as started once it has lived for half a second, and up to
    ``timeout`` (of the whole run) is given for ``health_url`` to answer 200; a slow one is reported and left
    to the verification. With ``restart``: that argv, killed shortly before ``timeout``. Every run ends within
    ``timeout``. Being cancelled ends the waiting, not the run: a service must not be left half restarted.

    Under a service manager that ends whole control groups (systemd's default), what we start ends with us:
    use ``restart`` there. ``state_dir`` keeps one small file per idempotency key: a key whose run ended
    gives the recorded result again, one whose run was interrupted is refused for ever.

    Raises ConfigError when a ``stop_timeout`` leaves no time to start again.
    """

    name = "process"

    def __init__(
        self,
        processes: Sequence[ManagedProcess],
        *,
        clock: Clock,
        environment: Mapping[str, str],
        state_dir: Path,
        timeout: timedelta,
    ) -> None:
        problems = [
            f"execution.processes: {entry.name}: stop_timeout must be at least "
            f"{RESERVE.total_seconds():g} s shorter than execution.timeout ({timeout.total_seconds():g} s)"
            for entry in processes
            if entry.start and entry.stop_timeout + RESERVE > timeout
        ]
        if problems:
            raise ConfigError(problems)
        self._inventory = Inventory(processes, environment)
        self._running: set[asyncio.Task[ExecutionResult]] = set()
        self._clock = clock
        self._markers = Markers(state_dir)
        self._timeout = timeout
        self._log = structlog.get_logger(__name__)

    async def run(self, action: Action, target: Target, idempotency_key: str) -> ExecutionResult:
        started_at = self._clock.now()
        try:
            entry = self._inventory.entry(action)
        except InputError as error:
            return self._refusal(started_at, str(error))
        if target.name != entry.name:
            return self._refusal(started_at, f"target changed: {target.name} is not {entry.name}")
        work = asyncio.create_task(self._claim_and_act(entry, target, idempotency_key, started_at))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        return await asyncio.shield(work)

    async def _claim_and_act(
        self, entry: ManagedProcess, target: Target, idempotency_key: str, started_at: datetime
    ) -> ExecutionResult:
        run = _Run(entry=entry, target=target, began=time.monotonic())
        note = {"process": entry.name, "uid": target.uid, "claimed_at": to_rfc3339(started_at)}
        with ExitStack() as held:
            try:
                if not held.enter_context(self._markers.alone(entry.name)):
                    return self._refusal(started_at, f"{entry.name} is being restarted by somebody else")
                earlier = await asyncio.to_thread(self._markers.claim, idempotency_key, note)
            except OSError as error:
                reason = f"could not note the execution, so nothing was done: {error}"
                return self._refusal(started_at, reason)
            if earlier is not None:
                return self._used_up(started_at, entry, earlier)
            result = await self._act(run, started_at)
            try:
                await asyncio.to_thread(self._markers.finish, idempotency_key, note, result)
            except OSError as error:
                # The effect is real whether or not it can be noted; the claim still stops a second run.
                self._log.error("executor.result_not_noted", process=entry.name, reason=str(error))
            return result

    def _used_up(
        self, started_at: datetime, entry: ManagedProcess, earlier: dict[str, Any]
    ) -> ExecutionResult:
        recorded = recorded_result(earlier)
        if recorded is not None:
            return recorded
        when = earlier.get("claimed_at", "an earlier time")
        return self._refusal(
            started_at,
            f"this approval was used at {when} and that run never reported its end: "
            f"it is not run again; look at {entry.name} yourself",
        )

    async def _act(self, run: _Run, started_at: datetime) -> ExecutionResult:
        try:
            summary = await (self._by_command(run) if run.entry.restart else self._by_signal(run))
            ok = True
        except _Failed as error:
            summary, ok = str(error), False
        report = "\n".join(run.steps)
        output = await asyncio.to_thread(_log_since, run) if run.launched else run.output
        return ExecutionResult(
            ok=ok,
            summary=tidy_line(summary),
            output=tidy_output(f"{report}\n\n{output}" if output else report),
            started_at=started_at,
            finished_at=self._clock.now(),
            new_uid=run.new_uid,
        )

    def _refusal(self, started_at: datetime, summary: str) -> ExecutionResult:
        return ExecutionResult(
            ok=False,
            summary=tidy_line(summary),
            output="",
            started_at=started_at,
            finished_at=self._clock.now(),
        )

    async def _same_process(self, run: _Run) -> RunningProcess | None:
        """Return the process to act on (None: it does not run, as approved). Raises _Failed when another
        one, or none, is there now, or when the restart could not succeed anyway."""
        try:
            process = await asyncio.to_thread(self._inventory.find, run.entry)
        except Unavailable as error:
            raise _Failed(f"target cannot be told: {error.reason}") from error
        seen = ABSENT if process is None else process.uid
        if seen != run.target.uid:
            raise _Failed(f"target changed: {seen} now, {run.target.uid} was approved; nothing was touched")
        found = await asyncio.to_thread(obstacles, self._inventory, run.entry, process)
        if found:
            raise _Failed(f"nothing was touched: {'; '.join(found)}")
        return process

    def _command(self, run: _Run) -> Command:
        entry = run.entry
        argv = entry.start or entry.restart
        program = self._inventory.program(argv, entry.cwd)
        if program is None:
            raise _Failed(f"{argv[0]}: no such executable program")
        return Command(program=program, argv=argv, cwd=entry.cwd, environment=self._inventory.environment)

    async def _by_signal(self, run: _Run) -> str:
        process = await self._same_process(run)
        command = self._command(run)
        if process is None:
            run.note("not running, as approved")
            how = "started"
        else:
            how = await self._stop(run, process)
        run.log_from = _size(run.entry.log_file)
        try:
            run.pid_file_before = read_pid_file(run.entry)
        except Unavailable:
            run.pid_file_before = None
        try:
            launched = launch_detached(command, run.entry.log_file)
        except OSError as error:
            raise _Failed(f"{how}, but it could not be started again: {error}") from error
        run.launched = True
        run.note(f"started {shlex.join(command.argv)} as pid {launched.pid}")
        fresh = await self._settled(run, launched)
        run.new_uid = fresh.uid
        old = "none" if process is None else str(process.pid)
        health = await self._healthy(run, launched)
        return f"{how}: pid {old} → {fresh.pid}{health}"

    async def _stop(self, run: _Run, process: RunningProcess) -> str:
        # From here on the handle stands for the process: if it was replaced since it was found, opening
        # fails, and if it is replaced later, the signal reaches nobody.
        handle = ProcessHandle.open(process)
        if handle is None:
            raise _Failed(f"target changed: pid {process.pid} ended a moment ago; nothing was touched")
        try:
            grace = run.entry.stop_timeout.total_seconds()
            for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_WAIT)):
                try:
                    handle.send(number)
                except PermissionError:
                    raise _Failed(f"no permission to signal pid {process.pid}; nothing was touched") from None
                run.note(f"{number.name} to pid {process.pid}")
                if await handle.wait(patience):
                    run.note(f"pid {process.pid} ended")
                    return f"restarted ({number.name})"
        finally:
            handle.close()
        raise _Failed(f"pid {process.pid} lives on after SIGKILL; nothing was started")

    async def _settled(self, run: _Run, launched: Launched) -> RunningProcess:
        """Return the new process once it has lived for a moment, with a pid file that names it."""
        await asyncio.wait({launched.exit}, timeout=SETTLE)
        fresh = None if launched.exit.done() else await asyncio.to_thread(observe, launched.pid)
        if fresh is not None:
            await asyncio.to_thread(self._name_in_pid_file, run, fresh)
            return fresh
        await asyncio.wait({launched.exit}, timeout=SETTLE)
        if not launched.exit.done():
            raise _Failed(f"pid {launched.pid} was started, but it cannot be seen: look at it yourself")
        code = launched.exit.result()
        daemon = await self._daemon(run) if code == 0 else None
        if daemon is None:
            how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
            raise _Failed(f"the new process ended {how} within {SETTLE:g} s: {run.entry.name} is down")
        run.note(f"it went into the background as pid {daemon.pid}")
        return daemon

    def _name_in_pid_file(self, run: _Run, fresh: RunningProcess) -> None:
        try:
            written = read_pid_file(run.entry)
        except Unavailable:
            written = None
        if written is not None and written.pid == fresh.pid:
            return
        try:
            replace_file(run.entry.pid_file, f"{fresh.pid}\n".encode(), 0o644)
        except OSError as error:
            run.note(f"could not write {run.entry.pid_file}: {error.strerror}")
            return
        run.note(f"wrote {run.entry.pid_file}")

    async def _daemon(self, run: _Run) -> RunningProcess | None:
        """The background process that ``start`` left behind; it may still be writing its pid file."""
        deadline = time.monotonic() + DAEMON_WAIT
        while True:
            try:
                written = await asyncio.to_thread(read_pid_file, run.entry)
            except Unavailable:
                written = None
            process = observe(written.pid) if written is not None else None
            # A pid file that nobody wrote since can only name the old process, or a stranger.
            if process is not None and written != run.pid_file_before:
                return process
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(POLL)

    async def _healthy(self, run: _Run, launched: Launched) -> str:
        if run.entry.health_url is None:
            return ""
        url = str(run.entry.health_url)
        deadline = run.began + (self._timeout - RESERVE / 2).total_seconds()
        while True:
            ok, detail = await answers(url)
            if ok:
                run.note(f"{url}: {detail}")
                return ", healthy"
            if launched.exit.done() and launched.exit.result() != 0:
                raise _Failed(
                    f"the new process ended with exit code {launched.exit.result()}: {run.entry.name} is down"
                )
            if time.monotonic() >= deadline:
                run.note(f"{url}: {detail}")
                return f", not healthy yet ({detail})"
            await asyncio.sleep(POLL)

    async def _by_command(self, run: _Run) -> str:
        await self._same_process(run)
        command = self._command(run)
        limit = max(self._timeout - RESERVE, self._timeout / 2)
        run.note(f"running {shlex.join(command.argv)}")
        try:
            ran = await run_command(command, limit)
        except OSError as error:
            raise _Failed(f"{command.argv[0]} could not be started: {error}") from error
        run.output = ran.output
        if ran.exit_code is None:
            seconds = self._timeout.total_seconds()
            raise _Failed(
                f"{command.argv[0]} did not end in {seconds:g} s and was killed: look at it yourself"
            )
        run.note(f"exit code {ran.exit_code}")
        if ran.exit_code != 0:
            raise _Failed(f"{shlex.join(command.argv)} ended with exit code {ran.exit_code}")
        process = await self._replaced(run)
        if process is None:
            return f"{shlex.join(command.argv)} succeeded; no new process is to be seen yet"
        run.new_uid = process.uid
        return f"{shlex.join(command.argv)} succeeded: pid {process.pid} now"

    async def _replaced(self, run: _Run) -> RunningProcess | None:
        """The process that the command put in place; it may need a moment to write its pid file."""
        deadline = time.monotonic() + RESERVE.total_seconds() * 0.75
        while True:
            try:
                process = await asyncio.to_thread(self._inventory.find, run.entry)
            except Unavailable as error:
                run.note(error.reason)
                return None
            if process is not None and process.uid != run.target.uid:
                return process
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(POLL)


def _log_since(run: _Run) -> str:
    """What the new process has written to its log so far."""
    if run.entry.log_file is None:
        return ""
    try:
        with run.entry.log_file.open("rb") as file:
            file.seek(max(run.log_from, os.fstat(file.fileno()).st_size - RAW_BYTES))
            return file.read(RAW_BYTES).decode(errors="replace")
    except OSError as error:
        return f"{run.entry.log_file}: {error.strerror}"


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
