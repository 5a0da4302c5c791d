"""SnapshotHost: the HostSource port over hosts/HOST/TABLE.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.snapshot.files import Malformed, clean_texts, epoch, moment
from adapters.evidence.snapshot.snapshot import Part, Snapshot
from adapters.evidence.snapshot.tables import number, whole
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Series, Window
from bot.domain.threads import in_thread
from investigators.ports import HostQuery

_HOST_LABELS = ("instance", "node", "host", "hostname", "nodename")
_PROCESS_LABELS = ("service", "process", "app", "job")
_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "T": "stopped",
    "t": "tracing-stop",
    "Z": "zombie",
    "I": "idle",
    "X": "dead",
}
_EXCERPT_LINES = 30
TABLES = {
    "processes": ("host.process", "processes"),
    "resources": ("host.resources", "resources"),
    "disks": ("host.disk", "mounts"),
    "ports": ("host.ports", "listening_ports"),
    "log": ("log.tail", "log"),
    "exits": ("host.exits", "exits"),
}
"""Kind of evidence and table, by the port's method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    part: str
    query: HostQuery
    window: Window


class SnapshotHost:
    """One machine of a snapshot. A table that is not there is a failed look, never an empty one."""

    def __init__(self, snapshot: Snapshot, host: str, name: str | None = None) -> None:
        self.name = name or f"host:{host}"
        self.snapshot = snapshot
        self._host = host

    def covers(self, labels: Mapping[str, str]) -> HostQuery | None:
        """For alerts that name the machine, or a process of it and no machine."""
        named = {_bare(labels[key]) for key in _HOST_LABELS if labels.get(key)}
        ours = _bare(self._host) in named
        if named and not ours:
            return None
        process = self._process(labels)
        if process is None and not ours:
            return None
        return HostQuery(host=self._host, process=process, labels=dict(labels))

    def command(self, part: str, query: HostQuery) -> str:
        return f"cat hosts/{self._host}/{TABLES[part][1]}.json"

    async def processes(self, query: HostQuery, window: Window) -> Evidence:
        return await self._records(
            "processes",
            query,
            window,
            lambda rows: _processes(rows, query.process) + self._not_running(rows, query.process),
        )

    async def resources(self, query: HostQuery, window: Window) -> Evidence:
        return await self._records("resources", query, window, lambda rows: list(rows[:1]))

    async def disks(self, query: HostQuery, window: Window) -> Evidence:
        return await self._records("disks", query, window, _disks)

    async def ports(self, query: HostQuery, window: Window) -> Evidence:
        return await self._records("ports", query, window, lambda rows: self._ports(rows, query.process))

    async def exits(self, query: HostQuery, window: Window) -> Evidence:
        return await self._records("exits", query, window, lambda rows: _exits(rows, query.process, window))

    async def log(self, query: HostQuery, window: Window) -> Evidence:
        look = _Look(part="log", query=query, window=window)
        try:
            lines = await in_thread(self.snapshot.pool, self._lines, query, window)
        except (Malformed, ValueError, KeyError) as error:
            return self._nothing(look, f"log: {error}", EvidenceStatus.FAILED)
        if not lines:
            return self._nothing(look, "no line in the window", EvidenceStatus.EMPTY)
        texts = [line.text for line in lines[-_EXCERPT_LINES:]]
        return self._found(look, f"{len(lines)} lines", texts, lines=lines)

    def _lines(self, query: HostQuery, window: Window) -> tuple[LogLine, ...]:
        rows = [
            (moment(epoch(row["ts"])), str(row.get("message") or ""))
            for row in self._rows("log")
            if query.process is None or row.get("process") in (None, query.process)
        ]
        rows = [(at, text) for at, text in rows if window.start <= at <= window.end]
        texts = clean_texts([text for _, text in rows])
        return tuple(LogLine(at=at, text=text) for (at, _), text in zip(rows, texts, strict=True))

    async def _records(
        self,
        part: str,
        query: HostQuery,
        window: Window,
        made: Callable[[Sequence[Record]], list[Record]],
    ) -> Evidence:
        look = _Look(part=part, query=query, window=window)
        try:
            records = await in_thread(self.snapshot.pool, lambda: made(self._rows(TABLES[part][1])))
        except (Malformed, ValueError) as error:
            return self._nothing(look, str(error), EvidenceStatus.FAILED)
        if not records:
            return self._nothing(look, f"nothing in {TABLES[part][1]}", EvidenceStatus.EMPTY)
        texts = [" ".join(f"{key}={value}" for key, value in record.items()) for record in records]
        return self._found(look, "; ".join(texts[:3]), texts, records=records)

    def _rows(self, table: str) -> list[Record]:
        failure = self.snapshot.failure(Part.HOSTS)
        if failure is not None:
            raise Malformed(failure)
        return self.snapshot.main.hosts.get().rows(self._host, table)

    def _process(self, labels: Mapping[str, str]) -> str | None:
        try:
            names = {str(row.get("name")) for row in (*self._rows("processes"), *self._ended())}
        except Malformed:
            return None
        return next((labels[key] for key in _PROCESS_LABELS if labels.get(key) in names), None)

    def _ended(self) -> list[Record]:
        """Exits on record; none where nobody wrote them down."""
        try:
            return self._rows("exits")
        except (Malformed, ValueError, KeyError):
            return []

    def _not_running(self, rows: Sequence[Record], process: str | None) -> list[Record]:
        """Processes that the table of exits knows and the table of processes does not have."""
        running = {row.get("name") for row in rows}
        missing: list[Record] = [
            {
                "name": row.get("name"),
                "pid": whole(row, "pid"),
                "status": "not_running",
            }
            for row in self._ended()
            if row.get("name") not in running and process in (None, row.get("name"))
        ]
        return missing[-1:]

    def _ports(self, rows: Sequence[Record], process: str | None) -> list[Record]:
        names: dict[int | None, str] = {}
        if any("process" not in row for row in rows):
            names = {whole(row, "pid"): str(row.get("name")) for row in self._rows("processes")}
        found: list[Record] = []
        for row in rows:
            pid = whole(row, "pid")
            name = row.get("process") if "process" in row else names.get(pid)
            if process is None or name == process:
                found.append(
                    {
                        "port": whole(row, "port"),
                        "address": row.get("address"),
                        "pid": pid,
                        "process": name,
                    }
                )
        return found

    def _found(
        self,
        look: _Look,
        summary: str,
        texts: Sequence[str],
        *,
        records: Sequence[Record] = (),
        lines: Sequence[LogLine] = (),
        series: Sequence[Series] = (),
    ) -> Evidence:
        return answered(
            source=self.name,
            kind=TABLES[look.part][0],
            query=f"{look.part} of {look.query.process or look.query.host}",
            window=look.window,
            taken_at=self._now,
            summary=summary,
            subject=look.query.process or look.query.host,
            excerpt="\n".join(texts[:200]),
            records=records,
            lines=lines,
            series=series,
            manual=self.command(look.part, look.query),
            outsider_writable=look.part in ("log", "processes"),
        )

    def _nothing(self, look: _Look, reason: str, status: EvidenceStatus) -> Evidence:
        return nothing(
            source=self.name,
            kind=TABLES[look.part][0],
            query=f"{look.part} of {look.query.process or look.query.host}",
            window=look.window,
            taken_at=self._now,
            subject=look.query.process or look.query.host,
            reason=reason,
            status=status,
            manual=self.command(look.part, look.query),
        )

    @property
    def _now(self) -> datetime:
        return self.snapshot.now


