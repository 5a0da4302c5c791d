"""The service graph from what is declared and observed; each edge with where it comes from and how old it is.

"No edge seen" is never "no dependency": the graph only says what is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """``source`` depends on ``target``. ``kind`` is calls, uses, runs_on or routes_to; ``origin`` says what
    shows it (spans, Service, configuration, …); ``seen_at`` when it was last observed, None if declared."""

    source: str
    target: str
    kind: str
    origin: str
    seen_at: datetime | None = None
    evidence_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes by name with their kind, and the edges from each dependent to what it depends on."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    _down: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    _up: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)

    @classmethod
    def build(cls, kinds: Mapping[str, str], edges: Iterable[Edge]) -> Graph:
        """The same edge from several origins is kept once, the observed one first."""
        known: dict[tuple[str, str, str], Edge] = {}
        for edge in edges:
            if edge.source == edge.target or not edge.source or not edge.target:
                continue
            key = (edge.source, edge.target, edge.kind)
            before = known.get(key)
            if before is None or (before.seen_at is None and edge.seen_at is not None):
                known[key] = edge
        down: dict[str, list[Edge]] = {}
        up: dict[str, list[Edge]] = {}
        for edge in known.values():
            down.setdefault(edge.source, []).append(edge)
            up.setdefault(edge.target, []).append(edge)
        names = dict(kinds)
        for edge in known.values():
            names.setdefault(edge.source, "service")
            names.setdefault(edge.target, "node" if edge.kind == "runs_on" else "service")
        return cls(
            kinds=names,
            edges=tuple(known.values()),
            _down={name: tuple(items) for name, items in down.items()},
            _up={name: tuple(items) for name, items in up.items()},
        )

    def dependencies(self, name: str) -> tuple[Edge, ...]:
        """What it directly depends on."""
        return self._down.get(name, ())

    def dependents(self, name: str) -> tuple[Edge, ...]:
        """What directly depends on it."""
        return self._up.get(name, ())

    def distances(self, start: str, *, upstream: bool = False) -> Mapping[str, int]:
        """How many edges away everything is that ``start`` depends on (or, ``upstream``, that depends on
        it); the start itself is 0."""
        found = {start: 0}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            edges = self.dependents(here) if upstream else self.dependencies(here)
            for edge in edges:
                other = edge.source if upstream else edge.target
                if other not in found:
                    found[other] = found[here] + 1
                    queue.append(other)
        return found

    def blast_radius(self, name: str) -> int:
        """How many other services are known to depend on it, directly or not."""
        return sum(1 for other in self.distances(name, upstream=True) if other != name)
