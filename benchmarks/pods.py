"""A snapshot of ten services of five pods on three nodes; the pods of one are killed for their memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.convert.writing import CaseWriter

NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
ONSET = NOW - timedelta(minutes=5)
SERVICES = tuple(f"svc-{letter}" for letter in "abcdefghij")
BROKEN = SERVICES[1]
FAULT = "oom_killed"
_PODS = 5
"""Of each service."""
_HOUR, _STEP = 3600, 15
_METRICS: Mapping[str, float] = {
    "container_cpu_usage_cores": 0.2,
    "container_memory_working_set_bytes": 6e7,
    "container_memory_rss": 5e7,
    "container_cpu_cfs_throttled_ratio": 0.01,
    "container_network_receive_bytes_per_second": 3e5,
    "container_network_transmit_bytes_per_second": 2e5,
    "container_fs_usage_bytes": 1e8,
    "request_latency_p99": 0.05,
    "error_ratio": 0.001,
    "requests_per_second": 40.0,
}
_SAID = (
    "INFO request {n} of user {u} took {ms} ms",
    "INFO GET /items/{u} 200 {ms}ms trace={n:016x}",
    "DEBUG cache hit for key session:{n:08x}",
    "INFO consumed message offset={n} partition={p}",
    "INFO pool: {p} of 20 connections in use",
    "WARN slow query took {ms}00 ms: SELECT * FROM orders WHERE id = {n}",
)


def write(root: Path, *, lean: bool = False) -> None:
    """An hour before the alert, and a baseline of twenty minutes of the day before; ``lean`` without the
    baseline, and with half the series."""
    writer = CaseWriter(root)
    labels = {"service": SERVICES[0], "namespace": "shop"}
    writer.alert("ErrorsHigh", ONSET, f"errors of {SERVICES[0]} are high", labels)
    writer.meta(NOW)
    pods = [(service, f"{service}-7d9f8b6c5-x{n}2x4") for service in SERVICES for n in range(_PODS)]
    folder = root / "kubernetes"
    folder.mkdir(parents=True)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_objects(pods))})
    (folder / "all.json").write_text(text)
    end = NOW.timestamp()
    names = tuple(_METRICS)[1::2] if lean else tuple(_METRICS)
    _measured(writer, "", pods, names, (end - _HOUR, end), 3000, 2000)
    day = end - 86_400
    if not lean:
        _measured(writer, "baseline/", pods, names, (day - _HOUR / 3, day), 1000, 700)
    writer.lines("changes.jsonl", (_change(end, number) for number in range(30)))


def _measured(
    writer: CaseWriter,
    place: str,
    pods: list[tuple[str, str]],
    names: Sequence[str],
    window: tuple[float, float],
    lines: int,
    spans: int,
) -> None:
    start, end = window
    writer.metrics(f"{place}metrics/pods", ("namespace", "pod"), _samples(pods, names, start, end))
    writer.lines(f"{place}logs/app.jsonl", _lines(pods, start, end, lines))
    writer.lines(f"{place}spans/app.jsonl", _spans(start, end, spans))


def _samples(
    pods: list[tuple[str, str]], names: Sequence[str], start: float, end: float
) -> Iterator[tuple[Any, ...]]:
    chance = Random(1)
    onset = ONSET.timestamp()
    for service, pod in pods:
        for name in names:
            level = _METRICS[name]
            for number in range(int((end - start) / _STEP)):
                at = start + _STEP * number
                value = level * chance.uniform(0.9, 1.1)
                if at >= onset and service == SERVICES[0] and name == "error_ratio":
                    value += 0.3
                if at >= onset - 120 and service == BROKEN and "memory" in name:
                    value *= 2
                yield (at, name, f"{value:.6g}", "shop", pod)


def _lines(pods: list[tuple[str, str]], start: float, end: float, count: int) -> Iterator[dict[str, Any]]:
    chance = Random(2)
    for number in range(count):
        at = start + (end - start) * number / count
        service, pod = pods[number % len(pods)]
        said = _SAID[min(5, int(chance.expovariate(0.8)))]
        if at >= ONSET.timestamp() and service == SERVICES[0] and number % 2:
            said = "ERROR upstream http://svc-b:8080/orders/{n}: connection refused after {ms} ms"
        message = said.format(n=number, u=number % 97, ms=chance.randrange(1, 90), p=number % 12)
        yield {"ts": at, "message": message, "service": service, "pod": pod, "namespace": "shop"}


def _spans(start: float, end: float, count: int) -> Iterator[dict[str, Any]]:
    chance = Random(3)
    for number in range(count):
        trace, place = divmod(number, 4)
        at = start + (end - start) * number / count
        failed = at >= ONSET.timestamp() and place <= 1 and trace % 2
        yield {
            "trace_id": f"t{trace}",
            "span_id": f"s{number}",
            "parent_id": f"s{number - 1}" if place else None,
            "service": SERVICES[place],
            "operation": f"op{place}",
            "start": at,
            "duration_ms": round(40 - 8 * place + chance.uniform(0, 3), 3),
            "status": "error" if failed else "ok",
        }


def _change(end: float, number: int) -> dict[str, Any]:
    service = SERVICES[number % len(SERVICES)]
    body = "".join(
        f" func handle{line}(w http.ResponseWriter, r *http.Request) {{\n"
        f"-\tlimit := {number + line}\n+\tlimit := {number + line + 1}\n"
        f'+\tlog.Printf("page of %d", limit)\n }}\n'
        for line in range(8)
    )
    file = f"{service}/handlers/list_{number}.go"
    return {
        "ts": end - 7200 + 200 * number,
        "kind": "commit",
        "id": f"c{number:07x}",
        "service": service,
        "title": f"{service}: larger pages for list {number}",
        "author": f"dev{number % 5}",
        "files": [file],
        "diff": f"--- a/{file}\n+++ b/{file}\n{body}",
    }


# Objects


def _objects(pods: list[tuple[str, str]]) -> Iterable[dict[str, Any]]:
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-02-01T00:00:00Z"}]
    for number in range(3):
        capacity = {"cpu": "8", "memory": "32Gi", "pods": "110"}
        status = {"conditions": ready, "capacity": capacity, "allocatable": capacity}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}"}, "status": status}
    for service in SERVICES:
        yield from _of_service(service, [pod for owner, pod in pods if owner == service])
    for number, (service, pod) in enumerate(pods):
        yield _pod(service, pod, number)
    for number, (_, pod) in enumerate(pods * 4):
        yield {
            **_object("v1", "Event", f"{pod}.{number:x}"),
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod},
            "type": "Normal",
            "reason": "Pulled",
            "message": "Container image already present on machine",
            "lastTimestamp": "2026-03-01T11:30:00Z",
        }


def _of_service(service: str, pods: list[str]) -> Iterable[dict[str, Any]]:
    labels = {"app": service, "pod-template-hash": "7d9f8b6c5"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [_container(service)]}}
    spec = {"replicas": _PODS, "selector": {"matchLabels": {"app": service}}, "template": template}
    counted = {"replicas": _PODS, "readyReplicas": 0 if service == BROKEN else _PODS}
    yield {**_object("apps/v1", "Deployment", service), "spec": spec, "status": counted}
    owner = [{"kind": "Deployment", "name": service, "controller": True}]
    replicas = _object("apps/v1", "ReplicaSet", f"{service}-7d9f8b6c5", ownerReferences=owner)
    yield {**replicas, "spec": spec, "status": counted}
    ports = [{"port": 8080, "targetPort": 8080}]
    yield {
        **_object("v1", "Service", service),
        "spec": {"selector": {"app": service}, "ports": ports, "clusterIP": "10.0.0.1"},
    }
    endpoints = [
        {
            "addresses": ["10.1.0.1"],
            "conditions": {"ready": service != BROKEN},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": "shop"},
        }
        for pod in pods
    ]
    yield {
        **_object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            f"{service}-x7k2p",
            labels={"kubernetes.io/service-name": service},
        ),
        "endpoints": endpoints,
        "ports": [{"port": 8080}],
    }
    yield {**_object("v1", "ConfigMap", f"{service}-config"), "data": {"LOG_LEVEL": "info", "PAGE": "50"}}
    yield {**_object("v1", "Secret", f"{service}-secret"), "data": {"token": ""}}


def _pod(service: str, pod: str, number: int) -> dict[str, Any]:
    status: dict[str, Any] = {
        "name": "app",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": "2026-02-20T08:00:00Z"}},
    }
    if service == BROKEN:
        ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-03-01T12:02:00Z"}
        status |= {"restartCount": 3, "ready": False, "lastState": {"terminated": ended}}
        status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    owner = [{"kind": "ReplicaSet", "name": f"{service}-7d9f8b6c5", "controller": True}]
    labels = {"app": service, "pod-template-hash": "7d9f8b6c5"}
    return {
        **_object("v1", "Pod", pod, ownerReferences=owner, labels=labels),
        "spec": {"nodeName": f"n{number % 3}", "containers": [_container(service)]},
        "status": {"phase": "Running", "podIP": f"10.1.0.{number}", "containerStatuses": [status]},
    }


def _container(service: str) -> dict[str, Any]:
    peer = SERVICES[(SERVICES.index(service) + 1) % len(SERVICES)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    return {
        "name": "app",
        "image": f"registry/{service}:1.4.2",
        "env": [{"name": "PEER", "value": f"http://{peer}:8080"}],
        "envFrom": [
            {"configMapRef": {"name": f"{service}-config"}},
            {"secretRef": {"name": f"{service}-secret"}},
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": probe,
        "resources": {
            "limits": {"memory": "128Mi", "cpu": "500m"},
            "requests": {"memory": "64Mi", "cpu": "100m"},
        },
    }


def _object(version: str, kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "shop",
            "creationTimestamp": "2026-02-01T00:00:00Z",
            **metadata,
        },
    }
