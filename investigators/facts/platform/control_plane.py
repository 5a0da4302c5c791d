"""The cluster's own machinery: API server, etcd, scheduler, controllers, admission webhooks, operators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from bot.domain.evidence import Evidence, Fact
from investigators.facts.charge import Subject, namespace, service
from investigators.facts.platform.reading import mapping, number
from investigators.facts.platform.scene import Scene, cite, clip, listed
from investigators.facts.platform.symptoms import Symptom
from investigators.world.cluster import Thing, moment

_COMPONENTS = {
    "kube-apiserver": "api_server_down",
    "etcd": "etcd_down",
    "kube-scheduler": "scheduler_down",
    "kube-controller-manager": "controller_manager_down",
}
_PATIENCE = timedelta(seconds=60)
_STUCK = timedelta(minutes=10)
_LEASE = timedelta(seconds=60)
_WEBHOOK = re.compile(
    r"failed calling webhook \\?\"(?P<name>[^\"\\]+)\\?\":.*?"
    r"(?:https://(?P<host>[\w.-]+)|service \\?\"(?P<service>[\w-]+))",
    re.S,
)
_ETCD = (
    ("etcd_down", re.compile(r"etcdserver: no leader|has no leader|lost leader|became inactive")),
    ("etcd_space_exceeded", re.compile(r"mvcc: database space exceeded|NOSPACE")),
    (
        "etcd_slow",
        re.compile(
            r"etcdserver: request timed out|apply request took too long|etcdserver: leader changed|"
            r"failed to send out heartbeat on time|slow fdatasync"
        ),
    ),
)
_BUILT_IN = frozenset({
    "Pod", "Node", "Service", "Endpoints", "EndpointSlice", "Event", "ConfigMap", "Secret", "Namespace",
    "Lease", "Ingress", "IngressClass", "Job", "CronJob", "NetworkPolicy", "Deployment", "ReplicaSet",
    "StatefulSet", "DaemonSet", "PersistentVolume", "PersistentVolumeClaim", "StorageClass",
    "HorizontalPodAutoscaler", "PodDisruptionBudget", "ResourceQuota", "LimitRange", "ServiceAccount",
    "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "APIService",
})  # fmt: skip


def check(scene: Scene) -> list[Fact]:
    facts = [
        *_components(scene),
        *_api_server(scene),
        *_etcd(scene),
        *_unscheduled(scene),
        *_unobserved(scene),
        *_webhooks(scene),
        *_api_services(scene),
        *_stuck(scene),
    ]
    return [*facts, *_quiet(scene, facts)]


def _quiet(scene: Scene, facts: list[Fact]) -> Iterator[Fact]:
    """Absent when its pods are there and ready; a managed control plane shows none, which tells nothing."""
    taken = {(fact.kind, fact.subject) for fact in facts}
    for name in scene.services:
        kind = _COMPONENTS.get(name)
        if kind is None or (kind, name) in taken:
            continue
        looked = scene.cluster.looked("Pod")
        pods = [pod for pod in scene.layout.pods if pod.labels.get("component") == name]
        if pods and scene.cluster.knows("Pod"):
            yield service(name).absent(kind, 0.8, looked, "control.pods", "its pods are ready")
        else:
            yield service(name).unknown(kind, looked, "control.pods", "its pods are not to be seen")


def _components(scene: Scene) -> Iterator[Fact]:
    for name, kind in _COMPONENTS.items():
        pods = [pod for pod in scene.layout.pods if pod.labels.get("component") == name]
        if pods and not any(pod.ready for pod in pods):
            detail = f"none of the {len(pods)} pods of {name} is ready"
            yield service(name).found(kind, 0.93, scene.cluster.looked("Pod"), "control.pods", detail)
        lease = scene.cluster.get("Lease", "kube-system", name)
        renewed = moment(lease.at("spec", "renewTime")) if lease else None
        if lease is not None and renewed is not None and lease.evidence.taken_at - renewed > _LEASE:
            seconds = (lease.evidence.taken_at - renewed).total_seconds()
            detail = f"no {name} has renewed its lease for {seconds:.0f} s: none leads"
            yield service(name).found(kind, 0.9, (lease.evidence,), "control.lease", detail)


def _api_server(scene: Scene) -> Iterator[Fact]:
    """What the API server's clients say of it, and what it says of itself."""
    told: dict[str, list[Symptom]] = {}
    for one in scene.symptoms.every:
        if one.callee is None or not _is_api(one):
            continue
        if one.kind in ("connection_refused", "connect_timeout"):
            told.setdefault("api_server_down", []).append(one)
        elif one.kind in ("read_timeout", "unavailable", "rate_limited"):
            told.setdefault("api_server_slow", []).append(one)
        elif one.kind in ("certificate_expiry", "peer_certificate_refused"):
            told.setdefault("api_certificate_expired", []).append(one)
    for kind, found in told.items():
        callers = scene.callers(found)
        detail = f"{listed(callers)}: {clip(found[-1].line.text)}"
        confidence = 0.9 if kind == "api_certificate_expired" else 0.7 + 0.15 * (len(callers) > 1)
        yield service("kube-apiserver").found(kind, confidence, cite(found), "control.api", detail)
    yield from _api_metrics(scene)


