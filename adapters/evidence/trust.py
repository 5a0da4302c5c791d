"""Whose words an answer holds: one rule for a live system and for a snapshot of it."""

from __future__ import annotations

from investigators.queries import SelectQuery, TableQuery

_OBJECTS = frozenset({"Event", "Pod"})
_FILLED_BY_THE_SYSTEM = frozenset(
    {"cpu_time", "kernel_info", "load_average", "memory_info", "os_version", "system_info", "uptime"}
    | {"systemd_units"}
)


def object_by_outsiders(kind: str) -> bool:
    """The text of an event may be the answer of a probe, that of a pod its last words."""
    return kind in _OBJECTS


def rows_by_outsiders(query: TableQuery | SelectQuery) -> bool:
    """Whoever starts a process on a host chooses its name and its command line, as a user does a path; a
    SELECT may hold any text by itself."""
    return isinstance(query, SelectQuery) or query.table not in _FILLED_BY_THE_SYSTEM
