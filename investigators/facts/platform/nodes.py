"""Nodes: what the node itself, its kubelet and its daemons report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Evidence, Fact
from investigators.facts.charge import Subject, node, service
from investigators.facts.platform.layout import PodView
from investigators.facts.platform.reading import mapping
from investigators.facts.platform.scene import Scene, clip, listed
from investigators.pack import why_nothing
from investigators.world.cluster import KubeEvent, Thing, moment

_OLD = timedelta(hours=12)
_LEASE = timedelta(seconds=90)
_PRESSURE = {
    "MemoryPressure": "node_memory_pressure",
    "DiskPressure": "node_disk_pressure",
    "PIDPressure": "node_pid_pressure",
}
_EVENTS = {
    "NodeHasDiskPressure": "node_disk_pressure",
    "NodeHasInsufficientMemory": "node_memory_pressure",
    "NodeHasInsufficientPID": "node_pid_pressure",
    "FreeDiskSpaceFailed": "node_disk_pressure",
    "ImageGCFailed": "node_disk_pressure",
    "SystemOOM": "node_memory_pressure",
    "ContainerGCFailed": "container_runtime_down",
}
_RUNTIME = re.compile(
    r"container runtime is down|container runtime status check may not have completed|"
    r"(?:containerd|crio|dockershim|cri-dockerd|docker)\.sock.*(?:connection refused|no such file)|"
    r"Cannot connect to the Docker daemon|PLEG is not healthy|runtime service failed",
    re.I,
)
_CNI = re.compile(
    r"NetworkPluginNotReady|cni plugin not initialized|cni config uninitialized|network plugin is not ready|"
    r"failed to (?:set ?up|setup) (?:network for|pod network|sandbox network)|plugin type=\S+ failed \(add\)|"
    r"stat /var/lib/calico/nodename|networkPlugin cni failed|no networks found in /etc/cni",
    re.I,
)
_CNI_PODS = (
    "calico-node",
    "cilium",
    "kube-flannel-ds",
    "flannel",
    "weave-net",
    "aws-node",
    "antrea-agent",
    "kindnet",
)
_QUIET = (
    "node_not_ready",
    "kubelet_stopped",
    "container_runtime_down",
    "cni_down",
    *_PRESSURE.values(),
    "node_cordoned",
)


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    for thing in scene.cluster.of("Node"):
        facts += _one(scene, thing)
    facts += _daemons(scene)
    facts += _concentrated(scene)
    return [*facts, *_quiet(scene, facts)]


def _quiet(scene: Scene, facts: Iterable[Fact]) -> Iterator[Fact]:
    """For nodes that the incident is about, and those its services run on."""
    names = {pod.node for name in scene.services for pod in scene.layout.pods_of(name) if pod.node}
    names |= {name for name in scene.world.subjects if _is_node(scene, name)}
    taken = {(fact.kind, fact.subject) for fact in facts}
    looked = scene.cluster.looked("Node")
    if not looked:
        return
    for name in sorted(names):
        for kind in _QUIET:
            if (kind, name) in taken:
                continue
            if scene.cluster.knows("Node") and scene.cluster.get("Node", "", name):
                detail = "the node's conditions and spec say otherwise"
                yield node(name).absent(kind, 0.85, looked, "node.conditions", detail)
            else:
                reason = why_nothing(looked, "no list of nodes is at hand")
                yield node(name).unknown(kind, looked, "node.conditions", reason)


def _is_node(scene: Scene, name: str) -> bool:
    return scene.world.graph.kinds.get(name) == "node" or scene.cluster.get("Node", "", name) is not None


def _one(scene: Scene, thing: Thing) -> Iterator[Fact]:
    subject, cited = node(thing.name), (thing.evidence,)
    for condition in thing.items("status", "conditions"):
        kind, status = str(condition.get("type")), condition.get("status")
        since = moment(condition.get("lastTransitionTime"))
        said = f"{condition.get('reason', '')}: {clip(str(condition.get('message', '')), 200)}"
        when = f" since {to_rfc3339(since)[:19]}Z" if since else ""
        confidence = _timely(scene, since)
        if kind == "Ready" and status != "True":
            detail = f"{thing.name} is not ready{when}: {said}"
            yield subject.found("node_not_ready", confidence, cited, "node.ready", detail)
            for cause, pattern in (("container_runtime_down", _RUNTIME), ("cni_down", _CNI)):
                if pattern.search(str(condition.get("message", ""))):
                    yield subject.found(cause, confidence, cited, "node.ready", detail)
            if "stopped posting node status" in said or condition.get("reason") == "NodeStatusUnknown":
                detail = f"the kubelet of {thing.name} stopped posting its status{when}"
                yield subject.found("kubelet_stopped", confidence, cited, "node.ready", detail)
        elif kind in _PRESSURE and status == "True":
            detail = f"{thing.name} has {kind}{when}: {said}"
            yield subject.found(_PRESSURE[kind], confidence, cited, "node.pressure", detail)
        elif kind == "NetworkUnavailable" and status == "True":
            yield subject.found("cni_down", confidence, cited, "node.network", f"{thing.name}{when}: {said}")
        elif status == "True" and kind in ("ContainerRuntimeUnhealthy", "FrequentContainerdRestart"):
            detail = f"{thing.name}{when}: {said}"
            yield subject.found("container_runtime_down", confidence - 0.1, cited, "node.problem", detail)
        elif status == "True" and kind in ("KubeletUnhealthy", "FrequentKubeletRestart"):
            detail = f"{thing.name}{when}: {said}"
            yield subject.found("kubelet_stopped", confidence - 0.1, cited, "node.problem", detail)
    yield from _lease(scene, thing, subject)
    yield from _cordoned(scene, thing, subject)
    yield from _events(scene, thing, subject)


def _timely(scene: Scene, since: datetime | None) -> float:
    """What has been so for long before the incident did not bring it about."""
    return 0.95 if since is None or since >= scene.world.onset - _OLD else 0.3


def _lease(scene: Scene, thing: Thing, subject: Subject) -> Iterator[Fact]:
    """The node's lease: renewed every ten seconds by a kubelet that lives."""
    lease = scene.cluster.get("Lease", "kube-node-lease", thing.name)
    renewed = moment(lease.at("spec", "renewTime")) if lease else None
    if lease is None or renewed is None or lease.evidence.taken_at - renewed < _LEASE:
        return
    if lease.evidence.taken_at < scene.world.onset:
        return
    detail = f"the kubelet of {thing.name} renewed its lease last at {to_rfc3339(renewed)[:19]}Z"
    yield subject.found("kubelet_stopped", _timely(scene, renewed), (lease.evidence,), "node.lease", detail)


