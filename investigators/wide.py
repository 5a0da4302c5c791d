"""What to ask about the world around an incident: narrow first, wider where that said too little."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.domain.evidence import Window
from investigators.entities import Entity
from investigators.ports import Case, Matcher, MatchOp
from investigators.queries import (
    ChangeQuery,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    SpanQuery,
    SurveyQuery,
    TableQuery,
    TicketQuery,
)
from investigators.world.cluster import Cluster

CHANGES_BEFORE = timedelta(hours=24)
"""How far back changes are listed: a leak shows hours after its deploy. What is older than two hours counts
only where something began with it."""
_DAY = timedelta(days=1)
_POINTS = 240
_LINES = 50_000
_SPANS = 50_000
_CRASHED_PODS = 12
_NAMESPACES = 3
_SERVICES = 20
_SYSTEM = "kube-system"
_NAMESPACE_LABELS = (
    "exported_namespace", "namespace", "kubernetes_namespace", "destination_workload_namespace",
)  # fmt: skip
_NAMESPACED = (
    "Pod", "Event", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service",
    "Endpoints", "EndpointSlice", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "ConfigMap", "Secret",
    "ServiceAccount", "ControllerRevision", "ResourceQuota", "LimitRange", "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "RoleBinding", "Role", "HTTPRoute", "Gateway", "VirtualService", "DestinationRule", "PeerAuthentication",
    "Certificate",
)  # fmt: skip
_CLUSTER_WIDE = (
    "Node", "Namespace", "PersistentVolume", "StorageClass", "IngressClass", "ClusterRole",
    "ClusterRoleBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService",
    "PriorityClass", "RuntimeClass",
)  # fmt: skip
_OF_THE_SYSTEM = ("Pod", "Event", "Deployment", "DaemonSet", "Service", "Lease", "EndpointSlice")
_TABLES = ("processes", "listening_ports", "mounts", "systemd_units", "memory_info")
_TROUBLE_WORDS = ("error", "exception", "fail", "fatal", "panic", "timeout", "refused", "denied", "warn")
_WAITING_AFTER_END = frozenset({"CrashLoopBackOff", "Error", "RunContainerError"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WideAsk:
    """One question in several widths; a source is asked the first that it covers, or none.

    ``quiet``: a failure of it is not worth a gap, because a narrower one was answered.
    """

    choices: tuple[Query, ...]
    window: Window
    subject: str


def namespaces_of(entities: Sequence[Entity]) -> tuple[str, ...]:
    """The namespaces that the alerts name."""
    found = dict.fromkeys(
        alert.labels[label]
        for entity in entities
        for alert in entity.alerts
        for label in _NAMESPACE_LABELS
        if alert.labels.get(label)
    )
    return tuple(found)[:_NAMESPACES]


def first_asks(
    case: Case, entities: Sequence[Entity], subjects: Sequence[str], window: Window
) -> tuple[WideAsk, ...]:
    """The questions that need no answer first. ``subjects`` are the services that the alerts are about."""
    about = entities[0].subject if entities else case.incident.title
    namespaces = namespaces_of(entities)
    earlier = Window(start=window.start - _DAY, end=window.end - _DAY)
    asks: list[WideAsk] = [_ask(about, window, GraphQuery())]
    for healthy, look in ((False, window), (True, earlier)):
        asks.append(_ask(about, look, *_surveys(namespaces, subjects, window, healthy=healthy)))
        asks.append(_ask(about, look, *_logs(namespaces, subjects, healthy=healthy)))
        asks.append(_ask(about, look, SpanQuery(services=(), limit=_SPANS, healthy=healthy)))
    changes = Window(start=case.now - CHANGES_BEFORE - window.length, end=case.now)
    asks.append(_ask(about, changes, ChangeQuery()))
    asks += [_ask(about, window, query) for query in _objects(namespaces)]
    asks += _tables(entities, about, window)
    asks += _texts(case, entities, about, window)
    return tuple(asks)


def second_asks(
    cluster: Cluster, entities: Sequence[Entity], window: Window, about: str
) -> tuple[WideAsk, ...]:
    """What the first answers call for: the last words of pods that crashed, the whole cluster where the
    alert's namespace held nothing."""
    asks: list[WideAsk] = []
    if namespaces_of(entities) and cluster.asked and not cluster.of("Pod"):
        asks += [
            _ask(about, window, ObjectQuery(object_kind=kind)) for kind in ("Pod", "Event", "Deployment")
        ]
    crashed = 0
    for pod in cluster.of("Pod"):
        for status in pod.items("status", "containerStatuses") + pod.items("status", "initContainerStatuses"):
            ended = _part(status, "lastState", "terminated") or _part(status, "state", "terminated")
            looping = _part(status, "state", "waiting").get("reason") in _WAITING_AFTER_END
            if crashed >= _CRASHED_PODS or not (looping or ended.get("exitCode")):
                continue
            crashed += 1
            asks.append(
                _ask(
                    about,
                    window,
                    PodLogQuery(
                        namespace=pod.namespace,
                        pod=pod.name,
                        container=str(status.get("name")),
                        previous=bool(status.get("restartCount")),
                    ),
                )
            )
    return tuple(asks)


