"""The machine itself: CPU, memory, disks, ports. All functions here block and run in a thread."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from adapters.evidence.build import Record
from adapters.evidence.host.process import CPU_INTERVAL
from bot.domain.redaction import clean


def resources(pressure: Path = Path("/proc/pressure")) -> Record:
    """One record of CPU over a third of a second, load, memory, swap and pressure stall (PSI avg10)."""
    before = psutil.cpu_times()
    time.sleep(CPU_INTERVAL)
    after = psutil.cpu_times()
    # guest time is already inside user time.
    total = sum(after[:8]) - sum(before[:8])
    idle = after.idle + getattr(after, "iowait", 0.0) - before.idle - getattr(before, "iowait", 0.0)
    load1, load5, load15 = psutil.getloadavg()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    record: dict[str, str | int | float | bool | None] = {
        "cpu_percent": round((total - idle) / total * 100, 1) if total > 0 else None,
        "cpu_count": os.cpu_count() or 1,
        "load1": load1,
        "load5": load5,
        "load15": load15,
        "memory_total_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "swap_used_percent": swap.percent,
        "boot_at": psutil.boot_time(),
    }
    for kind in ("cpu", "memory", "io"):
        stalled = _pressure(pressure / kind)
        if stalled is not None:
            record[f"{kind}_pressure_avg10"] = stalled
    return record


def _pressure(path: Path) -> float | None:
    """The ``some avg10`` of https://docs.kernel.org/accounting/psi.html, in percent."""
    try:
        first = path.read_text().split("\n", 1)[0]
    except OSError:
        return None
    for part in first.split():
        key, _, value = part.partition("=")
        if key == "avg10":
            return float(value)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    path: str
    device: int


def mounts(extra: Sequence[Path]) -> list[Mount]:
    """Mounts worth a look: real devices, the root, and where the watched files lie; one per device."""
    paths = ["/", *(part.mountpoint for part in psutil.disk_partitions(all=False))]
    paths += [_mount_point(path) for path in extra]
    seen: dict[int, Mount] = {}
    for path in sorted(set(paths), key=len):
        try:
            if not os.path.isdir(path):
                continue  # container runtimes mount single files
            device = os.stat(path).st_dev
        except OSError:
            continue
        seen.setdefault(device, Mount(path=path, device=device))
    return list(seen.values())


def _mount_point(path: Path) -> str:
    current = path.absolute()
    while current != current.parent and not os.path.ismount(current):
        current = current.parent
    return str(current)


def usage(mount: Mount) -> Record:
    """One record of a mount; percentages are of what ordinary users may fill. Raises OSError."""
    stats = os.statvfs(mount.path)
    usable = (stats.f_blocks - stats.f_bfree + stats.f_bavail) * stats.f_frsize
    free = stats.f_bavail * stats.f_frsize
    inodes = 100 * (1 - stats.f_favail / stats.f_files) if stats.f_files else None
    return {
        "mount": mount.path,
        "total_bytes": usable,
        "free_bytes": free,
        "used_percent": round(100 * (1 - free / usable), 2) if usable else None,
        "inodes_used_percent": None if inodes is None else round(inodes, 2),
    }


def listening() -> tuple[list[Record], bool]:
    """All listening TCP ports; True when the owners of some are hidden from us."""
    connections = [c for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN]
    return _ports([(c.laddr, c.pid) for c in connections]), any(c.pid is None for c in connections)


def listening_of(process: psutil.Process) -> list[Record]:
    """Listening TCP ports of a process and its children, as worker processes hold them too."""
    family = [process, *process.children(recursive=True)]
    return _ports(
        [
            (connection.laddr, member.pid)
            for member in family
            for connection in member.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
    )


def _ports(found: Sequence[tuple[Any, int | None]]) -> list[Record]:
    records: list[Record] = [
        {"port": address.port, "address": address.ip, "pid": pid, "process": _name(pid)}
        for address, pid in found
        if address
    ]
    return sorted(records, key=lambda record: (int(record["port"] or 0), str(record["address"])))


def _name(pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        return clean(psutil.Process(pid).name(), limit=64)
    except psutil.Error:
        return None