def _cordoned(scene: Scene, thing: Thing, subject: Subject) -> Iterator[Fact]:
    if thing.at("spec", "unschedulable") is not True:
        return
    taint = next((one for one in thing.items("spec", "taints") if "unschedulable" in str(one.get("key"))), {})
    since = moment(taint.get("timeAdded"))
    cited = (thing.evidence, *scene.cluster.looked("Pod"))
    confidence = 0.85 if _timely(scene, since) > 0.5 else 0.3
    detail = f"{thing.name} was cordoned" + (f" at {to_rfc3339(since)[:19]}Z" if since else "")
    yield subject.found("node_cordoned", confidence, (thing.evidence,), "node.cordoned", detail)
    left = [pod for pod in scene.layout.pods if pod.node == thing.name and pod.live]
    daemons = {one.name for one in scene.layout.workloads if one.thing.kind == "DaemonSet"}
    evicted = [
        one
        for one in scene.events
        if one.about[0] == "Pod"
        and one.reason in ("Evicted", "TaintManagerEviction", "EvictionByEvictionAPI")
    ]
    if scene.cluster.knows("Pod") and all(pod.service in daemons for pod in left) and (left or evicted):
        detail += ", and nothing but daemons is left on it"
        yield subject.found("node_drained", confidence, cited, "node.drained", detail)


