"""Which alerts are about this machine, and about which declared process on it."""

from __future__ import annotations

from collections.abc import Mapping

from config.schema import HostEvidence, WatchedProcess
from investigators.ports import HostQuery

HOST_LABELS = ("instance", "node", "host", "hostname", "nodename")


def bare_host(value: str) -> str:
    """A host without its port: ``web-1:9100`` → ``web-1``, ``[::1]:80`` → ``::1``."""
    if value.startswith("["):
        return value[1:].partition("]")[0].lower()
    if value.count(":") == 1:
        value = value.partition(":")[0]
    return value.lower()


def cover(config: HostEvidence, hostname: str, labels: Mapping[str, str]) -> HostQuery | None:
    """The query for an alert with these labels, or None when it is about another machine.

    A process whose ``match`` names a host label speaks for itself; otherwise a host label in the alert
    must be one of our names. An alert without any host label is ours only when a process matches.
    """
    names = {bare_host(name) for name in config.names} or {hostname.lower()}
    named = {bare_host(labels[key]) for key in HOST_LABELS if labels.get(key)}
    process = _process(config.processes, labels)
    ours = bool(named & names)
    if process is not None and (ours or not named or any(key in process.match for key in HOST_LABELS)):
        return HostQuery(host=hostname, process=process.name, labels=dict(labels))
    return HostQuery(host=hostname, labels=dict(labels)) if ours else None


def _process(processes: tuple[WatchedProcess, ...], labels: Mapping[str, str]) -> WatchedProcess | None:
    matching = [
        process
        for process in processes
        if process.match and all(labels.get(key) == value for key, value in process.match.items())
    ]
    return max(matching, key=lambda process: len(process.match), default=None)
