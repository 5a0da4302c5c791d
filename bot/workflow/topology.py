"""Which alerts of different services belong together, by what is known to depend on what.

Plain connected components merge everything as soon as a few alerts are noise. So a service with a single
alert belongs to a group and never joins two: only one with at least two alerts leads on to its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.domain.alert import Alert, AlertStatus, StoredAlert
from bot.domain.graph import Graph
from bot.domain.ids import IncidentId
from bot.domain.incident import Incident
from bot.ports import Reading
from bot.workflow.routing import Router

FRESH = timedelta(days=1)
"""Edges that were not seen for so long group nothing."""
_STEPS = 2
_BRIDGE = 2
_INCIDENTS = 50
_MEMBERS = 20
_CLUSTER = "cluster"

Near = Mapping[str, Mapping[str, int]]
"""For each service those it depends on or that depend on it, and how many edges away they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A service where it runs: of the same name in two environments or clusters they are two."""

    environment: str
    cluster: str
    service: str

    @property
    def scope(self) -> tuple[str, str]:
        return (self.environment, self.cluster)


@dataclass(slots=True, kw_only=True)
class Home:
    """An incident that may take in alerts of services near its own: the ``anchor``. ``counts`` are the
    firing alerts of each of its services."""

    id: IncidentId
    anchor: str
    counts: dict[str, int]


@dataclass(slots=True)
class Grouping:
    """Where the alerts of one batch belong: ``homes`` are incidents that were there before, ``groups`` number
    the others. ``incidents`` grows as the batch is placed."""

    homes: Mapping[Node, IncidentId] = field(default_factory=dict)
    groups: Mapping[Node, int] = field(default_factory=dict)
    incidents: dict[int, IncidentId] = field(default_factory=dict)

    def incident_of(self, node: Node) -> IncidentId | None:
        """The incident that takes the node's alerts, None where there is none (yet)."""
        group = self.groups.get(node)
        return self.homes.get(node) or (None if group is None else self.incidents.get(group))

    def opened(self, node: Node | None, incident: IncidentId) -> None:
        """Note that an incident was opened for a node; the first of a group is the group's."""
        group = None if node is None else self.groups.get(node)
        if group is not None:
            self.incidents.setdefault(group, incident)


def node_of(alert: Alert, router: Router) -> Node | None:
    """What an alert is about, None where no service is known."""
    routed = router.route(alert)
    if routed.service is None or routed.ignored is not None:
        return None
    return Node(
        environment=routed.environment or "",
        cluster=alert.labels.get(_CLUSTER, ""),
        service=routed.service,
    )


async def read_graph(rows: Reading, now: datetime) -> Graph:
    """What is declared, and what was seen lately enough to group by."""
    return Graph.build({}, await rows.edges(now - FRESH))


async def read_grouping(
    rows: Reading,
    pending: Sequence[StoredAlert],
    router: Router,
    graph: Graph,
    *,
    window: timedelta,
    most: int,
    now: datetime,
) -> Grouping:
    """Look at the incidents opened within the window and the alerts that are to be placed."""
    counts = _counts((stored.alert for stored in pending), router)
    known = {node: count for node, count in counts.items() if node.service in graph.kinds}
    if not known:
        return Grouping()
    homes: dict[tuple[str, str], list[Home]] = {}
    recent = [
        one for one in await rows.incidents(live_only=True, limit=_INCIDENTS) if one.opened_at >= now - window
    ]
    for incident in sorted(recent, key=lambda one: (one.opened_at, one.id)):
        alerts = [stored.alert for stored in await rows.current_alerts(incident.id, _MEMBERS)]
        for scope, home in _homes(incident, _counts(alerts, router)):
            homes.setdefault(scope, []).append(home)
    taken: dict[Node, IncidentId] = {}
    groups: dict[Node, int] = {}
    number = 0
    for scope in sorted({node.scope for node in known}):
        here = {node.service: count for node, count in known.items() if node.scope == scope}
        near = neighbours(here, graph)
        found = settle(here, near, homes.get(scope, ()), most)
        left = {service: count for service, count in here.items() if service not in found}
        taken |= {_node(scope, service): incident for service, incident in found.items()}
        for members in group(left, near, most):
            number += 1
            groups |= {_node(scope, service): number for service in members}
    return Grouping(homes=taken, groups=groups)


