"""Everything an investigation gathered, arranged by object rather than by question. Pure and built once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bot.domain.alert import Alert
from bot.domain.evidence import Change, Evidence, Series, TraceSpan
from investigators.templates import Texts
from investigators.world.cluster import Cluster
from investigators.world.graph import Graph

_Derived = TypeVar("_Derived")
_POD_SUFFIX = re.compile(r"-(?:[a-f0-9]{6,10}-[a-z0-9]{5}|[0-9]{1,3}|[bcdfghjklmnpqrstvwxz2456789]{5})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One log line and the answer it came in; ``service`` and ``pod`` as far as they are known."""

    service: str
    pod: str
    node: str
    at: datetime | None
    text: str
    level: str
    evidence: Evidence
    previous: bool = False
    span_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One series about one object. ``object`` is a service, or a node where ``object_kind`` says so."""

    object: str
    object_kind: str
    pod: str
    series: Series
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is known of everything around an incident at the moment of the investigation.

    ``onset`` is when the first alert began; ``healthy_*`` are the same parts from a time in which all was
    well (empty where there is none). ``asked`` holds every answer by its kind, failed ones too.
    """

    now: datetime
    onset: datetime
    alerts: tuple[Alert, ...]
    subjects: tuple[str, ...]
    cluster: Cluster
    graph: Graph
    lines: tuple[Line, ...] = ()
    healthy_lines: tuple[Line, ...] = ()
    tracks: tuple[Track, ...] = ()
    healthy_tracks: tuple[Track, ...] = ()
    spans: tuple[TraceSpan, ...] = ()
    healthy_spans: tuple[TraceSpan, ...] = ()
    changes: tuple[Change, ...] = ()
    asked: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    _lines_by: Mapping[tuple[str, str], tuple[Line, ...]] = field(default_factory=dict)
    _derived: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def derived(self, make: Callable[[World], _Derived]) -> _Derived:
        """What several rules make of this world, made when the first of them asks."""
        if make not in self._derived:
            self._derived[make] = make(self)
        found: _Derived = self._derived[make]
        return found

    def looked(self, *kinds: str) -> tuple[Evidence, ...]:
        """The answers of these kinds (``log.lines``, ``trace.spans``, …), to cite or to see gaps in."""
        return tuple(item for kind in kinds for item in self.asked.get(kind, ()))

    def lines_of_pod(self, pod: str) -> tuple[Line, ...]:
        return self._lines_by.get(("pod", pod), ())

    def lines_of(self, service: str) -> tuple[Line, ...]:
        """The log lines of every pod of a service, in the incident's window, oldest first."""
        return self._lines_by.get(("service", service), ())

    def lines_matching(
        self, pattern: re.Pattern[str], *, service: str | None = None, since: timedelta | None = None
    ) -> tuple[Line, ...]:
        """Lines that hold the pattern, of one service or of all; ``since`` before the onset at most."""
        lines: Iterable[Line] = self.lines if service is None else self.lines_of(service)
        earliest = None if since is None else self.onset - since
        return tuple(
            line
            for line in lines
            if (earliest is None or line.at is None or line.at >= earliest) and pattern.search(line.text)
        )

    def tracks_of(self, name: str, metric: re.Pattern[str] | None = None) -> tuple[Track, ...]:
        """The series of one object whose metric name matches."""
        return tuple(
            track
            for track in self.tracks
            if track.object == name and (metric is None or metric.search(track.series.name))
        )

    def silenced(self, name: str) -> Evidence | None:
        """The answer that shows that every target of an object went down; None where one is up, or none was
        ever seen up."""
        tracks = self.derived(_scrapes).get(name, ())
        if not any(any(track.series.values) for track in tracks):
            return None
        return None if any(track.series.values[-1] for track in tracks) else tracks[0].evidence


def _scrapes(world: World) -> Mapping[str, tuple[Track, ...]]:
    """The series of ``up`` by object."""
    found: dict[str, list[Track]] = {}
    for track in world.tracks:
        if track.series.name == "up" and track.series.values:
            found.setdefault(track.object, []).append(track)
    return {name: tuple(tracks) for name, tracks in found.items()}


def index_lines(lines: Iterable[Line]) -> Mapping[tuple[str, str], tuple[Line, ...]]:
    """Lines by ("pod", name) and by ("service", name)."""
    index: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.pod:
            index.setdefault(("pod", line.pod), []).append(line)
        if line.service:
            index.setdefault(("service", line.service), []).append(line)
    return {key: tuple(items) for key, items in index.items()}


def texts_of(_: World) -> Texts:
    """What is made of the lines of a world, for all that look at them."""
    return Texts()


def service_of_pod(pod: str) -> str:
    """The workload's name by the shape of a pod's name, for pods whose owner was not read."""
    return _POD_SUFFIX.sub("", pod)
