"""Which process is it: a pid alone is reused, pid + start time + boot is not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

ABSENT = "absent"
"""The uid of a target that is not running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """A live process. ``argv`` and ``exe`` are empty where the system does not let us see them;
    ``started_at`` is in seconds since the epoch by today's clock, good to about a second."""

    pid: int
    uid: str
    argv: tuple[str, ...]
    exe: str
    started_at: float


def start_mark(pid: int) -> str | None:
    """Return what tells this process from any other that ever had its pid; None when there is no such
    live process (a zombie is not live).

    On Linux: field 22 of ``/proc/<pid>/stat``, start time in clock ticks since boot (proc(5)), and the
    boot id; both stay the same when the wall clock is set. Elsewhere: creation and boot time.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _portable_mark(pid)
    # The command name, in brackets, may itself hold spaces and brackets: count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X", b"x"):
        return None
    return f"{pid}@{int(fields[19])}+{boot}"


def _portable_mark(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{pid}@{int(process.create_time() * 100)}+{int(psutil.boot_time())}"
    except psutil.Error:
        return None


def observe(pid: int) -> RunningProcess | None:
    """Return the live process with this pid, or None."""
    uid = start_mark(pid)
    if uid is None:
        return None
    try:
        process = psutil.Process(pid)
        started_at = process.create_time()
        argv = _seen(process, "cmdline")
        exe = _seen(process, "exe")
    except psutil.Error:
        return None
    # All of it must be about one process, not about two that had the pid one after the other.
    if start_mark(pid) != uid:
        return None
    return RunningProcess(
        pid=pid,
        uid=uid,
        argv=tuple(argv) if isinstance(argv, list) else (),
        exe=str(exe or ""),
        started_at=started_at,
    )


def _seen(process: psutil.Process, what: str) -> object:
    try:
        return getattr(process, what)()
    except psutil.AccessDenied:
        return None


def protected_pids() -> frozenset[int]:
    """Ourselves and everything we descend from: never a target."""
    pids = {0, 1, os.getpid()}
    try:
        pids.update(parent.pid for parent in psutil.Process().parents())
    except psutil.Error:
        pids.add(os.getppid())
    return frozenset(pids)