def _is_api(one: Symptom) -> bool:
    thing = one.callee.service if one.callee is not None else None
    if thing is not None and (thing.namespace, thing.name) == ("default", "kubernetes"):
        return True
    return one.host.startswith("kubernetes.default") or one.port == 6443


def _api_metrics(scene: Scene) -> Iterator[Fact]:
    """The share of requests that the API server answers with 5xx."""
    bad = every = 0.0
    cited: dict[str, Evidence] = {}
    for track in scene.tracks.get("apiserver_request_total", ()):
        samples = [one for one in track.series.samples if scene.current(one.at)]
        if len(samples) > 1:
            grown = max(0.0, samples[-1].value - samples[0].value)
            every += grown
            if track.series.labels.get("code", "").startswith("5"):
                bad += grown
                cited[str(track.evidence.id)] = track.evidence
    if bad >= 5 and bad / every >= 0.05:
        detail = f"the API server answers {bad / every:.0%} of all requests with an error of its own"
        evidence = tuple(cited.values())
        yield service("kube-apiserver").found("api_server_slow", 0.85, evidence, "control.errors", detail)


def _etcd(scene: Scene) -> Iterator[Fact]:
    for kind, pattern in _ETCD:
        lines = [
            line
            for name in ("etcd", "kube-apiserver")
            for line in scene.world.lines_of(name)
            if scene.current(line.at) and pattern.search(line.text)
        ]
        if lines:
            cited = tuple({str(line.evidence.id): line.evidence for line in lines}.values())
            detail = f"{len(lines)} lines such as: {clip(lines[-1].text)}"
            confidence = 0.85 if len(lines) > 2 or kind != "etcd_slow" else 0.55
            yield service("etcd").found(kind, confidence, cited, "control.etcd", detail)
    for track in scene.tracks.get("etcd_server_has_leader", ()):
        late = [one for one in track.series.samples if scene.current(one.at)]
        if late and late[-1].value == 0:
            detail = "an etcd member has no leader"
            yield service("etcd").found("etcd_down", 0.92, (track.evidence,), "control.etcd", detail)
    quota = max((t.series.samples[-1].value for t in scene.tracks.get("etcd_server_quota_backend_bytes", ())),
                default=0.0)  # fmt: skip
    for track in scene.tracks.get("etcd_mvcc_db_total_size_in_bytes", ()):
        if quota and track.series.samples[-1].value >= 0.97 * quota:
            detail = "etcd's database is as large as its quota: it takes no more writes"
            yield service("etcd").found(
                "etcd_space_exceeded", 0.92, (track.evidence,), "control.etcd", detail
            )


def _unscheduled(scene: Scene) -> Iterator[Fact]:
    """Pods nobody has even tried to place: no node, no PodScheduled condition, no event."""
    waiting = [
        pod.thing
        for pod in scene.layout.pods
        if pod.live
        and not pod.node
        and pod.thing.at("spec", "schedulerName", default="default-scheduler") == "default-scheduler"
        and not pod.thing.at("spec", "schedulingGates")
        and not any(one.get("type") == "PodScheduled" for one in pod.thing.items("status", "conditions"))
        and not scene.cluster.events_about(pod.thing)
        and pod.thing.created_at is not None
        and pod.thing.evidence.taken_at - pod.thing.created_at >= _PATIENCE
    ]
    if waiting and scene.cluster.knows("Event"):
        names = listed(sorted({scene.cluster.workload_name(one) for one in waiting}))
        detail = f"no scheduler has looked at {len(waiting)} waiting pods ({names})"
        cited = scene.cluster.looked("Pod", "Event")
        yield service("kube-scheduler").found("scheduler_down", 0.85, cited, "control.unscheduled", detail)


def _unobserved(scene: Scene) -> Iterator[Fact]:
    """Changes of workloads that no controller has seen."""
    late = [
        one.thing
        for one in scene.layout.workloads
        if isinstance(one.thing.at("metadata", "generation"), int)
        and one.thing.at("metadata", "generation")
        > (number(one.thing.at("status", "observedGeneration")) or 0)
        and (one.thing.created_at is None or one.thing.evidence.taken_at - one.thing.created_at >= _PATIENCE)
    ]
    if len(late) > 1 or (late and not scene.cluster.events_about(late[0])):
        names = listed(sorted(one.name for one in late))
        detail = f"nobody has acted on the latest change of {names}"
        cited = tuple({str(one.evidence.id): one.evidence for one in late}.values())
        subject = service("kube-controller-manager")
        confidence = 0.85 if len(late) > 1 else 0.6
        yield subject.found("controller_manager_down", confidence, cited, "control.unobserved", detail)


