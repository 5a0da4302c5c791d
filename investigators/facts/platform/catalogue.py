"""The platform's rules and what is known of the faults they find."""

from __future__ import annotations

from bot.domain.evidence import Fact, FactVerdict
from investigators.facts.charge import WorldRule
from investigators.facts.platform import (
    addresses,
    blocked,
    callnames,
    capacity,
    certificates,
    control_plane,
    datastores,
    dependencies,
    dns,
    load,
    mesh,
    messaging,
    node_load,
    node_network,
    nodes,
    rejected,
    routes,
    services,
)
from investigators.facts.platform.faults import FAULTS
from investigators.facts.platform.scene import Scene
from investigators.world.world import World

__all__ = ["FAULTS", "WORLD_RULES"]


def _path(world: World) -> list[Fact]:
    # These all read the same lines: one scene for them, so that the log is gone through once.
    scene = Scene(world)
    families = (
        services, callnames, addresses, dns, blocked, routes, mesh, dependencies, datastores, certificates,
        messaging, capacity, control_plane, rejected,
    )  # fmt: skip
    return [fact for family in families for fact in family.check(scene)]


def _machines(world: World) -> list[Fact]:
    scene = Scene(world)
    facts = [fact for family in (nodes, node_load, node_network, load) for fact in family.check(scene)]
    found = {(fact.kind, fact.subject) for fact in facts if fact.verdict is FactVerdict.FOUND}
    # The kubelet's thresholds are far out: that none was crossed does not contradict a metric.
    return [
        fact
        for fact in facts
        if fact.verdict is not FactVerdict.ABSENT or (fact.kind, fact.subject) not in found
    ]


WORLD_RULES: tuple[WorldRule, ...] = (
    WorldRule(name="platform.path", check=_path),
    WorldRule(name="platform.machines", check=_machines),
)
