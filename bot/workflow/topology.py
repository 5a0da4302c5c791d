"""Which alerts of different services belong together, by what is known to depend on what.

Plain connected components merge everything as soon as a few alerts are noise. So a service with a single
alert belongs to a group and never joins two: only one with at least two alerts leads on to its neighbours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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
_NODES = 200
"""Alerting services looked at; of more, those with the most alerts."""
_CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Services of the same name in two environments or clusters are two services."""

    environment: str
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A service where it runs."""

    scope: Scope
    service: str


@dataclass(slots=True)
class Grouping:
    """For one batch of alerts: which services form which group, and the incident that each group has. Groups
    are numbered; ``incidents`` grows as the batch is placed."""

    groups: Mapping[Node, int] = field(default_factory=dict)
    incidents: dict[int, IncidentId] = field(default_factory=dict)

    def incident_of(self, node: Node | None) -> IncidentId | None:
        """The incident of the node's group, None where it has none yet or the node is in no group."""
        group = None if node is None else self.groups.get(node)
        return None if group is None else self.incidents.get(group)

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
    scope = Scope(environment=routed.environment or "", cluster=alert.labels.get(_CLUSTER, ""))
    return Node(scope=scope, service=routed.service)


async def read_grouping(
    rows: Reading,
    pending: Sequence[StoredAlert],
    router: Router,
    *,
    window: timedelta,
    most: int,
    now: datetime,
) -> Grouping:
    """Look at the graph, the incidents opened within the window and the alerts that are to be placed."""
    graph = Graph.build({}, await rows.edges(now - FRESH))
    if not any(_is_known(stored.alert, router, graph) for stored in pending):
        return Grouping()
    recent = [
        one for one in await rows.incidents(live_only=True, limit=_INCIDENTS) if one.opened_at >= now - window
    ]
    members = [(one, await rows.current_alerts(one.id, _MEMBERS)) for one in recent]
    every = [*pending, *(stored for _, alerts in members for stored in alerts)]
    counts = _counts([stored.alert for stored in every], router)
    groups = group(counts, graph, most)
    found = Grouping(groups={node: number for number, nodes in enumerate(groups) for node in nodes})
    for incident, alerts in sorted(members, key=lambda one: (one[0].opened_at, one[0].id)):
        for node in _firing(incident, alerts, router):
            found.opened(node, incident.id)
    return found


def group(counts: Mapping[Node, int], graph: Graph, most: int) -> list[tuple[Node, ...]]:
    """The groups of at least two services, at most ``most`` in each. ``counts`` are the alerts of each; the
    result does not depend on their order."""
    known = sorted(
        (node for node in counts if node.service in graph.kinds), key=lambda one: (-counts[one], _order(one))
    )
    free = set(known[:_NODES])
    near = {node: _near(node, free, graph) for node in free}
    free = {node for node in free if near[node]}
    groups: list[list[Node]] = []
    strong = [node for node in free if counts[node] >= _BRIDGE]
    for node in sorted(strong, key=lambda one: (-counts[one], _order(one))):
        if node in free:
            groups.append(_grown(node, counts, near, free, most))
    for node in sorted(free, key=_order):
        home = min(
            (
                (near[node][member], number)
                for number, members in enumerate(groups)
                for member in members
                if member in near[node] and counts[member] >= _BRIDGE and len(members) < most
            ),
            default=None,
        )
        if home is not None:
            groups[home[1]].append(node)
            free.discard(node)
    # Nothing else is left but services with one alert each: around the one that most of them are near.
    while free:
        hub = min(free, key=lambda one: (-sum(other in free for other in near[one]), _order(one)))
        around = sorted((near[hub][one], _order(one), one) for one in near[hub] if one in free)
        members = [hub, *(one for _, _, one in around)][:most]
        groups.append(members)
        free -= set(members)
    return [tuple(members) for members in groups if len(members) > 1]


def _grown(
    start: Node,
    counts: Mapping[Node, int],
    near: Mapping[Node, Mapping[Node, int]],
    free: set[Node],
    most: int,
) -> list[Node]:
    """The services with enough alerts that lead from one to the next, nearest first."""
    members = [start]
    free.discard(start)
    for here in members:
        around = [one for one in near[here] if one in free and counts[one] >= _BRIDGE]
        for one in sorted(around, key=lambda other: (near[here][other], _order(other))):
            if len(members) < most:
                members.append(one)
                free.discard(one)
    return members


def _near(node: Node, alerting: Collection[Node], graph: Graph) -> dict[Node, int]:
    """The other alerting services that it depends on or that depend on it, and how many edges away."""
    found: dict[Node, int] = {}
    for upstream in (False, True):
        for service, steps in graph.distances(node.service, upstream=upstream, most=_STEPS).items():
            other = Node(scope=node.scope, service=service)
            if other != node and other in alerting:
                found[other] = min(steps, found.get(other, steps))
    return found


def _is_known(alert: Alert, router: Router, graph: Graph) -> bool:
    node = node_of(alert, router)
    return node is not None and node.service in graph.kinds


def _order(node: Node) -> tuple[str, str, str]:
    return (node.scope.environment, node.scope.cluster, node.service)


def _counts(alerts: Sequence[Alert], router: Router) -> dict[Node, int]:
    """Firing alerts by what they are about; the same alert delivered twice counts once."""
    seen: dict[Node, set[tuple[str, str]]] = {}
    for alert in alerts:
        if alert.status is AlertStatus.FIRING:
            node = node_of(alert, router)
            if node is not None:
                seen.setdefault(node, set()).add((alert.source, alert.fingerprint))
    return {node: len(found) for node, found in seen.items()}


def _firing(incident: Incident, alerts: Sequence[StoredAlert], router: Router) -> Iterator[Node]:
    for stored in alerts:
        node = node_of(stored.alert, router)
        if node is not None and stored.alert.status is AlertStatus.FIRING:
            yield node
