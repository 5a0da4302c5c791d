"""Pods that no node takes: the scheduler's own reasons, checked against nodes, taints, labels and claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.domain.evidence import Fact
from investigators.facts.charge import node as node_subject
from investigators.facts.workloads import claims, placement
from investigators.facts.workloads.boxes import condition, leaving, mapping
from investigators.facts.workloads.findings import Findings, Source
from investigators.facts.workloads.nodefit import Nodes, resource_kind, selects_none
from investigators.facts.workloads.quantity import amount
from investigators.facts.workloads.scene import Unit, scene_of
from investigators.facts.workloads.shortfall import requests_of
from investigators.facts.workloads.unschedulable import Part, taken_apart
from investigators.world.cluster import Thing, moment
from investigators.world.world import World

_CONSTRAINTS = frozenset({"taint_not_tolerated", "node_selector_mismatch", "node_affinity_mismatch"})
_ORDINARY = (
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/etcd",
)
_NODE_TROUBLE = "node.kubernetes.io/"
_PATIENCE = timedelta(seconds=30)
_DEFAULT = "default-scheduler"


def check(world: World) -> list[Fact]:
    scene = scene_of(world)
    findings = Findings(scene=scene, rule="scheduling")
    nodes = Nodes.of(scene.cluster)
    for unit in scene.units:
        for pod in unit.pods:
            waits = pod.at("status", "phase") == "Pending" and not pod.at("spec", "nodeName")
            if waits and not leaving(pod):
                _judge(findings, nodes, unit, pod)
        if not unit.pods:
            _from_events(findings, nodes, unit)
    return findings.facts(placement.NEEDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A pod that waits for a node; ``pod`` None when only events tell of it."""

    unit: Unit
    pod: Thing | None
    name: str
    sources: tuple[Source, ...]
    began: datetime | None
    sure: float


def _judge(findings: Findings, nodes: Nodes, unit: Unit, pod: Thing) -> None:
    scene = findings.scene
    placed = condition(pod, "PodScheduled")
    events = [event for event in scene.events_of(pod) if event.reason == "FailedScheduling"]
    began = moment(placed.get("lastTransitionTime")) or pod.created_at
    if placed.get("reason") == "SchedulingGated":
        gates = ", ".join(str(one.get("name")) for one in pod.items("spec", "schedulingGates"))
        detail = f"pod {pod.name} is held back by its scheduling gates {gates}"
        findings.found("failed_scheduling", unit, 0.85, (pod,), detail, of=pod.name, began=began)
        return
    if placed.get("status") != "False" and not events:
        _nobody_schedules(findings, unit, pod)
        return
    message = str(placed.get("message") or "") or (events[-1].message if events else "")
    sources: tuple[Source, ...] = (pod, *events[-1:])
    waiting = _Waiting(unit=unit, pod=pod, name=pod.name, sources=sources, began=began, sure=0.95)
    _explain(findings, nodes, waiting, message)


def _from_events(findings: Findings, nodes: Nodes, unit: Unit) -> None:
    """Pods that were not read, or are gone: the events alone say that they found no node."""
    events = [e for e in unit.events if e.reason == "FailedScheduling" and findings.scene.recent(e.last)]
    if not events:
        return
    last = events[-1]
    gone = findings.scene.cluster.knows("Pod")
    waiting = _Waiting(
        unit=unit,
        pod=None,
        name=last.about[2],
        sources=(last,),
        began=events[0].first,
        sure=0.4 if gone else 0.8,
    )
    _explain(findings, nodes, waiting, last.message)


