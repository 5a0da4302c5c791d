"""The recorded machine's tables in osquery's columns, of our own processes and mounts alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

Rows = list[dict[str, Any]]
_STATES = {
    "running": "R",
    "sleeping": "S",
    "disk-sleep": "D",
    "stopped": "T",
    "tracing-stop": "t",
    "zombie": "Z",
}


def processes(roots: Sequence[int]) -> Rows:
    """Those processes and all below them."""
    return [row for one in _family(roots) if (row := _process(one)) is not None]


def listening_ports(roots: Sequence[int]) -> Rows:
    rows: Rows = []
    for one in _family(roots):
        try:
            connections = one.net_connections(kind="tcp")
        except psutil.Error:
            continue
        rows += [
            {
                "pid": one.pid,
                "port": link.laddr.port,
                "address": link.laddr.ip,
                "protocol": 6,
                "family": int(socket.AF_INET6 if ":" in link.laddr.ip else socket.AF_INET),
            }
            for link in connections
            if link.status == psutil.CONN_LISTEN and link.laddr
        ]
    return rows


def mounts(paths: Mapping[Path, str]) -> Rows:
    """Real path → device shown."""
    rows: Rows = []
    for path, device in paths.items():
        found = os.statvfs(path)
        rows.append(
            {
                "device": device,
                "path": str(path),
                "type": "tmpfs",
                "blocks_size": found.f_frsize,
                "blocks": found.f_blocks,
                "blocks_free": found.f_bfree,
                "blocks_available": found.f_bavail,
                "inodes": found.f_files,
                "inodes_free": found.f_ffree,
                "flags": "rw,relatime",
            }
        )
    return rows


def _family(roots: Sequence[int]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            one = psutil.Process(pid)
            for each in (one, *one.children(recursive=True)):
                found[each.pid] = each
        except psutil.NoSuchProcess:
            continue
    return [found[pid] for pid in sorted(found)]


def _process(one: psutil.Process) -> dict[str, Any] | None:
    try:
        with one.oneshot():
            cpu, memory = one.cpu_times(), one.memory_info()
            status = one.status()
            row = {
                "pid": one.pid,
                "name": one.name(),
                "cmdline": "" if status == "zombie" else " ".join(one.cmdline()),
                "state": _STATES.get(status, status[:1].upper()),
                "parent": one.ppid(),
                "uid": one.uids().real,
                "threads": one.num_threads(),
                "resident_size": memory.rss,
                "total_size": memory.vms,
                "user_time": int(cpu.user * 1000),
                "system_time": int(cpu.system * 1000),
                "start_time": round(one.create_time(), 2),
            }
            row["open_files"] = 0 if status == "zombie" else one.num_fds()
    except psutil.Error:
        return None
    # Threads of its own runtime have no say in how busy a process is: one look of a third of a second.
    try:
        row["cpu_percent"] = 0.0 if status == "zombie" else one.cpu_percent(0.3)
    except psutil.Error:
        return None
    return row
