"""From answers to the world: whose series, whose log line, what depends on what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.domain.alert import Alert
from bot.domain.evidence import Change, Evidence, TraceSpan
from bot.domain.graph import Edge, Graph, Owner
from investigators.queries import (
    SECURITY_MARKS,
    ChangeQuery,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PodLogQuery,
    Query,
    SpanQuery,
    SurveyQuery,
)
from investigators.templates import Level, Texts
from investigators.world.cluster import WORKLOADS, Cluster, Thing
from investigators.world.world import Line, Track, World, index_lines, service_of_pod, texts_of

_SERVICE_LABELS = (
    "service", "service_name", "app", "app_kubernetes_io_name", "application", "component", "microservice",
    "destination_workload", "destination_service_name", "workload",
)  # fmt: skip
_WORKLOAD_LABELS = ("deployment", "statefulset", "daemonset", "job_name", "cronjob")
_NODE_LABELS = ("node", "nodename", "host", "hostname", "instance")
_EXPORTED = "exported_"
_SCRAPED = frozenset({"namespace", "pod", "container", "service"})
_HOST_NAME = re.compile(
    r"(?<![\w.-])([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9-]+(?:\.svc[a-z.]*)?)?(?::\d+)?(?![\w-])"
)
_FAR_FUTURE = 32_503_680_000.0
"""The year 3000, in epoch seconds."""
_SPAN_IDS = ("span_id", "spanId", "spanid", "span")
_LEVELS = {Level.FATAL: "fatal", Level.ERROR: "error", Level.WARNING: "warning", Level.PLAIN: ""}


@dataclass(frozen=True, slots=True)
class Owners:
    """Names the object behind the labels of a series or of a log line."""

    cluster: Cluster

    def pod(self, namespace: str, pod: str, service: str) -> str:
        """The service a pod belongs to: by its owners where they were read, else by the names."""
        known = self.cluster.get("Pod", namespace, pod)
        if known is None and not namespace:
            known = next((one for one in self.cluster.of("Pod") if one.name == pod), None)
        if known is not None:
            return self.cluster.workload_name(known)
        if service and (pod == service or pod.startswith(f"{service}-")):
            return service
        return service_of_pod(pod)

    def of(self, labels: Mapping[str, str], metric: str = "") -> tuple[str, str, str]:
        """(object, kind, pod)."""
        exported = {k.removeprefix(_EXPORTED): v for k, v in labels.items() if k.startswith(_EXPORTED)}
        if exported:
            # Labels that clash with these are those of the exporter that was scraped.
            scraped = _SCRAPED if _SCRAPED & set(exported) else frozenset()
            own = {k: v for k, v in labels.items() if k not in scraped and not k.startswith(_EXPORTED)}
            return self.of({**own, **exported}, metric)
        if metric.startswith("node_") and ":" not in metric and (host := self._node(labels)):
            return host, "node", ""
        service = next((labels[key] for key in _SERVICE_LABELS if labels.get(key)), "")
        pod = labels.get("pod") or labels.get("pod_name") or labels.get("kubernetes_pod_name") or ""
        if pod:
            return self.pod(labels.get("namespace", ""), pod, service), "service", pod
        workload = next((labels[key] for key in _WORKLOAD_LABELS if labels.get(key)), "")
        if workload:
            return workload, "service", ""
        if service:
            return service, "service", ""
        node = next((labels[key] for key in _NODE_LABELS if labels.get(key)), "")
        if node:
            return node.rpartition(":")[0] or node, "node", ""
        return labels.get("job", ""), "service", ""

    def _node(self, labels: Mapping[str, str]) -> str:
        """The machine that an exporter on it speaks of, whose own pod and service its labels may name."""
        named = labels.get("node") or labels.get("nodename") or ""
        pod = self.cluster.get("Pod", labels.get("namespace", ""), labels.get("pod", ""))
        if not named and pod is not None:
            named = str(pod.at("spec", "nodeName", default=""))
        instance = labels.get("instance", "")
        return named or instance.rpartition(":")[0] or instance


def build_world(
    now: datetime,
    onset: datetime,
    alerts: tuple[Alert, ...],
    named: Sequence[str],
    answers: Sequence[tuple[Query, Evidence]],
) -> World:
    """Pure; the order of the answers does not matter but for ties. ``named``: what the alerts are about, by
    their own labels; the names that series, traces and clusters use for it are found here."""
    cluster = Cluster.build((q.object_kind, e) for q, e in answers if isinstance(q, ObjectQuery))
    owners = Owners(cluster)
    texts = Texts()
    tracks: dict[bool, list[Track]] = {False: [], True: []}
    lines: dict[bool, list[Line]] = {False: [], True: []}
    spans: dict[bool, list[TraceSpan]] = {False: [], True: []}
    changes: dict[tuple[str, str], Change] = {}
    watched: list[Line] = []
    asked: dict[str, list[Evidence]] = {}
    for query, evidence in answers:
        extra = isinstance(query, LogQuery) and query.contains == SECURITY_MARKS
        # What was not found among lines about security is not absent from a service's log.
        asked.setdefault("log.security" if extra else query.kind, []).append(evidence)
        if not evidence.usable:
            continue
        match query:
            case LogQuery() if extra:
                watched += _lines(evidence, owners, texts, previous=False)
            case SurveyQuery():
                tracks[query.healthy] += _tracks(evidence, owners)
            case LogQuery():
                lines[query.healthy] += _lines(evidence, owners, texts, previous=False)
            case PodLogQuery():
                lines[False] += _lines(evidence, owners, texts, previous=query.previous)
            case SpanQuery():
                spans[query.healthy] += evidence.spans
            case ChangeQuery():
                changes |= {(change.kind, change.id): change for change in evidence.changes}
            case _:
                pass
    if watched:
        # Another question may have brought the same lines.
        seen = {(line.at, line.text) for line in lines[False]}
        lines[False] += [line for line in watched if (line.at, line.text) not in seen]
    ordered = sorted(lines[False], key=_line_order)
    subjects = [*(owners.of(alert.labels)[0] for alert in alerts), *named]
    return World(
        now=now,
        onset=onset,
        alerts=alerts,
        subjects=tuple(dict.fromkeys(name for name in subjects if name)),
        cluster=cluster,
        graph=_graph(cluster, answers, spans[False] or spans[True]),
        lines=tuple(ordered),
        healthy_lines=tuple(sorted(lines[True], key=_line_order)),
        tracks=tuple(tracks[False]),
        healthy_tracks=tuple(tracks[True]),
        spans=tuple(spans[False]),
        healthy_spans=tuple(spans[True]),
        changes=tuple(sorted(changes.values(), key=lambda change: (change.at, change.id))),
        asked={kind: tuple(items) for kind, items in asked.items()},
        _lines_by=index_lines(ordered),
        _derived={texts_of: texts},
    )


def _tracks(evidence: Evidence, owners: Owners) -> list[Track]:
    found = []
    for one in evidence.series:
        name, kind, pod = owners.of(one.labels, one.name)
        found.append(Track(object=name, object_kind=kind, pod=pod, series=one, evidence=evidence))
    return found


def _lines(evidence: Evidence, owners: Owners, texts: Texts, *, previous: bool) -> list[Line]:
    named: dict[tuple[str, str, str], str] = {}
    found = []
    levels = texts.levels([line.text for line in evidence.lines])
    for line, level in zip(evidence.lines, levels, strict=True):
        labels = line.labels
        pod, service = labels.get("pod", ""), labels.get("service", "")
        key = (labels.get("namespace", ""), pod, service)
        if key not in named:
            named[key] = owners.pod(*key) if pod else service or labels.get("app", "")
        found.append(
            Line(
                service=named[key],
                pod=pod,
                node=labels.get("node", ""),
                at=line.at,
                text=line.text,
                level=labels.get("level", "").lower() or _LEVELS[level],
                evidence=evidence,
                previous=previous,
                span_id=next((labels[name] for name in _SPAN_IDS if labels.get(name)), ""),
            )
        )
    return found


def _line_order(line: Line) -> float:
    return line.at.timestamp() if line.at is not None else 0.0


def _graph(cluster: Cluster, answers: Sequence[tuple[Query, Evidence]], spans: Sequence[TraceSpan]) -> Graph:
    kinds: dict[str, str] = {}
    edges: list[Edge] = []
    owners: dict[str, Owner] = {}
    for query, evidence in answers:
        if isinstance(query, GraphQuery) and evidence.usable:
            _told(evidence, kinds, edges, owners)
    edges += _observed(spans)
    edges += _from_cluster(cluster, kinds)
    return Graph.build(kinds, edges, owners)


def _told(evidence: Evidence, kinds: dict[str, str], edges: list[Edge], owners: dict[str, Owner]) -> None:
    for record in evidence.records:
        source, target = str(record.get("from") or ""), str(record.get("to") or "")
        if source:
            kinds.setdefault(source, str(record.get("from_kind") or "service"))
        owner = Owner(team=str(record.get("team") or ""), person=str(record.get("owner") or ""))
        if source and str(owner):
            owners.setdefault(source, owner)
        if not target:
            continue
        kinds.setdefault(target, str(record.get("to_kind") or "service"))
        seen, declared = record.get("seen_at"), bool(record.get("declared"))
        # What a source reads now it says now; what a person wrote down is as old as that.
        read_at = None if declared else evidence.taken_at
        moment = seen if isinstance(seen, int | float) and 0 <= seen < _FAR_FUTURE else None
        edges.append(
            Edge(
                source=source,
                target=target,
                kind=str(record.get("kind") or "calls"),
                origin=str(record.get("origin") or evidence.source),
                seen_at=read_at if moment is None else datetime.fromtimestamp(moment, UTC),
                evidence_id=evidence.id,
                declared=declared,
            )
        )


def _observed(spans: Sequence[TraceSpan]) -> list[Edge]:
    """A span whose parent is in another service is a call; so is a client span that names its peer."""
    owner = {(span.trace_id, span.span_id): span.service for span in spans}
    seen: dict[tuple[str, str], datetime] = {}
    for span in spans:
        caller = owner.get((span.trace_id, span.parent_id or ""))
        pair = (caller, span.service) if caller and caller != span.service else None
        if pair is None and span.peer and span.peer != span.service:
            pair = (span.service, span.peer)
        if pair is not None and (pair not in seen or seen[pair] < span.start):
            seen[pair] = span.start
    return [Edge(source=a, target=b, kind="calls", origin="spans", seen_at=at) for (a, b), at in seen.items()]


def _from_cluster(cluster: Cluster, kinds: dict[str, str]) -> list[Edge]:
    """What Kubernetes objects say: where pods run, what Services and Ingresses lead to, whom the environment
    of a container names."""
    edges: list[Edge] = []
    services = {(one.namespace, one.name): one for one in cluster.of("Service")}
    names = {name for _, name in services}
    for pod in cluster.of("Pod"):
        owner = cluster.workload_name(pod)
        kinds.setdefault(owner, "service")
        node = str(pod.at("spec", "nodeName", default=""))
        if node:
            kinds[node] = "node"
            edges.append(_edge(owner, node, "runs_on", "Pod", pod))
    for service in services.values():
        for workload in {cluster.workload_name(pod) for pod in cluster.pods_of(service)}:
            edges.append(_edge(service.name, workload, "routes_to", "Service", service))
    for ingress in cluster.of("Ingress"):
        for name in _backends(ingress):
            edges.append(_edge(ingress.name, name, "routes_to", "Ingress", ingress))
    for owned in (one for name in WORKLOADS for one in cluster.of(name)):
        if cluster.owner(owned) is None:
            edges += _named_in_environment(cluster, owned, names)
    return edges


def _named_in_environment(cluster: Cluster, workload: Thing, services: set[str]) -> Iterable[Edge]:
    pod: tuple[str, ...] = ("spec", "template", "spec")
    if workload.kind == "CronJob":
        pod = ("spec", "jobTemplate", *pod)
    source = cluster.workload_name(workload)
    for container in (*workload.items(*pod, "containers"), *workload.items(*pod, "initContainers")):
        words = [str(one.get("value", "")) for one in container.get("env") or () if isinstance(one, Mapping)]
        words += [str(word) for word in (*(container.get("args") or ()), *(container.get("command") or ()))]
        for word in words:
            for match in _HOST_NAME.finditer(word):
                if match.group(1) in services:
                    yield _edge(source, match.group(1), "calls", "configuration", workload)


def _backends(ingress: Thing) -> set[str]:
    found = set()
    default = ingress.at("spec", "defaultBackend", "service", "name")
    if default:
        found.add(str(default))
    for rule in ingress.items("spec", "rules"):
        http = rule.get("http")
        for path in (http.get("paths") or ()) if isinstance(http, Mapping) else ():
            backend = path.get("backend", {}) if isinstance(path, Mapping) else {}
            service = backend.get("service", {}) if isinstance(backend, Mapping) else {}
            name = service.get("name") if isinstance(service, Mapping) else None
            if name or backend.get("serviceName"):
                found.add(str(name or backend["serviceName"]))
    return found


def _edge(source: str, target: str, kind: str, origin: str, thing: Thing) -> Edge:
    return Edge(
        source=source,
        target=target,
        kind=kind,
        origin=origin,
        seen_at=thing.evidence.taken_at,
        evidence_id=thing.evidence.id,
    )
