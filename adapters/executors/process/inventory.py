"""The processes that may be restarted, and finding the one that runs now."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from adapters.executors.process.identity import RunningProcess, observe, protected_pids
from bot.domain.errors import InputError, Unavailable
from bot.domain.proposal import Action
from config.schema import ManagedProcess

RESTART = "process.restart"
PARAMETER = "process"

CLOCK_SLACK = 2.0
"""Seconds by which a process may seem younger than the pid file that names it."""

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What a pid file says, and when it was written (seconds since the epoch)."""

    pid: int
    written_at: float


class Inventory:
    """The configured processes by name.

    A restarted process gets only ``PASSED_ON`` and ``LC_*`` of our own environment: any other variable
    may hold one of our secrets. A service that needs more says so in ``start``
    (``[/usr/bin/env, NAME=value, …]``) or belongs to a service manager (``restart``).
    """

    def __init__(self, processes: Sequence[ManagedProcess], environment: Mapping[str, str]) -> None:
        self._entries = {entry.name: entry for entry in processes}
        if len(self._entries) != len(processes):
            raise ValueError("two managed processes have the same name")
        self.environment = {
            name: value for name, value in environment.items() if name in PASSED_ON or name.startswith("LC_")
        }

    def entry(self, action: Action) -> ManagedProcess:
        """Return the entry an action names. Raises InputError when it names none."""
        if action.name != RESTART:
            raise InputError(f"the process executor knows {RESTART}, not {action.name}")
        name = action.params.get(PARAMETER)
        entry = self._entries.get(name) if isinstance(name, str) else None
        if entry is None:
            known = ", ".join(sorted(self._entries)) or "none"
            raise InputError(f"parameter {PARAMETER}: {name!r} is not a managed process; known: {known}")
        return entry

    def program(self, argv: Sequence[str], cwd: Path | None) -> str | None:
        """Return the path of the program an argv would run, or None."""
        if "/" in argv[0]:
            path = os.path.join(cwd or os.getcwd(), argv[0])
            return path if os.path.isfile(path) and os.access(path, os.X_OK) else None
        return shutil.which(argv[0], path=self.environment.get("PATH", os.defpath))

    def find(self, entry: ManagedProcess) -> RunningProcess | None:
        """Return the process that is the entry's service now, or None when it does not run.

        A live process is trusted when it runs exactly the ``start`` command; where that cannot be
        compared (``restart``, or a service that rewrote its title) it must not be younger than the pid
        file. A pid file that only names a younger, different program is stale: its pid was reused.

        Raises Unavailable when it cannot be told: an unreadable pid file, an older process that runs
        something else, or a second instance that the pid file does not know. Limit: with ``restart``
        alone, a pid file touched after its pid was reused deceives us.
        """
        pid_file = read_pid_file(entry)
        process = observe(pid_file.pid) if pid_file is not None else None
        if process is not None and pid_file is not None:
            if process.pid in protected_pids():
                raise Unavailable(
                    "process", f"{entry.name}: {entry.pid_file} names Assent itself or one of its parents"
                )
            if entry.start and self._runs_exactly(entry, process):
                return process
            not_younger = process.started_at <= pid_file.written_at + CLOCK_SLACK
            comparable = bool(entry.start) and not self._renamed(entry, process)
            if not_younger and not comparable:
                return process
            if not_younger:
                raise Unavailable(
                    "process",
                    f"{entry.name}: {entry.pid_file} names pid {process.pid}, which runs "
                    f"{_shown(process.argv)} and not the configured start command; mend pid_file or "
                    "start (for a launcher or a service manager use restart)",
                )
        if entry.start:
            self._refuse_second_instance(entry)
        return None

    def _refuse_second_instance(self, entry: ManagedProcess) -> None:
        own = protected_pids()
        for pid in psutil.pids():
            if pid in own:
                continue
            process = observe(pid)
            if process is not None and self._runs_exactly(entry, process):
                raise Unavailable(
                    "process",
                    f"{entry.name}: pid {pid} runs the start command, but {entry.pid_file} does not "
                    f"name it; write {pid} into that file or stop the process",
                )

    def _runs_exactly(self, entry: ManagedProcess, process: RunningProcess) -> bool:
        expected = _without_env(entry.start)
        argv = process.argv
        if len(argv) < len(expected):
            return False
        program = self.program(expected, entry.cwd)
        real = os.path.realpath(program) if program else None
        if argv[1:] == expected[1:] and len(argv) == len(expected):
            return argv[0] == expected[0] or (real is not None and os.path.realpath(process.exe) == real)
        # A script: the kernel puts the interpreter of its "#!" line in front (execve(2)).
        tail = argv[-len(expected) :]
        script = os.path.join(entry.cwd or "", tail[0])
        return tail[1:] == expected[1:] and real is not None and os.path.realpath(script) == real

    def _renamed(self, entry: ManagedProcess, process: RunningProcess) -> bool:
        """Whether it is the right program under a title of its own, such as ``nginx: master process``."""
        program = self.program(_without_env(entry.start), entry.cwd)
        same = program is not None and os.path.realpath(program) == os.path.realpath(process.exe)
        return same and bool(process.argv) and process.argv[0].endswith(":")


def read_pid_file(entry: ManagedProcess) -> PidFile | None:
    """Return what the entry's pid file says; None when there is none or it is empty.

    Raises Unavailable when it cannot be read or does not begin with a line that is a pid.
    """
    try:
        descriptor = os.open(entry.pid_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable("process", f"{entry.name}: {entry.pid_file}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        content = os.read(descriptor, 64) if stat.S_ISREG(status.st_mode) else b"?"
    finally:
        os.close(descriptor)
    if not content.strip():
        return None
    first = content.split(b"\n", 1)[0].strip()
    if not first.isdigit() or not 1 < int(first) < 2**31:
        raise Unavailable("process", f"{entry.name}: {entry.pid_file} does not hold a pid greater than 1")
    return PidFile(pid=int(first), written_at=status.st_mtime)


def _without_env(argv: Sequence[str]) -> tuple[str, ...]:
    """The command as it runs after env(1) has replaced itself by it."""
    rest = list(argv)
    if rest and os.path.basename(rest[0]) == "env":
        rest = rest[1:]
        while rest and "=" in rest[0]:
            rest = rest[1:]
    return tuple(rest) or tuple(argv)


def _shown(argv: Sequence[str]) -> str:
    # Arguments of a foreign program may hold its secrets: its name is enough.
    return repr(argv[0][:120]) if argv else "another program"
