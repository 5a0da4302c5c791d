"""How an object fares by what was measured of it: the calls it served, the calls made to it, its pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from statistics import median

from bot.domain.evidence import TraceSpan
from investigators.signals.delays import split
from investigators.world.cluster import Cluster, Thing, moment
from investigators.world.world import World

_LEAST = 10
"""Calls below which nothing is said of how they went."""
_FAILING = 0.02
_WORSE = 1.5
_FLOOR_MS = 5.0
_FEWER = 0.5
"""A service that gets less than half its calls may be missing just those that fail."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one kind in one span of time; the middle one and the slowest but a tenth, in milliseconds."""

    count: int
    failed: int
    middle_ms: float
    slow_ms: float
    a_minute: float

    @property
    def share_failed(self) -> float:
        return self.failed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Fares:
    """The same calls before the incident and since it began."""

    before: Calls
    since: Calls

    @property
    def well(self) -> bool:
        """As many, as fast and as successful as before: only then is a whole fault elsewhere."""
        now, usual = self.since, self.before
        return (
            now.count >= _LEAST
            and usual.count >= _LEAST
            and now.share_failed <= max(_FAILING, usual.share_failed)
            and now.middle_ms <= _WORSE * usual.middle_ms + _FLOOR_MS
            and now.slow_ms <= _WORSE * usual.slow_ms + _FLOOR_MS
            and now.a_minute >= _FEWER * usual.a_minute
        )


_Call = tuple[str, bool, float]
"""Whose it is, whether it failed, how long it took."""


class Traced:
    """What traces say of each service, read when it is first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def served(self, name: str) -> Fares | None:
        """The calls the service answered, by its own spans."""
        return _fares(name, self._served)

    def met(self, name: str) -> Fares | None:
        """The calls that others made to it, by their spans."""
        return _fares(name, self._met)

    @cached_property
    def _split(self) -> tuple[Sequence[TraceSpan], Sequence[TraceSpan]]:
        return split(self._world.spans, self._world.healthy_spans, self._world.onset)

    @cached_property
    def _served(self) -> tuple[Mapping[str, Calls], ...]:
        return tuple(_counted(_answered(spans), spans) for spans in self._split)

    @cached_property
    def _met(self) -> tuple[Mapping[str, Calls], ...]:
        return tuple(_counted(_made(spans), spans) for spans in self._split)


def _fares(name: str, parts: tuple[Mapping[str, Calls], ...]) -> Fares | None:
    before, since = parts
    return Fares(before[name], since[name]) if name in before and name in since else None


def _answered(spans: Sequence[TraceSpan]) -> Iterable[_Call]:
    return ((one.service, one.error, one.duration_ms) for one in spans if one.kind == "server")


def _made(spans: Sequence[TraceSpan]) -> Iterable[_Call]:
    callers = {(one.trace_id, one.span_id): one for one in spans if one.kind == "client"}
    for one in spans:
        caller = callers.get((one.trace_id, one.parent_id or ""))
        if caller is not None and caller.service != one.service:
            yield one.service, caller.error or one.error, caller.duration_ms
    parents = {(one.trace_id, one.parent_id) for one in spans}
    for one in callers.values():
        # A call whose other side left no span: what is down leaves none.
        if one.peer and (one.trace_id, one.span_id) not in parents:
            yield one.peer, one.error, one.duration_ms


def _counted(calls: Iterable[_Call], spans: Sequence[TraceSpan]) -> Mapping[str, Calls]:
    grouped: dict[str, list[tuple[bool, float]]] = {}
    for name, failed, took in calls:
        grouped.setdefault(name, []).append((failed, took))
    starts = [one.start for one in spans]
    minutes = max(1.0, (max(starts) - min(starts)).total_seconds() / 60) if starts else 1.0
    return {
        name: Calls(
            count=len(items),
            failed=sum(failed for failed, _ in items),
            middle_ms=median(took for _, took in items),
            slow_ms=sorted(took for _, took in items)[int(0.9 * len(items))],
            a_minute=len(items) / minutes,
        )
        for name, items in grouped.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod as far as its containers' states tell; ``codes`` are the exit codes of ends that are known."""

    workload: str
    node: str
    created: datetime | None
    ready: bool
    restarts: int
    codes: tuple[int, ...]
    killed: bool

    def untouched_since(self, at: datetime) -> bool:
        """It was there before, and no container of it ever ended."""
        return self.ready and not self.restarts and not self.codes and self.existed(at)

    def existed(self, at: datetime) -> bool:
        return self.created is not None and self.created < at


def pods_of(cluster: Cluster) -> tuple[Pod, ...]:
    """Every pod that is neither over nor being deleted."""
    return tuple(
        _pod(cluster, thing)
        for thing in cluster.of("Pod")
        if thing.at("metadata", "deletionTimestamp") is None
        and thing.at("status", "phase") not in ("Succeeded", "Failed")
    )


def _pod(cluster: Cluster, thing: Thing) -> Pod:
    statuses = thing.items("status", "containerStatuses")
    ends = [
        ended
        for status in statuses
        for state in (status.get("state"), status.get("lastState"))
        if isinstance(state, Mapping) and isinstance(ended := state.get("terminated"), Mapping)
    ]
    restarts = [one.get("restartCount") for one in statuses]
    return Pod(
        workload=cluster.workload_name(thing),
        node=str(thing.at("spec", "nodeName", default="")),
        created=moment(thing.at("metadata", "creationTimestamp")),
        ready=bool(statuses) and all(one.get("ready") is True for one in statuses),
        restarts=sum(one for one in restarts if isinstance(one, int)),
        codes=tuple(code for one in ends if isinstance(code := one.get("exitCode"), int)),
        killed=any(one.get("reason") == "OOMKilled" for one in ends),
    )
