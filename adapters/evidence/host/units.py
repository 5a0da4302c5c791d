"""LocalUnits: systemd's units of the machine the bot runs on, as rows of osquery's table of them.

Source: systemctl(1), ``show``; the meaning of ``Result`` and ``ExecMainCode``: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.host.coverage import bare_host
from bot.domain.clock import Clock
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.redaction import clean
from config.schema import HostEvidence
from investigators.queries import Query, TableQuery

_TABLE = "systemd_units"
_BOOTED = Path("/run/systemd/system")
"""There exactly where systemd runs the machine: sd_booted(3)."""
_PROGRAM = "systemctl"
_COLUMNS: Mapping[str, str] = {
    "Id": "id",
    "Description": "description",
    "LoadState": "load_state",
    "ActiveState": "active_state",
    "SubState": "sub_state",
    "Result": "result",
    "ExecMainCode": "exec_main_code",
    "ExecMainStatus": "exec_main_status",
    "NRestarts": "restarts",
    "FragmentPath": "fragment_path",
}
_NUMBERS = frozenset({"exec_main_code", "exec_main_status", "restarts"})
_ARGUMENTS = (
    "show", "--no-pager", "--all", f"--property={','.join(_COLUMNS)}",
    "*.service", "*.mount", "*.timer", "*.socket",
)  # fmt: skip
_MOST_BYTES = 8 * 2**20
_LONGEST = 300
_SHOWN = 30
_SOUND = frozenset({"active", "reloading", "inactive"})


class _Failure(Exception):
    """Why there is no table, as a sentence. Never leaves this module."""


class LocalUnits:
    """Answers for ``systemd_units`` of this machine, and for nothing where systemd does not run it."""

    answers: frozenset[type[Query]] = frozenset({TableQuery})

    def __init__(
        self,
        config: HostEvidence,
        clock: Clock,
        hostname: str | None = None,
        program: str = _PROGRAM,
        booted: Path = _BOOTED,
    ) -> None:
        hostname = hostname or socket.gethostname()
        self.name = f"units:{hostname}"
        self._names = {bare_host(name) for name in config.names} or {hostname.lower()}
        self._timeout = config.timeout.total_seconds()
        self._enabled = config.enabled
        self._clock = clock
        self._program = program
        self._booted = booted

    def covers(self, query: Query) -> bool:
        return (
            self._enabled
            and isinstance(query, TableQuery)
            and query.table == _TABLE
            and bare_host(query.host) in self._names
            and self._booted.is_dir()
        )

    def command(self, query: Query, window: Window) -> str | None:
        return "systemctl list-units --all --failed" if self.covers(query) else None

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The units as they are at this moment: systemd keeps no past, whatever the window."""
        text = f"{_TABLE} on {query.host if isinstance(query, TableQuery) else 'this machine'}"
        status, reason = EvidenceStatus.FAILED, "answers no such question"
        records: list[Record] = []
        if self.covers(query):
            try:
                records = list(_records(await self._shown()))
                status, reason = EvidenceStatus.EMPTY, "systemd knows no units"
            except _Failure as failure:
                reason = str(failure)
        if not records:
            return nothing(
                source=self.name,
                kind=query.kind,
                query=text,
                window=window,
                taken_at=self._clock.now(),
                subject=subject,
                reason=reason,
                status=status,
                manual=self.command(query, window),
            )
        bad = [record for record in records if record["active_state"] not in _SOUND]
        failed = sum(record["active_state"] == "failed" for record in records)
        return answered(
            source=self.name,
            kind=query.kind,
            query=text,
            window=window,
            taken_at=self._clock.now(),
            summary=f"{failed} of {len(records)} units failed",
            subject=subject,
            excerpt="\n".join(_line(record) for record in [*bad, *records][:_SHOWN]),
            records=records,
            manual=self.command(query, window),
        )

    async def _shown(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *_ARGUMENTS,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
                start_new_session=True,
            )
        except OSError as error:
            raise _Failure(f"{Path(self._program).name}: {error.strerror or 'cannot be run'}") from None
        try:
            async with asyncio.timeout(self._timeout):
                output = await _bounded(process)
                code = await process.wait()
        except TimeoutError:
            raise _Failure(f"systemctl gave no answer within {self._timeout:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if code != 0:
            raise _Failure(f"systemctl ended with exit code {code}")
        return output.decode(errors="replace")


async def _bounded(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    chunks: list[bytes] = []
    size = 0
    while chunk := await process.stdout.read(65_536):
        size += len(chunk)
        if size > _MOST_BYTES:
            raise _Failure(f"systemctl printed more than {_MOST_BYTES // 2**20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _records(output: str) -> Iterator[Record]:
    """One block of ``Name=value`` lines for each unit, with an empty line between them."""
    for block in output.split("\n\n"):
        row: dict[str, str | int | float | bool | None] = {}
        for line in block.splitlines():
            name, _, value = line.partition("=")
            column = _COLUMNS.get(name)
            if column in _NUMBERS:
                row[column] = int(value) if value.isascii() and value.isdigit() else None
            elif column is not None:
                row[column] = clean(value, limit=_LONGEST)
        # A unit that others name and nobody installed is none of the machine's.
        if row.get("id") and "active_state" in row and row.get("load_state") != "not-found":
            yield row


def _line(record: Record) -> str:
    line = f"{record['id']}: {record['active_state']} ({record.get('sub_state', '')})"
    result = record.get("result")
    if result not in (None, "", "success"):
        line += f", result {result}, status {record.get('exec_main_status')}"
    return line