def _nobody_schedules(findings: Findings, unit: Unit, pod: Thing) -> None:
    """No condition and no event: no scheduler has looked at the pod."""
    name = str(pod.at("spec", "schedulerName") or _DEFAULT)
    created = pod.created_at
    if created is not None and findings.scene.world.now - created < _PATIENCE:
        return
    findings.found(
        "failed_scheduling",
        unit,
        0.6,
        (pod,),
        f"pod {pod.name} is Pending and no scheduler has looked at it",
        of=pod.name,
        began=created,
    )
    if name == _DEFAULT:
        return
    running = any(
        name in one.name and one.at("status", "phase") == "Running"
        for one in findings.scene.cluster.of("Pod")
    )
    detail = f"pod {pod.name} asks for scheduler {name}, which does not answer"
    sources: tuple[Source, ...] = (pod, *findings.scene.cluster.looked("Pod"))
    confidence = 0.6 if running else 0.9
    findings.found("scheduler_missing", unit, confidence, sources, detail, of=pod.name, began=created)


def _explain(findings: Findings, nodes: Nodes, waiting: _Waiting, message: str) -> None:
    shown = " ".join(message.split())[:300] or "the scheduler gives no reason"
    detail = f"pod {waiting.name} is Pending: {shown}"
    findings.found(
        "failed_scheduling",
        waiting.unit,
        waiting.sure,
        waiting.sources,
        detail,
        of=waiting.name,
        began=waiting.began,
    )
    total, parts = taken_apart(message)
    spec = mapping(waiting.pod.at("spec")) if waiting.pod is not None else waiting.unit.spec
    parts = tuple(_with_taints(nodes, spec, part) for part in parts)
    if not parts:
        parts = _reckoned(nodes, spec)
        total = len(nodes.every)
    if not parts and waiting.pod is not None and claims.trouble(findings.scene, waiting.pod) is not None:
        parts = (Part(kind="pvc_unbound", nodes=0, what="a volume claim is not bound"),)
    if not parts and "no nodes available" not in message:
        for kind in placement.NEEDS:
            if kind != "failed_scheduling":
                findings.unsure(kind, waiting.unit, f"pod {waiting.name} is not scheduled: {shown}")
    for part in parts:
        _part(findings, nodes, waiting, spec, part, parts, total)


def _with_taints(nodes: Nodes, spec: object, part: Part) -> Part:
    """Newer schedulers no longer name the taints; the nodes do."""
    if part.kind != "taint_not_tolerated" or not part.what.startswith("node(s)"):
        return part
    refusals = [one for one in nodes.refusals(mapping(spec)) if one.kind == part.kind]
    taints = dict.fromkeys(one.what for one in refusals)
    ordered = sorted(taints, key=lambda one: one.startswith(_ORDINARY))
    return replace(part, what=", ".join(ordered) or "not named")


def _reckoned(nodes: Nodes, spec: object) -> tuple[Part, ...]:
    """Reasons from the objects alone, where every node refuses."""
    refusals = nodes.refusals(mapping(spec))
    if not refusals or len(refusals) < len(nodes.every):
        return ()
    counts: dict[tuple[str, str], int] = {}
    for one in refusals:
        what = "" if one.kind == "node_cordoned" else one.what
        counts[(one.kind, what)] = counts.get((one.kind, what), 0) + 1
    return tuple(Part(kind=kind, nodes=count, what=what) for (kind, what), count in counts.items())


def _weigh(part: Part, parts: Sequence[Part], total: int) -> float:
    """How sure a reason is the one to act on. Nodes that keep ordinary pods away by design are no fault, and
    where some nodes do fit the pod's constraints, what is wrong with those nodes is."""
    others = [one for one in parts if one is not part and not _by_design(one)]
    if _by_design(part):
        return 0.3 if others else 0.85
    if part.kind == "taint_not_tolerated" and part.what.startswith(_NODE_TROUBLE):
        return 0.5
    if not others or (total and part.nodes == total):
        return 0.95
    if part.kind in _CONSTRAINTS and any(one.kind not in _CONSTRAINTS for one in others):
        return 0.5
    if part.kind == "node_cordoned":
        return 0.75
    return 0.85