def _bare(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0].lower()
    return (value.partition(":")[0] if value.count(":") == 1 else value).lower()


def _processes(rows: Sequence[Record], process: str | None) -> list[Record]:
    """Records of the port out of osquery's columns, or out of the port's own."""
    found: list[Record] = []
    for row in rows:
        if process is not None and row.get("name") != process:
            continue
        state = str(row.get("status") or row.get("state") or "")
        found.append(
            {
                "name": row.get("name"),
                "pid": whole(row, "pid"),
                "started_at": number(row, "started_at", "start_time"),
                "rss_bytes": whole(row, "rss_bytes", "resident_size"),
                "cpu_percent": number(row, "cpu_percent"),
                "threads": whole(row, "threads"),
                "open_files": whole(row, "open_files"),
                "status": _STATES.get(state, state),
            }
        )
    return found


def _disks(rows: Sequence[Record]) -> list[Record]:
    found: list[Record] = []
    for row in rows:
        size = number(row, "blocks_size") or 0.0
        total, free = number(row, "total_bytes"), number(row, "free_bytes")
        if total is None:
            total = (number(row, "blocks") or 0.0) * size
            free = (number(row, "blocks_available", "blocks_free") or 0.0) * size
        inodes, left = number(row, "inodes"), number(row, "inodes_free")
        used = number(row, "used_percent")
        inodes_used = number(row, "inodes_used_percent")
        if total <= 0:
            continue
        if used is None:
            used = round(100 * (1 - (free or 0.0) / total), 1)
        if inodes_used is None and inodes and left is not None:
            inodes_used = round(100 * (1 - left / inodes), 1)
        found.append(
            {
                "mount": row.get("mount") or row.get("path"),
                "total_bytes": int(total),
                "free_bytes": int(free or 0),
                "used_percent": used,
                "inodes_used_percent": inodes_used,
            }
        )
    return found


def _exits(rows: Sequence[Record], process: str | None, window: Window) -> list[Record]:
    found: list[Record] = []
    for row in rows:
        at = epoch(row.get("at"))
        if (process is None or row.get("name") == process) and window.start <= moment(at) <= window.end:
            found.append(
                {
                    "name": row.get("name"),
                    "pid": whole(row, "pid"),
                    "exit_code": whole(row, "exit_code"),
                    "signal": whole(row, "signal"),
                    "at": at,
                }
            )
    return found
