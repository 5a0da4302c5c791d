"""Processes through psutil. All functions here block and run in a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from adapters.evidence.build import Record
from bot.domain.redaction import clean
from config.schema import WatchedProcess

CPU_INTERVAL = 0.3
"""Seconds over which CPU use is measured."""
_PID_FILE_SLACK = 5.0
"""A process that started this much after its pid file was written has inherited the number."""
_TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A watched process, or why there is none: ``pid`` alone means that this pid is gone."""

    process: psutil.Process | None
    pid: int | None
    note: str | None


def find(watched: WatchedProcess) -> Found:
    """The process that a watched entry means: by pid file, else by its name."""
    if watched.pid_file is None:
        return _by_name(watched.name)
    try:
        text = _read_small(watched.pid_file)
        written = watched.pid_file.stat().st_mtime
    except FileNotFoundError:
        return Found(process=None, pid=None, note=f"pid file {watched.pid_file.name} is not there")
    except OSError as error:
        raise PermissionError(f"pid file {watched.pid_file.name}: {error.strerror}") from None
    if not text.strip().isdecimal():
        raise ValueError(f"pid file {watched.pid_file.name} does not hold a number")
    pid = int(text)
    try:
        process = psutil.Process(pid)
        if process.create_time() > written + _PID_FILE_SLACK:
            return Found(process=None, pid=pid, note=f"pid {pid} now belongs to another process")
        if process.status() == psutil.STATUS_ZOMBIE:
            return Found(process=None, pid=pid, note=f"pid {pid} has ended and was not reaped")
    except (psutil.NoSuchProcess, OverflowError):
        return Found(process=None, pid=pid, note=f"pid {pid} does not run")
    return Found(process=process, pid=pid, note=None)


def _read_small(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(64).decode("ascii", errors="replace")


def _by_name(name: str) -> Found:
    for process in psutil.process_iter(["name", "cmdline"]):
        arguments = process.info["cmdline"] or []
        if process.info["name"] == name or any(Path(part).name == name for part in arguments[:2]):
            return Found(process=process, pid=process.pid, note=None)
    return Found(process=None, pid=None, note=f"no process called {name} and no pid file is configured")


def describe(name: str, process: psutil.Process) -> Record:
    """One record of a running process; CPU measured over CPU_INTERVAL. Raises NoSuchProcess."""
    before, began = _cpu_seconds(process), time.monotonic()
    time.sleep(CPU_INTERVAL)
    percent = (_cpu_seconds(process) - before) / (time.monotonic() - began) * 100
    return _record(name, process, percent)


def describe_gone(name: str, pid: int) -> Record:
    return {
        "name": name,
        "pid": pid,
        "started_at": None,
        "rss_bytes": None,
        "cpu_percent": None,
        "threads": None,
        "open_files": None,
        "status": "not_running",
    }


def rss(process: psutil.Process) -> int:
    """Resident bytes now. Raises NoSuchProcess."""
    return int(process.memory_info().rss)


def top() -> list[Record]:
    """The processes with the most CPU and the most memory, at most 2 × 10 records."""
    before = {p: p.info["cpu_times"] for p in psutil.process_iter(["cpu_times"]) if p.info["cpu_times"]}
    began = time.monotonic()
    time.sleep(CPU_INTERVAL)
    elapsed = time.monotonic() - began
    usage: list[tuple[float, int, psutil.Process]] = []
    for process, then in before.items():
        try:
            with process.oneshot():
                now = process.cpu_times()
                busy = now.user + now.system - then.user - then.system
                usage.append((busy / elapsed * 100, rss(process), process))
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to somebody we may not look at
    by_cpu = sorted(usage, key=lambda item: item[0], reverse=True)[:_TOP]
    by_memory = sorted(usage, key=lambda item: item[1], reverse=True)[:_TOP]
    records: dict[int, Record] = {}
    for percent, _, process in [*by_cpu, *by_memory]:
        try:
            if process.pid not in records:
                records[process.pid] = _record(clean(process.name(), limit=64), process, percent)
        except psutil.Error:
            continue
    return list(records.values())


def _record(name: str, process: psutil.Process, percent: float) -> Record:
    with process.oneshot():
        try:
            open_files: int | None = process.num_fds()
        except psutil.AccessDenied:
            open_files = None
        return {
            "name": name,
            "pid": process.pid,
            "started_at": process.create_time(),
            "rss_bytes": rss(process),
            "cpu_percent": round(percent, 1),
            "threads": process.num_threads(),
            "open_files": open_files,
            "status": str(process.status()),
        }


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