def _by_design(part: Part) -> bool:
    return part.kind == "taint_not_tolerated" and part.what.startswith(_ORDINARY)


def _part(
    findings: Findings,
    nodes: Nodes,
    waiting: _Waiting,
    spec: object,
    part: Part,
    parts: Sequence[Part],
    total: int,
) -> None:
    unit, asked = waiting.unit, mapping(spec)
    confidence = min(waiting.sure, _weigh(part, parts, total))
    kind, sources = part.kind, list(waiting.sources)
    share = f"{part.nodes} of {total} nodes" if total and part.nodes else "the scheduler"
    detail = f"{share}: {part.what}; pod {waiting.name} is Pending"
    numbers: dict[str, float] = {}
    if kind.startswith("insufficient_") or kind == "too_many_pods":
        resource = "pods" if kind == "too_many_pods" else part.what
        detail, numbers, fits = _resource(nodes, asked, resource, share, waiting.name)
        if nodes.every:
            sources += findings.scene.cluster.looked("Node")
        if fits:
            confidence = min(confidence, 0.7)
    elif kind in ("node_selector_mismatch", "node_affinity_mismatch"):
        kind, wanted = placement.selector_kind(asked, nodes.every)
        detail = f"{share} lack what pod {waiting.name} asks for: {wanted}"
        if nodes.every:
            sources += findings.scene.cluster.looked("Node")
            if selects_none(nodes.every, asked):
                detail += "; no node has it"
                confidence = max(confidence, 0.9)
    elif kind == "taint_not_tolerated":
        detail = f"{share} have taint {{{part.what}}}, which pod {waiting.name} does not tolerate"
    elif kind in ("pvc_unbound", "volume_node_conflict") and waiting.pod is not None:
        why = claims.trouble(findings.scene, waiting.pod)
        if why is not None and kind == "pvc_unbound":
            detail = f"PersistentVolumeClaim {why[0]} of pod {waiting.name} {why[1]}"
            sources += why[2]
    elif kind == "host_port_conflict":
        detail = placement.host_ports(findings.scene, asked, waiting.name, share)
    elif kind == "node_cordoned":
        _cordoned(findings, nodes, waiting, confidence)
    findings.found(
        kind, unit, confidence, sources, detail, of=waiting.name, began=waiting.began, numbers=numbers
    )


def _cordoned(findings: Findings, nodes: Nodes, waiting: _Waiting, confidence: float) -> None:
    for one in nodes.every:
        if one.at("spec", "unschedulable") is True:
            detail = f"node {one.name} is cordoned, and pod {waiting.name} finds no other"
            findings.found(
                "node_cordoned",
                node_subject(one.name),
                confidence,
                (one, *waiting.sources),
                detail,
                of=waiting.name,
            )


def _resource(
    nodes: Nodes, spec: object, resource: str, share: str, name: str
) -> tuple[str, dict[str, float], bool]:
    """The sentence, the numbers, and whether a node seems to have room after all."""
    wants = {**requests_of(mapping(spec)), "pods": 1.0}.get(resource, 0.0)
    detail = f"{share} have too little {resource} for pod {name}, which asks for {amount(resource, wants)}"
    if resource == "pods":
        detail = f"{share} hold as many pods as they may, and pod {name} waits"
    numbers = {"requested": wants}
    if not nodes.every:
        return detail, numbers, False
    others = {one.node.name for one in nodes.refusals(mapping(spec)) if one.kind != resource_kind(resource)}
    left = [amounts.get(resource, 0.0) for node, amounts in nodes.free.items() if node not in others]
    largest, free = nodes.largest(resource), max(left, default=0.0)
    numbers |= {"largest": largest, "free": free}
    if wants > largest:
        detail += f"; the largest node has {amount(resource, largest)} in all"
    elif left:
        detail += f"; the most that is free on a node that would do is {amount(resource, max(0.0, free))}"
    return detail, numbers, wants <= free