def _webhooks(scene: Scene) -> Iterator[Fact]:
    """An admission webhook that does not answer stops what it was to look at."""
    found: dict[str, tuple[Subject, str, list[Evidence], set[str]]] = {}
    texts = [(one.message, one.thing.evidence, one.about[2]) for one in scene.events]
    texts += [
        (one.line.text, one.line.evidence, one.caller) for one in scene.symptoms.of("webhook_unavailable")
    ]
    for thing in (one.thing for one in scene.layout.workloads):
        texts += [
            (str(one.get("message", "")), thing.evidence, thing.name)
            for one in thing.items("status", "conditions")
            if one.get("status") == "True" and one.get("type") == "ReplicaFailure"
        ]
    for text, evidence, about in texts:
        match = _WEBHOOK.search(text) if "failed calling webhook" in text else None
        if match is None or "denied the request" in text:
            continue
        callee = scene.names.resolve(match["host"] or match["service"])
        subject = scene.subject(callee) if callee is not None else service(match["name"])
        before = found.setdefault(match["name"], (subject, text, [], set()))
        before[2].append(evidence)
        before[3].add(about)
    for name, (subject, text, answers, hit) in found.items():
        why = clip(text.rpartition(": ")[2], 120)
        detail = f"webhook {name} does not answer ({why}) and so stops {listed(sorted(hit))}"
        config = _configuration(scene, name)
        cited = (*answers[:5], *((config.evidence,) if config else ()))
        yield subject.found("webhook_unavailable", 0.93, cited, "control.webhook", detail)
    yield from _deaf_webhooks(scene, set(found))


def _configuration(scene: Scene, name: str) -> Thing | None:
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for thing in scene.cluster.of(kind):
            if any(one.get("name") == name for one in thing.items("webhooks")):
                return thing
    return None


def _deaf_webhooks(scene: Scene, done: set[str]) -> Iterator[Fact]:
    """Webhooks that must be asked (failurePolicy Fail) and whose Service has nobody behind it."""
    if not scene.cluster.knows("Pod") or not scene.cluster.knows("Service"):
        return
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for thing in scene.cluster.of(kind):
            for one in thing.items("webhooks"):
                where = mapping(mapping(one.get("clientConfig")).get("service"))
                key = (str(where.get("namespace")), str(where.get("name")))
                must = one.get("failurePolicy", "Fail") == "Fail" and bool(where)
                if not must or str(one.get("name")) in done or key[0] not in scene.names.namespaces:
                    continue
                if any(pod.ready for pod in scene.layout.backends.get(key, ())):
                    continue
                detail = f"webhook {one.get('name')} must be asked, and Service {key[1]} has no ready pod"
                cited = (thing.evidence, *scene.cluster.looked("Pod", "Service"))
                subject = scene.subject_named(key[1])
                yield subject.found("webhook_unavailable", 0.6, cited, "control.webhook", detail)


def _api_services(scene: Scene) -> Iterator[Fact]:
    for thing in scene.cluster.of("APIService"):
        for one in thing.items("status", "conditions"):
            if one.get("type") == "Available" and one.get("status") == "False":
                name = str(thing.at("spec", "service", "name", default=thing.name))
                detail = f"the API {thing.name} is not served: {one.get('reason')}, {one.get('message')}"
                yield service(name).found(
                    "api_service_down", 0.9, (thing.evidence,), "control.api", clip(detail, 300)
                )


def _stuck(scene: Scene) -> Iterator[Fact]:
    """Objects that a finalizer keeps, and custom resources whose operator does nothing."""
    for thing in scene.cluster.things.values():
        deleted = moment(thing.at("metadata", "deletionTimestamp"))
        holds = thing.at("metadata", "finalizers") or thing.at("spec", "finalizers")
        if (
            deleted is not None
            and holds
            and thing.evidence.taken_at - deleted >= _STUCK
            and thing.kind != "Pod"
        ):
            by = listed(str(one) for one in holds)
            detail = f"{thing.kind} {thing.name} cannot be deleted: {by} does not let it go"
            subject = (
                namespace(thing.name)
                if thing.kind == "Namespace"
                else service(scene.cluster.service_name(thing))
            )
            yield subject.found("stuck_terminating", 0.75, (thing.evidence,), "control.finalizers", detail)
        if thing.kind in _BUILT_IN or thing.created_at is None:
            continue
        generation, seen = thing.at("metadata", "generation"), thing.at("status", "observedGeneration")
        waits = isinstance(generation, int) and isinstance(seen, int) and generation > seen
        if waits and thing.evidence.taken_at - thing.created_at >= _STUCK:
            detail = f"no operator has acted on the latest change of {thing.kind} {thing.name}"
            subject = service(scene.cluster.service_name(thing))
            yield subject.found("operator_stuck", 0.7, (thing.evidence,), "control.operator", detail)
