"""How far the trouble spreads: one pod, every pod of one service, or the cluster as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.domain.evidence import Fact
from investigators.facts.charge import Subject, WorldRule, service
from investigators.facts.scope import ONE, WIDE
from investigators.world.cluster import Thing
from investigators.world.world import World

WHOLE = "scope_whole_service"
_RULE = "spread.pods"
_MOST = 0.5
_SEVERAL = 3
_PRESSURES = frozenset({"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"})
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Pods by the service they belong to, those of them that fail, and the nodes in trouble."""

    pods: dict[str, list[Thing]] = field(default_factory=dict)
    failing: dict[str, list[Thing]] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    sick_nodes: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """Most of several services fail, or most of several nodes are in trouble."""
        services = len(self.failing) >= _SEVERAL and len(self.failing) > _MOST * len(self.pods)
        return services or (len(self.sick_nodes) >= 2 and len(self.sick_nodes) >= _MOST * len(self.nodes))

    def only_pod(self, name: str) -> Thing | None:
        """The one pod of several that fails, where the rest of its service does well."""
        failing = self.failing.get(name, [])
        return (
            failing[0] if len(failing) == 1 and len(self.pods.get(name, ())) > 1 and not self.wide else None
        )

    @property
    def words(self) -> str:
        total = sum(map(len, self.pods.values()))
        text = f"{sum(map(len, self.failing.values()))} of {total} pods that were looked at fail"
        if self.nodes:
            text += f", {len(self.sick_nodes)} of {len(self.nodes)} nodes are in trouble"
        return text


def spread_of(world: World) -> Spread:
    """Pods that have ended or are being deleted count for nothing."""
    pods: dict[str, list[Thing]] = {}
    failing: dict[str, list[Thing]] = {}
    for pod in world.cluster.of("Pod"):
        if pod.at("status", "phase") == "Succeeded" or pod.at("metadata", "deletionTimestamp") is not None:
            continue
        name = world.cluster.workload_name(pod)
        pods.setdefault(name, []).append(pod)
        if _not_ready(pod) or pod.at("status", "phase") == "Failed":
            failing.setdefault(name, []).append(pod)
    nodes = world.cluster.of("Node")
    sick = [
        node.name
        for node in nodes
        if _not_ready(node) or any(_status(node, one) == "True" for one in _PRESSURES)
    ]
    return Spread(
        pods=pods, failing=failing, nodes=tuple(node.name for node in nodes), sick_nodes=tuple(sick)
    )


def check(world: World) -> Sequence[Fact]:
    """Facts about the services of the incident and one about the cluster; they place a fault and are none."""
    looked = world.cluster.looked("Pod")
    if not looked:
        return []
    spread = spread_of(world)
    facts = [_of_service(world, spread, name) for name in world.subjects if name in spread.pods]
    cited = [one for one in (*looked, *world.cluster.looked("Node")) if one.usable]
    if spread.wide:
        worst = sorted(spread.failing, key=lambda name: (-len(spread.failing[name]), name))[:_NAMED]
        text = f"the trouble is cluster-wide: {spread.words}"
        text += (
            f", of {len(spread.failing)} of {len(spread.pods)} services ({', '.join(worst)})" if worst else ""
        )
        share = len(spread.failing) / max(1, len(spread.pods))
        facts.append(_everywhere(spread).found(WIDE, 0.9, cited, _RULE, text, {"share": share}))
    return [fact for fact in facts if fact is not None]


def _of_service(world: World, spread: Spread, name: str) -> Fact | None:
    total, failing = spread.pods[name], spread.failing.get(name, [])
    looked = [one for one in world.cluster.looked("Pod") if one.usable]
    if not failing or len(total) < 2:
        return None
    whole, share = world.cluster.knows("Pod"), len(failing) / len(total)
    detail = f"{len(failing)} of {len(total)} pods of {name} fail"
    if not whole:
        why = f"{detail}, but the pods were not listed whole"
        return service(name).unknown(ONE, world.cluster.looked("Pod"), _RULE, why)
    only = spread.only_pod(name)
    if only is not None:
        node = str(only.at("spec", "nodeName", default=""))
        detail += f": {only.name}" + (f" on {node}" if node else "") + f"; {spread.words}"
        return service(name).found(ONE, 0.9, looked, _RULE, detail, {"share": share})
    if len(failing) == len(total) and set(spread.failing) == {name}:
        detail += f" and no others; {spread.words}"
        return service(name).found(WHOLE, 0.9, looked, _RULE, detail, {"share": share})
    return None


def _everywhere(spread: Spread) -> Subject:
    namespaces = {pod.namespace for pods in spread.failing.values() for pod in pods}
    return Subject(name=namespaces.pop() if len(namespaces) == 1 else "cluster", kind="namespace")


def _not_ready(thing: Thing) -> bool:
    """What does not say whether it is ready is not said to fail."""
    return _status(thing, "Ready") in ("False", "Unknown")


def _status(thing: Thing, kind: str) -> str:
    return next(
        (str(one.get("status")) for one in thing.items("status", "conditions") if one.get("type") == kind), ""
    )


WORLD_RULES: tuple[WorldRule, ...] = (WorldRule(name="spread", check=check),)
