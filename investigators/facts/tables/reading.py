"""One machine's osquery tables, and what in them belongs to the object of an alert."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Evidence, LogLine
from investigators.entities import Entity
from investigators.pack import Pack, answered
from investigators.plan import HostPart
from investigators.queries import LogQuery, PodLogQuery, TableQuery

Row = Mapping[str, str | int | float | bool | None]

_COMM = 15
"""Characters of a process's name that the kernel keeps."""
_PROGRAM = re.compile(r"\.(?:py|jar|js|rb|sh|pl|exe|dll)\Z")
_WORD = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine of an entity, as its tables show it at one moment."""

    pack: Pack
    entity: Entity
    name: str

    @classmethod
    def of(cls, pack: Pack, entity: Entity) -> Machine | None:
        """None where no table of this machine was asked for."""
        name = entity.machine_name
        if name is None or not any(_is_of(entity, query) for query, _ in pack.wide):
            return None
        return cls(pack=pack, entity=entity, name=name)

    def looked(self, table: str) -> tuple[Evidence, ...]:
        return tuple(
            evidence
            for query, evidence in self.pack.wide
            if _is_of(self.entity, query) and isinstance(query, TableQuery) and query.table == table
        )

    def rows(self, table: str) -> Iterator[tuple[Evidence, Row]]:
        for evidence in self.looked(table):
            if answered(evidence):
                for row in evidence.records:
                    yield evidence, row

    @property
    def own_names(self) -> frozenset[str]:
        """What the object of the alert may be called on its machine; nothing where that is the machine."""
        if self.entity.machine:
            return frozenset()
        labels = self.entity.labels
        names = [self.entity.process, self.entity.subject.partition(" on ")[0]]
        names += [labels.get(key) for key in ("service", "process", "groupname", "exe", "job")]
        named = labels.get("name", "")
        if named.endswith(".service"):
            names.append(named)
        return frozenset(unit_stem(name).lower() for name in names if name)

    def is_own(self, row: Row) -> bool:
        """Whether a process is the alert's own: by its name, or a word of its command line."""
        name = text(row, "name").lower()
        for own in self.own_names:
            if name and (name == own or (len(own) > _COMM and name == own[:_COMM])):
                return True
            command = f"{text(row, 'path')} {text(row, 'cmdline')}".lower()
            if len(own) > 2 and own in (word for part in command.split() for word in _words(part)):
                return True
        return False

    def lines(self) -> Iterator[tuple[Evidence, LogLine]]:
        """Log lines of the object, and those of anybody that say they are from this machine."""
        for evidence in self.pack.host(self.entity.subject, HostPart.LOG):
            yield from ((evidence, line) for line in evidence.lines)
        for query, evidence in self.pack.wide:
            if isinstance(query, LogQuery | PodLogQuery) and not getattr(query, "healthy", False):
                yield from ((evidence, line) for line in evidence.lines if self._own_line(line))

    def _own_line(self, line: LogLine) -> bool:
        labels = line.labels
        here = {labels.get(key, "") for key in ("node", "host", "hostname", "instance")}
        whose = {labels.get(key, "").lower() for key in ("service", "app", "unit")}
        return self.name in here or bool({unit_stem(one) for one in whose if one} & self.own_names)


def unit_stem(name: str) -> str:
    """A systemd unit's name without its type and instance."""
    return name.removesuffix(".service").partition("@")[0]


def text(row: Row, key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value)


def number(row: Row, key: str) -> float | None:
    """osquery prints numbers as text; empty and negative ones stand for what it could not tell."""
    raw = row.get(key)
    if raw is None or raw == "":
        return None
    try:
        value = float(raw)
    except ValueError:
        return None
    return value if 0 <= value < inf else None


def clock(seconds: float) -> str:
    """An epoch time as people read it."""
    return to_rfc3339(datetime.fromtimestamp(min(seconds, 4e9), UTC))[:19] + "Z"


def _is_of(entity: Entity, query: object) -> bool:
    return isinstance(query, TableQuery) and query.host == (entity.host or entity.machine_name)


def _words(part: str) -> Iterator[str]:
    for word in _WORD.findall(part):
        yield word
        yield _PROGRAM.sub("", word)
