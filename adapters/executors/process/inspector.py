"""The reading half: find the process, try everything but the restart, look whether it helped."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence

from adapters.executors.output import tidy_line
from adapters.executors.process.health import answers
from adapters.executors.process.identity import ABSENT, RunningProcess
from adapters.executors.process.inventory import Inventory
from adapters.executors.process.preflight import obstacles
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.outcome import ExecutionResult, VerificationCheck
from bot.domain.proposal import Action, DryRun, Target
from bot.domain.redaction import redact
from config.schema import ManagedProcess


class ProcessInspector:
    """:class:`approvals.ports.Inspector` for ``process.restart``.

    The target is ``Target(kind="process", name=<configured name>)``; its uid is
    ``<pid>@<start time>+<boot>``, or ``absent`` when the process does not run. ``environment`` is our
    own, from which a restarted process gets a small part (see ``Inventory``).
    """

    name = "process"

    def __init__(
        self, processes: Sequence[ManagedProcess], *, clock: Clock, environment: Mapping[str, str]
    ) -> None:
        self._inventory = Inventory(processes, environment)
        self._clock = clock

    async def locate(self, action: Action) -> Target:
        entry = self._inventory.entry(action)
        process = await asyncio.to_thread(self._inventory.find, entry)
        return Target(
            kind="process",
            name=entry.name,
            uid=ABSENT if process is None else process.uid,
            labels={"service": entry.name, **entry.labels},
        )

    async def dry_run(self, action: Action, target: Target) -> DryRun:
        entry = self._inventory.entry(action)
        process = await asyncio.to_thread(self._inventory.find, entry)
        seen = ABSENT if process is None else process.uid
        if seen != target.uid:
            problems = [f"{entry.name} is not the process it was: {seen}, not {target.uid}"]
        else:
            problems = await asyncio.to_thread(obstacles, self._inventory, entry, process)
        return DryRun(
            ok=not problems,
            summary=tidy_line("; ".join(problems) if problems else _plan(entry, process)),
            at=self._clock.now(),
            uncovered=_uncovered(entry),
        )

    async def check(
        self, action: Action, before: Target, result: ExecutionResult
    ) -> Sequence[VerificationCheck]:
        entry = self._inventory.entry(action)
        try:
            process = await asyncio.to_thread(self._inventory.find, entry)
        except Unavailable as error:
            unseen = [
                VerificationCheck(name=name, ok=None, detail=tidy_line(error.reason))
                for name in ("running", "identity", "stable")
            ]
            return [*unseen, *await self._health(entry)]
        checks = [
            VerificationCheck(
                name="running",
                ok=process is not None,
                detail="not running" if process is None else f"pid {process.pid} runs",
            ),
            VerificationCheck(
                name="identity",
                ok=process is not None and process.uid != before.uid,
                detail=f"{before.uid} before, {ABSENT if process is None else process.uid} now",
            ),
            _stable(process, result),
        ]
        return [*checks, *await self._health(entry)]

    async def _health(self, entry: ManagedProcess) -> list[VerificationCheck]:
        if entry.health_url is None:
            return []
        ok, detail = await answers(str(entry.health_url))
        return [VerificationCheck(name="health", ok=ok, detail=tidy_line(f"{entry.health_url}: {detail}"))]

    def compensation(self, action: Action, result: ExecutionResult) -> Action | None:
        """Nothing brings back the process that was ended."""
        return None

    def human_command(self, action: Action) -> str:
        entry = self._inventory.entry(action)
        if entry.restart:
            command = shlex.join(entry.restart)
            return redact(f"cd {shlex.quote(str(entry.cwd))} && {command}" if entry.cwd else command)
        pid_file, log = shlex.quote(str(entry.pid_file)), shlex.quote(str(entry.log_file or "/dev/null"))
        # The new process writes its own pid: what "$!" says depends on the shell's job control.
        start = (
            f"""setsid sh -c 'echo $$ >"$0"; exec "$@"' {pid_file} {shlex.join(entry.start)} """
            f">>{log} 2>&1 </dev/null &"
        )
        if entry.cwd:
            start = f"cd {shlex.quote(str(entry.cwd))} && {{ {start} }}"
        return redact(f'kill -TERM "$(cat {pid_file})"; {start}')

    def inspect_hint(self, action: Action, target: Target) -> str:
        entry = self._inventory.entry(action)
        was = "it did not run" if target.uid == ABSENT else f"it was pid {target.uid.partition('@')[0]}"
        look = f'ps -o pid,lstart,args -p "$(cat {shlex.quote(str(entry.pid_file))})"'
        log = f"; tail {shlex.quote(str(entry.log_file))}" if entry.log_file else ""
        return redact(f"{look}{log} (before: {was}; another pid means that it was restarted)")


def _plan(entry: ManagedProcess, process: RunningProcess | None) -> str:
    if entry.restart:
        return f"would run {shlex.join(entry.restart)}"
    start = f"start {shlex.join(entry.start)}"
    if process is None:
        return f"would {start} (it does not run now)"
    seconds = f"{entry.stop_timeout.total_seconds():g} s"
    return f"would stop pid {process.pid} (SIGTERM, SIGKILL after {seconds}) and {start}"


def _uncovered(entry: ManagedProcess) -> str:
    if entry.restart:
        return f"the command was not run: what {entry.restart[0]} does with it is not known beforehand"
    return (
        "nothing was stopped or started: whether the process heeds SIGTERM, what becomes of its children, "
        "and whether the new one comes up, only the restart shows"
    )


def _stable(process: RunningProcess | None, result: ExecutionResult) -> VerificationCheck:
    """Still the process that the restart brought up, or another one since: a crash loop."""
    if result.new_uid is None:
        return VerificationCheck(name="stable", ok=None, detail="the restart reported no new process")
    ok = process is not None and process.uid == result.new_uid
    detail = "the same process since the restart"
    if not ok:
        detail = f"the restart brought up {result.new_uid}, which is gone"
    return VerificationCheck(name="stable", ok=ok, detail=detail)
