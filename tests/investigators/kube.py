"""Kubernetes objects as ``kubectl get -o json`` prints them, and worlds made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict, LogLine, Sample, Series, Window
from bot.domain.ids import EvidenceId
from investigators.world.cluster import Cluster
from investigators.world.graph import Graph
from investigators.world.world import Line, Track, World, index_lines, service_of_pod

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ONSET = NOW - timedelta(minutes=10)
NS = "shop"
Json = dict[str, Any]
KINDS = (
    "Pod", "Event", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service",
    "Node", "ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim",
    "PersistentVolume", "StorageClass",
    "ResourceQuota", "LimitRange", "RoleBinding", "ClusterRoleBinding",
)  # fmt: skip
POD = "cart-7d9f8c6b5d-x2x4z"
RS = "cart-7d9f8c6b5d"
OLD_RS = "cart-5b4c7d9f66"


def at(minutes: float = 0, *, now: datetime = NOW) -> str:
    """That many minutes ago, as the API prints times."""
    return (now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, ns: str | None = NS, *, age: float = 30, owner: Json | None = None, **more: Any) -> Json:
    metadata: Json = {"name": name, "uid": f"uid-{name}", "creationTimestamp": at(age), **more}
    if ns is not None:
        metadata["namespace"] = ns
    if owner is not None:
        kind, of = owner["kind"], owner["metadata"]["name"]
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": kind,
                "name": of,
                "uid": f"uid-{of}",
                "controller": True,
            }
        ]
    return metadata


def container(name: str = "app", image: str = "registry.example/shop/cart:1.4.2", **spec: Any) -> Json:
    return {"name": name, "image": image, **spec}


def template(*containers: Json, labels: Mapping[str, str] | None = None, **spec: Any) -> Json:
    return {
        "metadata": {"labels": dict(labels or {"app": "cart"})},
        "spec": {"restartPolicy": "Always", "containers": list(containers or (container(),)), **spec},
    }


def deployment(
    tpl: Json | None = None, *, name: str = "cart", ns: str = NS, replicas: int = 1, **status: Any
) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(name, ns, age=60 * 24 * 20),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": tpl or template(),
        },
        "status": status,
    }


def replica_set(
    tpl: Json | None = None,
    *,
    name: str = RS,
    of: Json | None = None,
    revision: int = 2,
    replicas: int = 1,
    has: int | None = None,
    age: float = 20,
    ns: str = NS,
    conditions: Sequence[Json] = (),
    annotations: Mapping[str, str] | None = None,
) -> Json:
    marks = {"deployment.kubernetes.io/revision": str(revision), **(annotations or {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta(name, ns, age=age, owner=of or deployment(), annotations=marks),
        "spec": {"replicas": replicas, "template": tpl or template()},
        "status": {"replicas": replicas if has is None else has, "conditions": list(conditions)},
    }


def workload(
    kind: str, name: str, tpl: Json | None = None, *, ns: str = NS, age: float = 60, **more: Any
) -> Json:
    """A StatefulSet, DaemonSet or Job."""
    spec: Json = {"template": tpl or template(labels={"app": name}), **more.pop("spec", {})}
    api = "batch/v1" if kind == "Job" else "apps/v1"
    return {"apiVersion": api, "kind": kind, "metadata": meta(name, ns, age=age), "spec": spec, **more}


def running(since: float = 20) -> Json:
    return {"running": {"startedAt": at(since)}}


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def ended(code: int, reason: str = "Error", *, ago: float = 2, ran: float = 1, message: str = "") -> Json:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "startedAt": at(ago + ran),
            "finishedAt": at(ago),
            "containerID": "containerd://0f",
            **({"message": message} if message else {}),
        }
    }


def status(
    name: str = "app",
    state: Json | None = None,
    last: Json | None = None,
    *,
    ready: bool = False,
    restarts: int = 0,
) -> Json:
    return {
        "name": name,
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "image": "registry.example/shop/cart:1.4.2",
        "imageID": "",
        "state": state or running(),
        "lastState": last or {},
    }


def pod(
    tpl: Json | None = None,
    *statuses: Json,
    name: str = POD,
    ns: str = NS,
    owner: Json | None = None,
    phase: str = "Running",
    node: str | None = "node-1",
    age: float = 20,
    conditions: Sequence[Json] = (),
    init: Sequence[Json] = (),
    **more: Any,
) -> Json:
    tpl = deepcopy(tpl or template())
    own = replica_set(tpl, ns=ns, of=deployment(tpl, ns=ns)) if owner is None else owner
    spec = {**tpl["spec"], **({"nodeName": node} if node else {})}
    state: Json = {
        "phase": phase,
        "startTime": at(age),
        "conditions": list(conditions),
        "containerStatuses": list(statuses),
        **({"initContainerStatuses": list(init)} if init else {}),
        **more.pop("status", {}),
    }
    metadata = meta(name, ns, age=age, owner=own or None, labels=tpl["metadata"]["labels"], **more)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": state}


def pending(message: str | None, tpl: Json | None = None, **more: Any) -> Json:
    """A pod that no node takes; None: the condition gives no message."""
    placed = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "lastTransitionTime": at(15),
        **({"message": message} if message is not None else {}),
    }
    return pod(tpl, phase="Pending", node=None, conditions=[placed], **more)


def healthy(tpl: Json | None = None, **more: Any) -> Json:
    return pod(tpl, status(ready=True), conditions=[{"type": "Ready", "status": "True"}], **more)


def event(
    about: Json | tuple[str, str],
    reason: str,
    message: str,
    *,
    kind: str = "Warning",
    count: int = 1,
    first: float | None = None,
    last: float = 1,
    container: str | None = None,
    ns: str = NS,
    host: str = "",
) -> Json:
    """``first`` and ``last`` in minutes ago."""
    what, name = about if isinstance(about, tuple) else (about["kind"], about["metadata"]["name"])
    ns = ns if isinstance(about, tuple) else about["metadata"].get("namespace", ns)
    involved: Json = {"kind": what, "namespace": ns, "name": name}
    if container:
        involved["fieldPath"] = f"spec.containers{{{container}}}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta(f"{name}.{_mark(name, reason, message, first, last)}", ns, age=last),
        "involvedObject": involved,
        "type": kind,
        "reason": reason,
        "message": message,
        "count": count,
        "firstTimestamp": at(last if first is None else first),
        "lastTimestamp": at(last),
        "source": {"component": "kubelet", **({"host": host} if host else {})},
    }


def _mark(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()[:16]


def node(
    name: str = "node-1",
    *,
    cpu: str = "4",
    memory: str = "16Gi",
    pods: str = "110",
    taints: Sequence[Json] = (),
    labels: Mapping[str, str] | None = None,
    cordoned: bool = False,
    **allocatable: str,
) -> Json:
    room = {"cpu": cpu, "memory": memory, "pods": pods, **allocatable}
    spec: Json = {
        **({"taints": list(taints)} if taints else {}),
        **({"unschedulable": True} if cordoned else {}),
    }
    marks = {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", **(labels or {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta(name, None, age=60 * 24 * 90, labels=marks),
        "spec": spec,
        "status": {
            "allocatable": room,
            "capacity": room,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def thing(kind: str, name: str, *, ns: str | None = NS, api: str = "v1", **body: Any) -> Json:
    return {"apiVersion": api, "kind": kind, "metadata": meta(name, ns, age=60 * 24 * 20), **body}


def service(
    name: str = "cart", *, ports: Sequence[Json] | None = None, selector: Json | None = None, **spec: Any
) -> Json:
    ports = ports if ports is not None else [{"port": 80, "targetPort": 8080}]
    return thing("Service", name, spec={"selector": selector or {"app": name}, "ports": list(ports), **spec})


def quota(name: str = "compute", *, hard: Mapping[str, str], used: Mapping[str, str], **spec: Any) -> Json:
    return thing(
        "ResourceQuota",
        name,
        spec={"hard": dict(hard), **spec},
        status={"hard": dict(hard), "used": dict(used)},
    )


def pvc(
    name: str = "data",
    *,
    phase: str = "Pending",
    size: str = "10Gi",
    modes: Sequence[str] = ("ReadWriteOnce",),
    storage_class: str | None = "fast",
    **spec: Any,
) -> Json:
    body: Json = {"accessModes": list(modes), "resources": {"requests": {"storage": size}}, **spec}
    if storage_class is not None:
        body["storageClassName"] = storage_class
    return thing("PersistentVolumeClaim", name, spec=body, status={"phase": phase})


def line(text: str, *, ago: float = 1, pod: str = POD, service: str = "", previous: bool = False) -> Line:
    """A log line of a pod, in an answer of its own."""
    name = service or service_of_pod(pod)
    when = NOW - timedelta(minutes=ago)
    answer = _evidence("kubernetes.log", f"log of {pod}", lines=(LogLine(at=when, text=text),))
    return Line(
        service=name, pod=pod, node="", at=when, text=text, level="", evidence=answer, previous=previous
    )


def track(
    name: str,
    values: Iterable[tuple[float, float]],
    *,
    pod: str = POD,
    container: str = "app",
    service: str = "cart",
) -> Track:
    """A series of (minutes ago, value)."""
    samples = tuple(Sample(at=NOW - timedelta(minutes=ago), value=value) for ago, value in values)
    series = Series(name=name, labels={"pod": pod, "container": container}, samples=samples)
    answer = _evidence("metric.survey", name, series=(series,))
    return Track(object=service, object_kind="service", pod=pod, series=series, evidence=answer)


def cluster_of(
    *objects: Json,
    failed: Mapping[str, str] | None = None,
    cut: Sequence[str] = (),
    only: Sequence[str] = KINDS,
) -> Cluster:
    """One answer for every kind of ``only``; ``failed`` kinds with a reason, ``cut`` ones incomplete."""
    answers = []
    for kind in dict.fromkeys([*only, *(one["kind"] for one in objects)]):
        items = tuple(one for one in objects if one["kind"] == kind)
        if failed and kind in failed:
            answers.append((kind, _evidence("kubernetes.objects", kind, reason=failed[kind], failed=True)))
        else:
            reason = "cut at 500 objects" if kind in cut else None
            answers.append((kind, _evidence("kubernetes.objects", kind, objects=items, reason=reason)))
    return Cluster.build(answers)


def world_of(
    *objects: Json,
    lines: Sequence[Line] = (),
    calm: Sequence[Line] = (),
    tracks: Sequence[Track] = (),
    subjects: Sequence[str] = ("cart",),
    namespace: str = NS,
    logs: str = "ok",
    onset: datetime = ONSET,
    **cluster: Any,
) -> World:
    """``calm`` are log lines from when all was well; ``logs``: ok (an answer without lines when there are
    none), failed or unasked."""
    answers = [one.evidence for one in lines]
    if logs == "failed":
        answers.append(_evidence("log.lines", "logs", reason="timeout after 10 s", failed=True))
    asked = {} if logs == "unasked" else {"log.lines": tuple(answers)}
    alert = Alert(
        source="test", fingerprint="f", status=AlertStatus.FIRING, name="Down", severity=Severity.CRITICAL,
        labels={"alertname": "Down", "service": subjects[0] if subjects else "", "namespace": namespace},
        annotations={}, starts_at=onset, received_at=NOW, links={},
    )  # fmt: skip
    return World(
        now=NOW,
        onset=onset,
        alerts=(alert,),
        subjects=tuple(subjects),
        cluster=cluster_of(*objects, **cluster),
        graph=Graph.build({}, ()),
        lines=tuple(lines),
        healthy_lines=tuple(calm),
        tracks=tuple(tracks),
        asked=asked,
        _lines_by=index_lines(lines),
    )


Check = Callable[[World], Sequence[Fact]]


def facts_of(check: Check, kind: str, world: World) -> list[Fact]:
    return [fact for fact in check(world) if fact.kind == kind]


def verdict(check: Check, kind: str, world: World, subject: str = "cart") -> FactVerdict | None:
    """The verdict on a kind at one subject; None where the rule says nothing."""
    facts = [fact for fact in facts_of(check, kind, world) if fact.subject == subject]
    assert len(facts) <= 1, facts
    return facts[0].verdict if facts else None


def found(check: Check, kind: str, world: World, subject: str = "cart") -> Fact:
    """The finding of a kind, which must be there and cite its evidence."""
    facts = check(world)
    for fact in facts:
        if (fact.kind, fact.subject, fact.verdict) == (kind, subject, FactVerdict.FOUND):
            assert fact.evidence_ids, fact
            return fact
    raise AssertionError(
        f"no {kind} at {subject} among {[(f.kind, f.subject, f.detail) for f in causes(facts)]}"
    )


def causes(facts: Iterable[Fact]) -> list[Fact]:
    """Only what was found."""
    return [fact for fact in facts if fact.verdict is FactVerdict.FOUND]


def _evidence(
    kind: str,
    query: str,
    *,
    objects: tuple[Json, ...] = (),
    lines: tuple[LogLine, ...] = (),
    series: tuple[Series, ...] = (),
    reason: str | None = None,
    failed: bool = False,
) -> Evidence:
    filled = bool(objects or lines or series)
    done = EvidenceStatus.OK if filled or reason else EvidenceStatus.EMPTY
    return Evidence(
        id=EvidenceId(f"ev-{kind}-{query}"),
        source="kube",
        kind=kind,
        query=query,
        window=Window(start=NOW - timedelta(hours=1), end=NOW),
        taken_at=NOW,
        status=EvidenceStatus.FAILED if failed else done,
        summary=query,
        reason=reason,
        objects=objects,
        lines=lines,
        series=series,
    )