def _events(scene: Scene, thing: Thing, subject: Subject) -> Iterator[Fact]:
    found: dict[str, KubeEvent] = {}
    for event in scene.events:
        if event.about[0] == "Node" and event.about[2] == thing.name and event.reason in _EVENTS:
            found[_EVENTS[event.reason]] = event
        elif event.reason == "FailedCreatePodSandBox" and _node_of(scene, event) == thing.name:
            if _CNI.search(event.message):
                found["cni_down"] = event
            elif _RUNTIME.search(event.message):
                found["container_runtime_down"] = event
        elif event.reason == "EvictionThresholdMet" and event.about[2] == thing.name:
            what = "memory" if "memory" in event.message else "disk"
            found[f"node_{what}_pressure"] = event
    for kind, event in found.items():
        detail = f"{event.reason} on {thing.name}: {clip(event.message, 200)}"
        yield subject.found(kind, 0.8, (event.thing.evidence,), "node.events", detail)


def _node_of(scene: Scene, event: KubeEvent) -> str:
    pod = scene.cluster.get("Pod", event.about[1], event.about[2])
    host = event.thing.at("source", "host") or event.thing.at("reportingInstance", default="")
    return str(pod.at("spec", "nodeName", default="")) if pod is not None else str(host)


def _daemons(scene: Scene) -> Iterator[Fact]:
    """kube-proxy and the network plugin: on one node the node's trouble, on all of them the daemon's."""
    silent = _silent_nodes(scene)
    for kind, match in (("kube_proxy_down", _is_proxy), ("cni_down", _is_cni)):
        pods = [pod for pod in scene.layout.pods if match(pod)]
        broken = [pod for pod in pods if not pod.ready and pod.live and pod.node not in silent]
        if not pods or not broken:
            continue
        cited = scene.cluster.looked("Pod")
        if len(broken) == len(pods) and len(pods) > 1:
            detail = f"none of the {len(pods)} pods of {broken[0].service} is ready"
            yield service(broken[0].service).found(kind, 0.9, cited, "node.daemons", detail)
            continue
        for pod in broken:
            if pod.node:
                detail = f"{pod.service} does not run on {pod.node}: {_why(pod.thing)}"
                yield node(pod.node).found(kind, 0.88, cited, "node.daemons", detail)


def _silent_nodes(scene: Scene) -> set[str]:
    """Nodes whose kubelet is gone: everything on them counts as not ready, whatever it does."""
    return {
        thing.name
        for thing in scene.cluster.of("Node")
        for one in thing.items("status", "conditions")
        if one.get("type") == "Ready" and one.get("status") == "Unknown"
    }


def _is_proxy(pod: PodView) -> bool:
    return pod.labels.get("k8s-app") == "kube-proxy"


def _is_cni(pod: PodView) -> bool:
    return pod.labels.get("k8s-app", pod.service) in _CNI_PODS or pod.labels.get("app") == "flannel"


def _why(thing: Thing) -> str:
    for status in thing.items("status", "containerStatuses"):
        state: Mapping[str, Any] = mapping(status.get("state"))
        for part in ("waiting", "terminated"):
            if part in state:
                return f"{part}, {mapping(state[part]).get('reason', 'no reason given')}"
    return str(thing.at("status", "reason", default="not ready"))


def _concentrated(scene: Scene) -> Iterator[Fact]:
    """Pods of several workloads that fail on one node only, while others of them do well elsewhere."""
    placed = [pod for pod in scene.layout.pods if pod.live and pod.node]
    failing: dict[str, list[PodView]] = {}
    for pod in placed:
        if not pod.ready:
            failing.setdefault(pod.node, []).append(pod)
    nodes = {pod.node for pod in placed}
    if len(nodes) < 2 or not failing:
        return
    name, here = max(failing.items(), key=lambda item: len(item[1]))
    elsewhere = sum(len(pods) for other, pods in failing.items() if other != name)
    total_here = sum(pod.node == name for pod in placed)
    services = {pod.service for pod in here}
    if len(services) < 3 or len(here) < 0.5 * total_here or elsewhere > 0.1 * len(here):
        return
    evidence: tuple[Evidence, ...] = scene.cluster.looked("Pod")
    whose = listed(sorted(services))
    detail = f"{len(here)} of {total_here} pods on {name} are not ready ({whose}), hardly any elsewhere"
    yield node(name).found("node_pods_failing", 0.85, evidence, "node.pods", detail)
