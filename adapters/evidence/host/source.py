"""LocalHost: the HostSource port for the machine the bot runs on."""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.host import machine, process
from adapters.evidence.host.coverage import cover
from adapters.evidence.host.exits import read_exits
from adapters.evidence.host.logs import Unreadable, read_tail
from adapters.evidence.host.threads import Busy, Threads
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Sample, Series, Window
from config.schema import HostEvidence, WatchedProcess
from investigators.ports import HostQuery

RSS_SAMPLES = 6
RSS_PERIOD = 0.25
"""Seconds between looks at a process's memory: six of them in 1.25 s, beside the CPU measurement."""
_EXCERPT_LINES = 30
T = TypeVar("T")


class _Failure(Exception):
    """Why one look failed, as a sentence. Never leaves this module."""


class LocalHost:
    """psutil, ``/proc``, log tails and exit files, each look in a thread and within the timeout."""

    def __init__(self, config: HostEvidence, clock: Clock, hostname: str | None = None) -> None:
        self._hostname = hostname or socket.gethostname()
        self.name = f"host:{self._hostname}"
        self._config = config
        self._clock = clock
        self._timeout = config.timeout.total_seconds()
        self._watched = {watched.name: watched for watched in config.processes}
        self._threads = Threads()

    def covers(self, labels: Mapping[str, str]) -> HostQuery | None:
        return cover(self._config, self._hostname, labels) if self._config.enabled else None

    def command(self, part: str, query: HostQuery) -> str:
        watched = self._watched.get(query.process or "")
        log = str(watched.log_file) if watched and watched.log_file else "/var/log/syslog"
        exits = str(watched.exit_file) if watched and watched.exit_file else ""
        pid = f"$(cat {shlex.quote(str(watched.pid_file))})" if watched and watched.pid_file else ""
        commands = {
            "processes": f"ps -o pid,lstart,rss,pcpu,nlwp,stat,args -p {pid}"
            if pid
            else "ps aux --sort=-rss",
            "resources": "uptime; free -m; head /proc/pressure/*",
            "disks": "df -h; df -i",
            "ports": "ss -ltnp",
            "log": f"tail -n 200 {shlex.quote(log)}",
            "exits": f"tail {shlex.quote(exits)}" if exits else "journalctl -n 100 -g 'exited|killed'",
        }
        return commands[part]

    async def processes(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(self, "host.process", "processes", query, window)
        try:
            if query.process is None:
                records = await self._run(process.top)
                return look.found(
                    records,
                    [_process_line(record) for record in records],
                    f"{len(records)} processes with the most CPU or memory",
                    outsider_writable=True,
                )
            return await self._declared(look, self._declared_process(query))
        except _Failure as failure:
            return look.failed(str(failure))

    async def _declared(self, look: _Look, watched: WatchedProcess) -> Evidence:
        found = await self._run(lambda: process.find(watched))
        if found.process is None:
            if found.pid is None:
                return look.empty(found.note or "not found")
            gone = process.describe_gone(watched.name, found.pid)
            return look.found([gone], [f"{watched.name}: {found.note}"], f"{watched.name}: {found.note}")
        running = found.process
        measuring = asyncio.ensure_future(self._run(lambda: process.describe(watched.name, running)))
        try:
            samples = await self._memory(running)
            record = await measuring
        finally:
            if not measuring.done():
                measuring.cancel()
        series = Series(
            name="process_resident_memory_bytes",
            labels={"process": watched.name, "pid": str(running.pid)},
            samples=samples,
        )
        line = _process_line(record)
        if len(samples) > 1:
            seconds = (samples[-1].at - samples[0].at).total_seconds()
            change = samples[-1].value - samples[0].value
            line += f"; RSS changed by {change / 1024:+.0f} KiB in {seconds:.2f} s"
        return look.found([record], [line], line, series=(series,))

    async def _memory(self, running: psutil.Process) -> tuple[Sample, ...]:
        samples: list[Sample] = []
        for number in range(RSS_SAMPLES):
            if number:
                await asyncio.sleep(RSS_PERIOD)
            value = await self._run(lambda: process.rss(running))
            samples.append(Sample(at=self._clock.now(), value=float(value)))
        return tuple(samples)

    async def resources(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(self, "host.resources", "resources", query, window)
        try:
            record = await self._run(machine.resources)
        except _Failure as failure:
            return look.failed(str(failure))
        text = ", ".join(f"{key} {value}" for key, value in record.items() if key != "boot_at")
        return look.found([record], [text], text)

    async def disks(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(self, "host.disk", "disks", query, window)
        extra = [w.log_file for w in self._config.processes if w.log_file is not None]
        try:
            mounts = await self._run(lambda: machine.mounts(extra))
        except _Failure as failure:
            return look.failed(str(failure))
        results = await asyncio.gather(*(self._usage(mount) for mount in mounts))
        records = [result for result in results if not isinstance(result, str)]
        notes = [result for result in results if isinstance(result, str)]
        if not records:
            return look.failed("; ".join(notes) or "no mount could be read")
        lines = [
            f"{r['mount']}: {r['used_percent']} % used, {float(r['free_bytes'] or 0) / 2**30:.1f} GiB free, "
            f"inodes {r['inodes_used_percent']} %"
            for r in records
        ]
        return look.found(records, lines, "; ".join(lines[:3]), reason="; ".join(notes) or None)

    async def _usage(self, mount: machine.Mount) -> Record | str:
        try:
            return await self._run(lambda: machine.usage(mount))
        except _Failure as failure:
            return f"{mount.path}: {failure}"

    async def ports(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(self, "host.ports", "ports", query, window)
        try:
            hidden = False
            if query.process is None:
                records, hidden = await self._run(machine.listening)
            else:
                watched = self._declared_process(query)
                found = await self._run(lambda: process.find(watched))
                running = found.process
                if running is None:
                    return look.empty(found.note or "not found")
                records = await self._run(lambda: machine.listening_of(running))
        except _Failure as failure:
            return look.failed(str(failure))
        note = "some ports belong to processes that we may not look at" if hidden else None
        if not records:
            return look.failed(note) if note else look.empty("nothing listens")
        lines = [f"{r['address']}:{r['port']} {r['process'] or '?'} ({r['pid'] or '?'})" for r in records]
        return look.found(
            records,
            lines,
            f"listens on {lines[0]}" + (f" and {len(lines) - 1} more" if lines[1:] else ""),
            reason=note,
        )

    async def log(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(self, "log.tail", "log", query, window)
        try:
            watched = self._declared_process(query)
            path = watched.log_file
            if path is None:
                return look.failed(f"no log_file is configured for {watched.name}")
            now = self._clock.now()
            tail = await self._run(lambda: read_tail(path, self._config.log_bytes, window, now))
        except _Failure as failure:
            return look.failed(str(failure))
        if not tail.lines:
            return look.failed(tail.cut) if tail.cut else look.empty(f"{path.name}: no line in the window")
        untimed = "no line has a readable time, so the window could not be applied" if tail.untimed else None
        return look.found(
            [],
            [line.text for line in tail.lines[-_EXCERPT_LINES:]],
            f"{path.name}: {len(tail.lines)} lines",
            lines=tail.lines,
            reason="; ".join(note for note in (tail.cut, untimed) if note) or None,
            outsider_writable=True,
        )

    async def exits(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(self, "host.exits", "exits", query, window)
        try:
            watched = self._declared_process(query)
            path: Path | None = watched.exit_file
            if path is None:
                return look.failed(f"no exit_file is configured for {watched.name}")
            records, note = await self._run(lambda: read_exits(path, watched.name, window))
        except _Failure as failure:
            return look.failed(str(failure))
        if not records:
            return look.failed(note) if note else look.empty("no exit was recorded in the window")
        lines = [
            f"{to_rfc3339(datetime.fromtimestamp(float(r['at'] or 0), UTC))} {r['name']} pid {r['pid']} "
            f"exit code {r['exit_code']} signal {r['signal']}"
            for r in records
        ]
        return look.found(records, lines, f"{len(records)} exits, last: {lines[-1]}", reason=note)

    def _declared_process(self, query: HostQuery) -> WatchedProcess:
        watched = self._watched.get(query.process or "")
        if watched is None:
            raise _Failure(f"no process {query.process or ''!r} is declared for this machine")
        return watched

    async def _run(self, call: Callable[[], T]) -> T:
        """The call in a thread; whatever goes wrong is a _Failure with a sentence."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._threads.run(call)
        except TimeoutError:
            raise _Failure(f"no answer within {self._timeout:g} s") from None
        except psutil.AccessDenied:
            raise _Failure("no permission to look at this process") from None
        except psutil.NoSuchProcess:
            raise _Failure("the process ended while we looked") from None
        except (psutil.Error, Unreadable, Busy, ValueError) as error:
            raise _Failure(str(error)) from None
        except OSError as error:
            raise _Failure(str(error.strerror or error)) from None


class _Look:
    """One question to the machine, ready to become evidence."""

    def __init__(self, host: LocalHost, kind: str, part: str, query: HostQuery, window: Window) -> None:
        self._host, self._kind, self._window = host, kind, window
        self._text = f"{part} of {query.process or query.host}"
        self._subject = query.process or query.host
        self._manual = host.command(part, query)

    def found(
        self,
        records: Sequence[Record],
        text: Sequence[str],
        summary: str,
        *,
        series: Sequence[Series] = (),
        lines: Sequence[LogLine] = (),
        reason: str | None = None,
        outsider_writable: bool = False,
    ) -> Evidence:
        return answered(
            source=self._host.name,
            kind=self._kind,
            query=self._text,
            window=self._window,
            taken_at=self._host._clock.now(),
            summary=summary,
            subject=self._subject,
            excerpt="\n".join(text),
            series=series,
            lines=lines,
            records=records,
            reason=reason,
            manual=self._manual,
            outsider_writable=outsider_writable,
        )

    def empty(self, reason: str) -> Evidence:
        return self._nothing(reason, EvidenceStatus.EMPTY)

    def failed(self, reason: str) -> Evidence:
        return self._nothing(reason, EvidenceStatus.FAILED)

    def _nothing(self, reason: str, status: EvidenceStatus) -> Evidence:
        return nothing(
            source=self._host.name,
            kind=self._kind,
            query=self._text,
            window=self._window,
            taken_at=self._host._clock.now(),
            subject=self._subject,
            reason=reason,
            status=status,
            manual=self._manual,
        )


def _process_line(record: Record) -> str:
    rss = float(record["rss_bytes"] or 0) / 2**20
    return (
        f"{record['name']} (pid {record['pid']}): {record['status']}, RSS {rss:.1f} MiB, "
        f"CPU {record['cpu_percent']} %, {record['threads']} threads, {record['open_files']} open files"
    )