def _part(status: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """An object inside a status; an empty one where the answer has something else there."""
    here: Any = status
    for step in path:
        here = here.get(step) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}


def _ask(subject: str, window: Window, *choices: Query) -> WideAsk:
    return WideAsk(choices=choices, window=window, subject=subject)


def _surveys(
    namespaces: Sequence[str], subjects: Sequence[str], window: Window, *, healthy: bool
) -> list[Query]:
    step = timedelta(seconds=max(1, round(window.length.total_seconds() / _POINTS)))
    choices: list[Query] = [SurveyQuery(step=step, healthy=healthy)]
    if namespaces:
        choices.append(SurveyQuery(matchers=(_any_of("namespace", namespaces),), step=step, healthy=healthy))
    if subjects:
        choices.append(SurveyQuery(matchers=(_any_of("service", subjects),), step=step, healthy=healthy))
    return choices


def _logs(namespaces: Sequence[str], subjects: Sequence[str], *, healthy: bool) -> list[Query]:
    """Everything from a recording; from a live system what is of the services, or looks like trouble."""
    choices: list[Query] = [LogQuery(limit=_LINES, healthy=healthy)]
    if namespaces:
        choices.append(
            LogQuery(matchers=(_any_of("namespace", namespaces),), contains=_TROUBLE_WORDS, healthy=healthy)
        )
    if subjects:
        choices.append(LogQuery(matchers=(_any_of("service", subjects),), healthy=healthy))
    return choices


def _any_of(label: str, names: Sequence[str]) -> Matcher:
    if len(names) == 1:
        return Matcher(label=label, op=MatchOp.EQUAL, value=names[0])
    return Matcher(
        label=label, op=MatchOp.REGEX, value="|".join(re.escape(name) for name in names[:_SERVICES])
    )


def _objects(namespaces: Sequence[str]) -> list[Query]:
    queries: list[Query] = [ObjectQuery(object_kind=kind) for kind in _CLUSTER_WIDE]
    if not namespaces:
        return queries + [ObjectQuery(object_kind=kind) for kind in _NAMESPACED]
    queries += [
        ObjectQuery(object_kind=kind, namespace=namespace) for namespace in namespaces for kind in _NAMESPACED
    ]
    if _SYSTEM not in namespaces:
        queries += [ObjectQuery(object_kind=kind, namespace=_SYSTEM) for kind in _OF_THE_SYSTEM]
    return queries


def _tables(entities: Sequence[Entity], about: str, window: Window) -> list[WideAsk]:
    hosts = dict.fromkeys(entity.host for entity in entities if entity.host is not None)
    return [_ask(about, window, TableQuery(host=host, table=table)) for host in hosts for table in _TABLES]


def _texts(case: Case, entities: Sequence[Entity], about: str, window: Window) -> list[WideAsk]:
    asks = [_ask(about, window, PastQuery())]
    urls = dict.fromkeys(
        [case.incident.route.runbook_url]
        + [alert.annotations.get("runbook_url") or alert.links.get("runbook") for alert in case.alerts[:5]]
    )
    asks += [_ask(about, window, RunbookQuery(url=url)) for url in urls if url]
    service = case.incident.service or (entities[0].subject if entities else "")
    if service:
        asks.append(_ask(about, window, TicketQuery(service=service)))
    return asks
