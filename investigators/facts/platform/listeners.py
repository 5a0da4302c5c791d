"""Who answers at which port of which machine, for addresses that are no name: ``127.0.0.1:8443``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from investigators.world.world import World

_INSTANCE = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[\w.-]+):(?P<port>\d{2,5})\Z")
_LISTENS = re.compile(
    r"\blistening\b.{0,60}?(?:\bport[ =:]+|[\]\w.*]:|\s:)(?P<port>\d{2,5})(?![\d:.])", re.IGNORECASE
)


class Listeners:
    """Learnt from the addresses at which services are scraped, from what they say when they start, and from
    a machine's table of listening sockets; each read when it is first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def _scraped(self) -> Mapping[tuple[str, int], frozenset[str]]:
        found: dict[tuple[str, int], set[str]] = {}
        for track in self._world.tracks:
            if track.series.name != "up" or not track.object or track.object_kind == "node":
                continue
            match = _INSTANCE.match(track.series.labels.get("instance", ""))
            if match is not None:
                place = match["host"].strip("[]").lower(), int(match["port"])
                found.setdefault(place, set()).add(track.object)
        return {place: frozenset(names) for place, names in found.items()}

    @cached_property
    def _machines(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for (host, _), names in self._scraped.items():
            for name in names:
                found.setdefault(name, set()).add(host)
        return {name: frozenset(hosts) for name, hosts in found.items()}

    @cached_property
    def _told(self) -> Mapping[str, frozenset[int]]:
        """Ports by service, as services and machines say themselves."""
        found: dict[str, set[int]] = {}
        for name, port in (*self._from_lines(), *self._from_tables()):
            found.setdefault(name, set()).add(port)
        return {name: frozenset(ports) for name, ports in found.items()}

    def _from_lines(self) -> Iterator[tuple[str, int]]:
        for line in self._world.lines:
            if line.service and "istening" in line.text:
                match = _LISTENS.search(line.text[:400])
                if match is not None:
                    yield line.service, int(match["port"])

    def _from_tables(self) -> Iterator[tuple[str, int]]:
        for evidence in self._world.looked("osquery.table"):
            records = evidence.records if evidence.usable else ()
            for record in records:
                port, pid = record.get("port"), record.get("pid")
                if isinstance(port, int) and port and pid is not None and pid in self._processes:
                    yield self._processes[pid], port

    @cached_property
    def _processes(self) -> Mapping[object, str]:
        """Processes that are called what a known object is called, by pid."""
        return {
            record["pid"]: str(record["name"])
            for evidence in self._world.looked("osquery.table")
            for record in (evidence.records if evidence.usable else ())
            if "pid" in record and record.get("name") in self._world.graph.kinds
        }

    def at(self, host: str, port: int) -> str | None:
        """The one service that is scraped at this very address."""
        return _only(self._scraped.get((host, port), frozenset()))

    def beside(self, caller: str, port: int) -> str | None:
        """The one service that answers at this port of the caller's own machine."""
        names = {name for name, ports in self._told.items() if port in ports}
        names |= {name for (_, number), found in self._scraped.items() if number == port for name in found}
        every = {host for hosts in self._machines.values() for host in hosts}
        own = self._machines.get(caller, frozenset())
        return _only(
            frozenset(
                name
                for name in names - {caller}
                if own & self._machines.get(name, frozenset())
                or (len(every) <= 1 and not (own and name in self._machines))
            )
        )

    def tells(self, name: str) -> frozenset[int]:
        """The ports on which a service is known to listen because it, or its machine, says so."""
        return self._told.get(name, frozenset())


def _only(names: frozenset[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None
