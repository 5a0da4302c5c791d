"""A whole investigation of a 50-pod snapshot, and twenty at once in one event loop.

    python -m benchmarks.investigation [--concurrent 20]

CPU is this process's own (user and system, all threads); the baseline is reading and parsing the same files.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.convert.writing import CaseWriter
from bot.app.replay import replay
from bot.domain.diagnosis import Hypothesis

_NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
_ONSET = _NOW - timedelta(minutes=5)
_SERVICES = tuple(f"svc-{letter}" for letter in "abcdefghij")
_PODS = 5
"""Of each service."""


def write(root: Path) -> None:
    """Ten services of five pods on three nodes; the pods of one are killed for their memory."""
    writer = CaseWriter(root)
    labels = {"service": _SERVICES[0], "namespace": "shop"}
    writer.alert("ErrorsHigh", _ONSET, f"errors of {_SERVICES[0]} are high", labels)
    writer.meta(_NOW)
    pods = [(service, f"{service}-7d9f8b6c5-x{n}2x4") for service in _SERVICES for n in range(_PODS)]
    items = [_node(n) for n in range(3)]
    items += [_workload(service) for service in _SERVICES] + [_service(service) for service in _SERVICES]
    items += [_pod(service, pod, n) for n, (service, pod) in enumerate(pods)]
    items += [_event(pod, n) for n, (_, pod) in enumerate(pods * 4)]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    (root / "kubernetes").mkdir(parents=True)
    (root / "kubernetes" / "all.json").write_text(text)
    start = (_ONSET - timedelta(minutes=55)).timestamp()
    names = (
        "container_cpu_cores",
        "container_memory_bytes",
        "request_latency_p99",
        "error_ratio",
        "requests",
    )
    writer.metrics(
        "metrics/pods",
        ("namespace", "pod"),
        (
            (start + 15 * i, name, 1 + (i * 7 + n) % 5 / 100, "shop", pod)
            for n, (_, pod) in enumerate(pods)
            for name in names
            for i in range(240)
        ),
    )
    writer.lines(
        "logs/app.jsonl",
        (
            {
                "ts": start + i,
                "message": f"INFO request {i} of user {i % 97} took {i % 13} ms",
                "service": pods[i % 50][0],
                "pod": pods[i % 50][1],
            }
            for i in range(3000)
        ),
    )
    writer.lines("spans/app.jsonl", (_span(start, i) for i in range(2000)))
    writer.lines(
        "changes.jsonl",
        (
            {
                "ts": start + 60 * i,
                "kind": "commit",
                "id": f"c{i}",
                "service": _SERVICES[i % 10],
                "files": [f"{_SERVICES[i % 10]}/main.go"],
                "diff": f"-\tlimit := {i}\n+\tlimit := {i + 1}\n",
            }
            for i in range(30)
        ),
    )


def _node(number: int) -> dict[str, Any]:
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-02-01T00:00:00Z"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"n{number}"},
        "status": {"conditions": ready},
    }


def _workload(service: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": service}}, "spec": {"containers": [_container(service)]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service, "namespace": "shop"},
        "spec": {"replicas": _PODS, "selector": {"matchLabels": {"app": service}}, "template": template},
        "status": {"replicas": _PODS, "readyReplicas": _PODS},
    }


def _container(service: str) -> dict[str, Any]:
    peer = _SERVICES[(_SERVICES.index(service) + 1) % len(_SERVICES)]
    return {
        "name": "app",
        "image": f"registry/{service}:1",
        "env": [{"name": "PEER", "value": f"http://{peer}:8080"}],
        "ports": [{"containerPort": 8080}],
        "resources": {"limits": {"memory": "128Mi"}},
    }


def _service(service: str) -> dict[str, Any]:
    ports = [{"port": 8080, "targetPort": 8080}]
    spec = {"selector": {"app": service}, "ports": ports, "clusterIP": "10.0.0.1"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": "shop"},
        "spec": spec,
    }


def _pod(service: str, pod: str, number: int) -> dict[str, Any]:
    status: dict[str, Any] = {"name": "app", "ready": True, "restartCount": 0, "state": {"running": {}}}
    if service == _SERVICES[1]:
        ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-03-01T12:02:00Z"}
        status |= {"restartCount": 3, "ready": False, "lastState": {"terminated": ended}}
        status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    owner = {"kind": "ReplicaSet", "name": f"{service}-7d9f8b6c5", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod,
            "namespace": "shop",
            "labels": {"app": service},
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": f"n{number % 3}", "containers": [_container(service)]},
        "status": {"phase": "Running", "podIP": f"10.1.0.{number}", "containerStatuses": [status]},
    }


def _event(pod: str, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod}.{number}", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod},
        "type": "Normal",
        "reason": "Pulled",
        "message": "Container image already present on machine",
        "lastTimestamp": "2026-03-01T11:30:00Z",
    }


def _span(start: float, number: int) -> dict[str, Any]:
    trace, place = divmod(number, 4)
    return {
        "trace_id": f"t{trace}",
        "span_id": f"s{number}",
        "parent_id": f"s{number - 1}" if place else None,
        "service": _SERVICES[place],
        "operation": f"op{place}",
        "start": start + trace * 7 + place / 100,
        "duration_ms": 40 - 8 * place + number % 3,
    }


def parse(root: Path) -> None:
    """What reading the files costs by itself, with the parsers of the standard library."""
    for path in sorted(root.rglob("*")):
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)
        elif path.suffix == ".csv":
            for row in csv.reader(io.StringIO(path.read_text())):
                float(row[2]) if row[2] != "value" else None


def _cpu(times: int, work: Any) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


async def _found(root: Path) -> Hypothesis:
    _, answer = await replay(root)
    return answer.diagnosis.hypotheses[0]


async def _many(root: Path, count: int) -> tuple[float, float, float]:
    """(wall seconds, greatest and 99th percentile lag of the loop in ms)."""
    lags: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append((time.perf_counter() - began - 0.001) * 1000)

    ticking = asyncio.ensure_future(tick())
    began = time.perf_counter()
    await asyncio.gather(*(replay(root) for _ in range(count)))
    wall = time.perf_counter() - began
    ticking.cancel()
    lags.sort()
    return wall, lags[-1], lags[int(0.99 * len(lags))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrent", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "case"
        write(root)
        top = asyncio.run(_found(root))
        whole = _cpu(5, lambda: asyncio.run(_found(root)))
        bare = _cpu(5, lambda: parse(root))
        print(f"found: {top.fault} at {top.object}")
        print(f"one investigation of 50 pods: {1000 * whole:.0f} ms CPU ({whole / bare:.1f} x parsing alone)")
        for label in ("first", "again"):
            wall, worst, p99 = asyncio.run(_many(root, arguments.concurrent))
            print(
                f"{arguments.concurrent} at once, {label}: {wall:.2f} s; "
                f"loop lag p99 {p99:.1f} ms, greatest {worst:.0f} ms"
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