def neighbours(services: Iterable[str], graph: Graph) -> Near:
    """Whom each of the services is near: through at most one other, in one direction."""
    found: dict[str, dict[str, int]] = {}
    for service in services:
        around: dict[str, int] = {}
        for upstream in (False, True):
            for other, steps in graph.distances(service, upstream=upstream, most=_STEPS).items():
                around[other] = min(steps, around.get(other, steps))
        del around[service]
        found[service] = around
    return found


def settle(
    counts: Mapping[str, int], near: Near, homes: Sequence[Home], most: int
) -> Mapping[str, IncidentId]:
    """Which services' alerts join an incident that is there: one near its anchor, or near another of its
    services that has enough alerts to lead on. Of several the nearest, then the first of ``homes``."""
    found: dict[str, IncidentId] = {}
    services = {home.id: dict(home.counts) for home in homes}
    changed = True
    while changed:
        changed = False
        for service in sorted(counts):
            if service in found:
                continue
            choices = []
            for number, home in enumerate(homes):
                members = services[home.id]
                steps = _steps(service, near[service], home.anchor, members)
                if steps is not None and (service in members or len(members) < most):
                    choices.append((steps, number))
            if choices:
                home = homes[min(choices)[1]]
                found[service] = home.id
                members = services[home.id]
                members[service] = members.get(service, 0) + counts[service]
                changed = True
    return found


def _steps(service: str, around: Mapping[str, int], anchor: str, members: Mapping[str, int]) -> int | None:
    if service in members:
        return 0
    leading = {anchor, *(one for one, count in members.items() if count >= _BRIDGE)}
    return min((around[one] for one in leading if one in around), default=None)


def group(counts: Mapping[str, int], near: Near, most: int) -> list[tuple[str, ...]]:
    """The groups of at least two services, at most ``most`` in each. ``counts`` are the alerts of each; the
    result does not depend on their order."""
    free = {one for one in counts if any(other in counts for other in near[one])}
    groups: list[list[str]] = []
    strong = [one for one in free if counts[one] >= _BRIDGE]
    for one in sorted(strong, key=lambda service: (-counts[service], service)):
        if one in free:
            groups.append(_grown(one, counts, near, free, most))
    for one in sorted(free):
        home = min(
            (
                (near[one][member], number)
                for number, members in enumerate(groups)
                for member in members
                if member in near[one] and counts[member] >= _BRIDGE and len(members) < most
            ),
            default=None,
        )
        if home is not None:
            groups[home[1]].append(one)
            free.discard(one)
    # Nothing else is left but services with one alert each: around the one that most of them are near.
    while free:
        hub = min(free, key=lambda one: (-sum(other in free for other in near[one]), one))
        around = sorted((near[hub][one], one) for one in near[hub] if one in free)
        members = [hub, *(one for _, one in around)][:most]
        groups.append(members)
        free -= set(members)
    return [tuple(members) for members in groups if len(members) > 1]


def _grown(start: str, counts: Mapping[str, int], near: Near, free: set[str], most: int) -> list[str]:
    """The services with enough alerts that lead from one to the next, nearest first."""
    members = [start]
    free.discard(start)
    for here in members:
        around = [one for one in near[here] if one in free and counts[one] >= _BRIDGE]
        for one in sorted(around, key=lambda other: (near[here][other], other)):
            if len(members) < most:
                members.append(one)
                free.discard(one)
    return members


def _node(scope: tuple[str, str], service: str) -> Node:
    return Node(environment=scope[0], cluster=scope[1], service=service)


def _counts(alerts: Iterable[Alert], router: Router) -> dict[Node, int]:
    """Firing alerts by what they are about; the same alert delivered twice counts once."""
    seen: dict[Node, set[tuple[str, str]]] = {}
    for alert in alerts:
        if alert.status is AlertStatus.FIRING:
            node = node_of(alert, router)
            if node is not None:
                seen.setdefault(node, set()).add((alert.source, alert.fingerprint))
    return {node: len(found) for node, found in seen.items()}


def _homes(incident: Incident, counts: Mapping[Node, int]) -> Iterable[tuple[tuple[str, str], Home]]:
    """The incident for each scope in which it has alerts of its own service, or, if that is over, of any."""
    own = [node for node in counts if node.service == incident.service]
    for scope in sorted({node.scope for node in own or counts}):
        here = {node.service: count for node, count in counts.items() if node.scope == scope}
        anchor = incident.service if incident.service in here else min(here)
        yield scope, Home(id=incident.id, anchor=anchor or "", counts=here)
