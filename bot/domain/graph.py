"""The service graph from what is declared and observed; each edge with where it comes from and how old it is.

"No edge seen" is never "no dependency": the graph only says what is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

EDGE_LIFE = timedelta(days=7)
"""How long an edge that nobody declared is known without being seen again."""
MOST_EDGES = 5_000
_ROUTES = "routes_to"
_NO_SERVICES = frozenset({"node", "pod", "external"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """``source`` depends on ``target``. ``kind`` is calls, uses, runs_on or routes_to; ``origin`` says what
    shows it (spans, Service, …); ``seen_at`` when that was last seen to say so, None if nobody noted.
    ``declared``: a person wrote it down, so it does not age. ``source_kind`` and ``target_kind`` are empty
    where they are not known."""

    source: str
    target: str
    kind: str
    origin: str
    seen_at: datetime | None = None
    evidence_id: str = ""
    declared: bool = False
    source_kind: str = ""
    target_kind: str = ""

    def told(self, now: datetime) -> str:
        """Where it is from and how old that is: ``spans, 3 min ago``."""
        if self.seen_at is None:
            return self.origin
        return f"{self.origin}, {ago(self.seen_at, now)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a service is, as far as it is declared."""

    team: str = ""
    person: str = ""

    def __str__(self) -> str:
        named = [f"team {self.team}" if self.team else "", self.person]
        return ", ".join(part for part in named if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependents:
    """The other services known to depend on something; ``seen_at`` is when the newest of the edges that show
    it was seen, None where all are declared or none is known. ``more`` of them are not named."""

    names: tuple[str, ...] = ()
    seen_at: datetime | None = None
    more: int = 0

    @property
    def count(self) -> int:
        return len(self.names) + self.more

    def shortened(self, most: int) -> Dependents:
        """The same number, with at most so many names."""
        left_out = max(0, len(self.names) - most)
        return replace(self, names=self.names[:most], more=self.more + left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes by name with their kind, and the edges from each dependent to what it depends on."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    owners: Mapping[str, Owner] = field(default_factory=dict)
    _down: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    _up: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)

    @classmethod
    def build(
        cls, kinds: Mapping[str, str], edges: Iterable[Edge], owners: Mapping[str, Owner] | None = None
    ) -> Graph:
        """The same edge from several origins is kept once, as it was seen last."""
        known: dict[tuple[str, str, str], Edge] = {}
        for edge in edges:
            if edge.source == edge.target or not edge.source or not edge.target:
                continue
            key = (edge.source, edge.target, edge.kind)
            known[key] = _newer(known[key], edge) if key in known else edge
        down: dict[str, list[Edge]] = {}
        up: dict[str, list[Edge]] = {}
        for edge in known.values():
            down.setdefault(edge.source, []).append(edge)
            up.setdefault(edge.target, []).append(edge)
        names = dict(kinds)
        for edge in known.values():
            names.setdefault(edge.source, edge.source_kind or "service")
            names.setdefault(
                edge.target, edge.target_kind or ("node" if edge.kind == "runs_on" else "service")
            )
        return cls(
            kinds=names,
            edges=tuple(known.values()),
            owners=dict(owners or {}),
            _down={name: tuple(items) for name, items in down.items()},
            _up={name: tuple(items) for name, items in up.items()},
        )

    def dependencies(self, name: str) -> tuple[Edge, ...]:
        """What it directly depends on."""
        return self._down.get(name, ())

    def dependents(self, name: str) -> tuple[Edge, ...]:
        """What directly depends on it."""
        return self._up.get(name, ())

    def distances(self, start: str, *, upstream: bool = False, most: int | None = None) -> Mapping[str, int]:
        """How many edges away everything is that ``start`` depends on (or, ``upstream``, that depends on
        it), up to ``most``; the start itself is 0."""
        found = {start: 0}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            if found[here] == most:
                continue
            edges = self.dependents(here) if upstream else self.dependencies(here)
            for edge in edges:
                other = edge.source if upstream else edge.target
                if other not in found:
                    found[other] = found[here] + 1
                    queue.append(other)
        return found

    def depend_on(self, names: Iterable[str]) -> Dependents:
        """The services known to depend on what goes by these names (in whatever case), directly or not. What
        only leads to it, such as an Ingress, is passed through and not counted."""
        wanted = {name.lower() for name in names}
        starts = [name for name in self.kinds if name.lower() in wanted]
        reached: dict[str, None] = {}
        seen: list[datetime] = []
        queue = deque(starts)
        while queue:
            for edge in self.dependents(queue.popleft()):
                if edge.seen_at is not None:
                    seen.append(edge.seen_at)
                if edge.source not in reached and edge.source not in starts:
                    reached[edge.source] = None
                    queue.append(edge.source)
        counted = sorted(name for name in reached if self._is_service(name))
        return Dependents(names=tuple(counted), seen_at=max(seen, default=None) if counted else None)

    def _is_service(self, name: str) -> bool:
        kind = self.kinds.get(name, "service")
        return kind not in _NO_SERVICES and any(edge.kind != _ROUTES for edge in self.dependencies(name))

    def kept(self, now: datetime) -> tuple[Edge, ...]:
        """The edges worth keeping beyond this moment, with the kinds of their ends: without pods, whose names
        come and go, and without declared ones, which are written down elsewhere."""
        return tuple(
            replace(
                edge,
                # A span may come from a clock that is ahead; it must not outlive what was seen since.
                seen_at=min(edge.seen_at or now, now),
                evidence_id="",
                source_kind=self.kinds[edge.source],
                target_kind=self.kinds[edge.target],
            )
            for edge in self.edges
            if "pod" not in (self.kinds[edge.source], self.kinds[edge.target])
            and not (edge.declared and edge.seen_at is None)
        )


def ago(moment: datetime, now: datetime) -> str:
    """``3 min ago``, in the largest whole unit."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def _newer(one: Edge, other: Edge) -> Edge:
    """The one that was seen last, the first of two alike; declared where either is."""
    newer = other if _seen_later(other, one) else one
    declared = one.declared or other.declared
    return newer if newer.declared == declared else replace(newer, declared=declared)


def _seen_later(one: Edge, other: Edge) -> bool:
    if one.seen_at is None or other.seen_at is None:
        return one.seen_at is not None and other.seen_at is None
    return one.seen_at > other.seen_at
