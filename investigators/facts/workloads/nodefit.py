"""Which nodes would take a pod, and why the others would not: what the scheduler checks, from the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from investigators.facts.workloads.boxes import mapping, objects, words
from investigators.facts.workloads.quantity import quantities
from investigators.facts.workloads.shortfall import requests_of
from investigators.world.cluster import Cluster, Thing

CORDON = "node.kubernetes.io/unschedulable"
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a node does not take a pod. ``kind`` as the fact's, ``what`` the taint, resource or label."""

    node: Thing
    kind: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Every node with what is left of its resources."""

    every: tuple[Thing, ...]
    free: Mapping[str, Mapping[str, float]]
    room: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, cluster: Cluster) -> Nodes:
        """``room`` is what a node has in all, ``free`` what the pods on it do not ask for."""
        room = {one.name: quantities(one.at("status", "allocatable")) for one in cluster.of("Node")}
        free = {name: dict(amounts) for name, amounts in room.items()}
        for pod in cluster.of("Pod") if room else ():
            left = free.get(str(pod.at("spec", "nodeName") or ""))
            if left is None or pod.at("status", "phase") in _ENDED:
                continue
            for name, value in {**requests_of(mapping(pod.at("spec"))), "pods": 1.0}.items():
                if name in left:
                    left[name] -= value
        return cls(every=cluster.of("Node"), free=free, room=room)

    def refusals(self, spec: Mapping[str, Any]) -> tuple[Refusal, ...]:
        """One refusal for every node that does not take such a pod, in the scheduler's order of checks."""
        wants = {**requests_of(spec), "pods": 1.0}
        refused = ((node, _refusal(node, spec, wants, self.free[node.name])) for node in self.every)
        return tuple(
            Refusal(node=node, kind=reason[0], what=reason[1])
            for node, reason in refused
            if reason is not None
        )

    def largest(self, resource: str) -> float:
        """The most that one node has of a resource, in use or not."""
        return max((amounts.get(resource, 0.0) for amounts in self.room.values()), default=0.0)


def _refusal(
    node: Thing, spec: Mapping[str, Any], wants: Mapping[str, float], free: Mapping[str, float]
) -> tuple[str, str] | None:
    tolerations = objects(spec.get("tolerations"))
    if node.at("spec", "unschedulable") is True:
        cordon = {"key": CORDON, "effect": "NoSchedule"}
        if not any(tolerates(one, cordon) for one in tolerations):
            return "node_cordoned", node.name
    for taint in node.items("spec", "taints"):
        if taint.get("effect") == "PreferNoSchedule" or taint.get("key") == CORDON:
            continue
        if not any(tolerates(one, taint) for one in tolerations):
            return "taint_not_tolerated", _taint(taint)
    labels = mapping(node.at("metadata", "labels"))
    for key, value in mapping(spec.get("nodeSelector")).items():
        if labels.get(key) != value:
            return "node_selector_mismatch", f"{key}={value}"
    terms = _required(spec)
    if terms and not any(_term_matches(term, labels, node.name) for term in terms):
        return "node_affinity_mismatch", shown_terms(terms)
    for resource, value in wants.items():
        # A node that does not list a resource of its own was not read whole; a device it does not list, it
        # does not have.
        if resource not in free and "/" not in resource:
            continue
        if value > free.get(resource, 0.0) + 1e-6:
            return resource_kind(resource), resource
    return None


def resource_kind(resource: str) -> str:
    """The kind of fault that lacking a resource is."""
    if resource in ("cpu", "memory"):
        return f"insufficient_{resource}"
    if resource == "pods":
        return "too_many_pods"
    return "insufficient_gpu" if "gpu" in resource else "insufficient_resource"


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint.get("key"):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (
        taint.get("value") or ""
    )


def selects_none(nodes: Sequence[Thing], spec: Mapping[str, Any]) -> bool:
    """Whether no node at all carries the labels that the pod asks for."""
    wanted, terms = mapping(spec.get("nodeSelector")), _required(spec)
    for node in nodes:
        labels = mapping(node.at("metadata", "labels"))
        plain = all(labels.get(key) == value for key, value in wanted.items())
        if plain and (not terms or any(_term_matches(term, labels, node.name) for term in terms)):
            return False
    return True


def shown_terms(terms: Sequence[Mapping[str, Any]]) -> str:
    texts = []
    for term in terms:
        for one in objects(term.get("matchExpressions")):
            values = ", ".join(words(one.get("values")))
            texts.append(f"{one.get('key')} {one.get('operator')} {values}".strip())
    return "; ".join(texts)


def _required(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    affinity = mapping(mapping(spec.get("affinity")).get("nodeAffinity"))
    required = mapping(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
    return objects(required.get("nodeSelectorTerms"))


def _term_matches(term: Mapping[str, Any], labels: Mapping[str, Any], name: str) -> bool:
    expressions, fields = objects(term.get("matchExpressions")), objects(term.get("matchFields"))
    if not expressions and not fields:
        return False
    return all(_holds(one, labels) for one in expressions) and all(
        _holds(one, {"metadata.name": name}) for one in fields
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, values = str(expression.get("key")), words(expression.get("values"))
    value = labels.get(key)
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                have, limit = int(str(value)), int(values[0])
            except (ValueError, IndexError):
                return False
            return have > limit if operator == "Gt" else have < limit
        case _:
            return False


def _taint(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"
