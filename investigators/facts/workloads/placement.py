"""The kinds of fault that keep a pod from a node, and what the scheduler means by some of its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from investigators.facts.charge import Fault
from investigators.facts.workloads.boxes import mapping, objects
from investigators.facts.workloads.effects import CALLERS, DOWN
from investigators.facts.workloads.nodefit import shown_terms
from investigators.facts.workloads.scene import Scene
from investigators.world.cluster import Thing

_BASE = ("Pod", "Event")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "failed_scheduling": ("Pod",),
    "insufficient_cpu": _BASE,
    "insufficient_memory": _BASE,
    "insufficient_gpu": _BASE,
    "insufficient_resource": _BASE,
    "taint_not_tolerated": _BASE,
    "node_selector_mismatch": _BASE,
    "node_affinity_mismatch": _BASE,
    "pod_affinity_unsatisfied": _BASE,
    "pod_anti_affinity_conflict": _BASE,
    "topology_spread_unsatisfied": _BASE,
    "pvc_unbound": (*_BASE, "PersistentVolumeClaim"),
    "volume_node_conflict": _BASE,
    "volume_limit_reached": _BASE,
    "node_cordoned": (*_BASE, "Node"),
    "too_many_pods": _BASE,
    "host_port_conflict": _BASE,
    "scheduler_missing": _BASE,
}


def selector_kind(spec: Mapping[str, Any], nodes: Sequence[Thing]) -> tuple[str, str]:
    """The scheduler says "affinity/selector" for both: which of them the pod has, and what it asks for. Where
    it has both, the one that no node satisfies."""
    selector = mapping(spec.get("nodeSelector"))
    affinity = mapping(mapping(spec.get("affinity")).get("nodeAffinity"))
    terms = objects(
        mapping(affinity.get("requiredDuringSchedulingIgnoredDuringExecution")).get("nodeSelectorTerms")
    )
    plain = ", ".join(f"{key}={value}" for key, value in selector.items())
    matched = any(
        all(mapping(one.at("metadata", "labels")).get(key) == value for key, value in selector.items())
        for one in nodes
    )
    if terms and (not selector or (nodes and matched)):
        return "node_affinity_mismatch", f"node affinity {shown_terms(terms)}"
    return "node_selector_mismatch", f"node selector {plain}" if plain else "a node selector"


def host_ports(scene: Scene, spec: Mapping[str, Any], name: str, share: str) -> str:
    wanted = _ports(spec)
    holders = [
        f"pod {pod.name}"
        for pod in scene.cluster.of("Pod")
        if pod.name != name and pod.at("spec", "nodeName") and wanted & _ports(mapping(pod.at("spec")))
    ]
    shown = ", ".join(str(port) for port in sorted(wanted)) or "its host port"
    detail = f"{share}: host port {shown} of pod {name} is taken"
    return detail + (f" by {', '.join(holders[:3])}" if holders else "")


def _ports(spec: Mapping[str, Any]) -> set[int]:
    host = spec.get("hostNetwork") is True
    return {
        port
        for container in objects(spec.get("containers"))
        for one in objects(container.get("ports"))
        if isinstance(port := one.get("hostPort") or (one.get("containerPort") if host else None), int)
    }


def _fault(title: str, step: str) -> Fault:
    return Fault(
        title=title, weight=1.0, explains=DOWN | {"failed_scheduling"}, spreads=CALLERS, steps=(step,)
    )


FAULTS = {
    "failed_scheduling": Fault(
        title="its pods find no node",
        weight=0.6,
        explains=DOWN,
        spreads=CALLERS,
        steps=("Read the scheduler's reasons: kubectl describe pod.",),
    ),
    "insufficient_cpu": _fault("no node has the CPU it asks for", "Lower the CPU request or add a node."),
    "insufficient_memory": _fault(
        "no node has the memory it asks for", "Lower the memory request or add a node."
    ),
    "insufficient_gpu": _fault("no node has the GPU it asks for", "Add a GPU node or lower the request."),
    "insufficient_resource": _fault(
        "no node has the resource it asks for", "Lower the request or add such a node."
    ),
    "taint_not_tolerated": _fault(
        "nodes have a taint it does not tolerate", "Add the toleration or remove the taint."
    ),
    "node_selector_mismatch": _fault(
        "no node has its selector's labels", "Correct nodeSelector or label a node."
    ),
    "node_affinity_mismatch": _fault(
        "no node fits its node affinity", "Correct the affinity or label a node."
    ),
    "pod_affinity_unsatisfied": _fault("no node holds the pods it wants near", "Correct the pod affinity."),
    "pod_anti_affinity_conflict": _fault(
        "its anti-affinity excludes every node",
        "Make the anti-affinity preferred, add a node or lower replicas.",
    ),
    "topology_spread_unsatisfied": _fault(
        "its topology spread cannot be kept", "Relax whenUnsatisfiable or label the nodes' zones."
    ),
    "pvc_unbound": _fault("a volume claim of it is not bound", "See why: kubectl describe pvc."),
    "volume_node_conflict": _fault(
        "its volume is bound to other nodes", "Free a node in the volume's zone or move the data."
    ),
    "volume_limit_reached": _fault(
        "nodes hold as many volumes as they can", "Add a node or spread the volumes."
    ),
    "node_cordoned": _fault("nodes are cordoned", "Uncordon the node when its maintenance is over."),
    "too_many_pods": _fault("nodes hold as many pods as they may", "Add a node or raise maxPods."),
    "host_port_conflict": _fault(
        "its host port is taken on every node", "Use a Service instead of hostPort."
    ),
    "scheduler_missing": _fault("the scheduler it names does not run", "Correct schedulerName or start it."),
}
