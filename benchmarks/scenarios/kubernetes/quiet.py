"""Clusters in which nothing is wrong, whatever was alerted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc
from benchmarks.scenarios.kubernetes.load import requests
from benchmarks.scenarios.kubernetes.shop import busy, container, shop
from benchmarks.scenarios.kubernetes.states import probe_fails, pulled
from benchmarks.scenarios.kubernetes.story import Story, about, at_deployment, change
from benchmarks.scenarios.truth import Truth


def _healthy(*tags: str, culprit: str | None = None) -> Truth:
    return Truth(healthy=True, culprit=culprit, tags=("kubernetes", "healthy", *tags))


def rollout_done(case: str) -> Story:
    """A rollout took a little longer than the alert allows, and is through: all replicas are ready."""
    cluster = shop(case)
    new = cluster.rolled(
        "quill", lambda t: container(t).update(image="registry.fenwick.example/quill:2.8.0"), minutes=13
    )
    for pod in new.pods:
        pod.ready_since = 12
        pulled(cluster, pod, minutes=13)
        probe_fails(
            cluster,
            pod,
            "Readiness",
            f'Get "http://{pod.ip}:8082/healthz": dial tcp {pod.ip}:8082: connect: connection refused',
            count=2,
            first=12.9,
        )
        cluster.events[-1] |= {"lastTimestamp": cluster.events[-1]["firstTimestamp"]}
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeDeploymentReplicasMismatch",
        summary="Deployment fenwick/quill has not matched the expected number of replicas",
        labels=at_deployment("quill"),
        fired=12.5,
        ended=11,
        changes=[
            change(
                13,
                "5cd7a0e8",
                "quill",
                "Release 2.8.0",
                version="2.8.0",
                files=["quill/mail.py"],
                diff='-SUBJECT = "Your order"\n+SUBJECT = "Your books"\n',
            )
        ],
        truth=_healthy("red_herring"),
    )


def nightly_batch(case: str) -> Story:
    """Lantern rebuilds its index every morning at this hour: two days show the same load, nobody waits."""
    cluster = shop(case)

    def load(minutes: float) -> float:
        hour = (9.5 - minutes / 60) % 24
        return 0.78 if 9.0 <= hour < 10.0 else 0.15 + 0.03 * math.sin(hour)

    for pod in cluster.workloads["lantern"].pods:
        labels: Doc = {"container": "lantern", "namespace": NAMESPACE, "pod": pod.name, "service": "lantern"}
        cluster.counter("container_cpu_usage_seconds_total", load, hours=50, step=120, noise=0.03, **labels)
        cluster.log(
            pod, (30.0, "INFO lantern nightly index rebuild started"), (1.0, "INFO lantern index 52% rebuilt")
        )
    requests(cluster, "lantern", lambda _: 6.0, lambda _: 0.01)
    busy(cluster, skip=("lantern",))
    return Story(
        cluster=cluster,
        alert="CpuHigh",
        summary="lantern uses more than 70% of a core",
        labels=about("lantern"),
        fired=22,
        truth=_healthy(),
    )


def readiness_blip(case: str) -> Story:
    """One pod was not ready for half a minute while a node was busy; the alert came and went twice."""
    cluster = shop(case)
    pod = cluster.workloads["parcel"].pods[1]
    pod.ready_since = 17
    probe_fails(
        cluster,
        pod,
        "Readiness",
        f'Get "http://{pod.ip}:8084/healthz": context deadline exceeded '
        "(Client.Timeout exceeded while awaiting headers)",
        count=3,
        first=18,
    )
    stamp = cluster.events[-1]["firstTimestamp"]
    cluster.events[-1] |= {"lastTimestamp": stamp}
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{pod.name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": pod.name},
        fired=17.5,
        ended=16,
        truth=_healthy("flapping"),
    )


def harmless_deploy(case: str) -> Story:
    """The alert's limit is below what is usual for it, before and after a harmless release."""
    cluster = shop(case)
    cluster.rolled(
        "shelf", lambda t: container(t).update(image="registry.fenwick.example/shelf:3.9.1"), minutes=95
    )
    requests(cluster, "shelf", lambda _: 12.0, lambda _: 0.02, lambda _: 0.21, noise=0.1, hours=30, step=300)
    busy(cluster, skip=("shelf",))
    return Story(
        cluster=cluster,
        alert="LatencyAboveTarget",
        summary="shelf answers in more than 200 ms",
        labels=about("shelf"),
        severity="info",
        fired=55,
        changes=[
            change(
                95,
                "a4f06d19",
                "shelf",
                "Release 3.9.1",
                version="3.9.1",
                files=["shelf/README.md"],
                diff="-Shelf keeps titles.\n+Shelf keeps titles and series.\n",
            )
        ],
        truth=_healthy("red_herring", culprit="none"),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "healthy-k8s-rollout-done": rollout_done,
    "healthy-k8s-nightly-batch": nightly_batch,
    "healthy-k8s-readiness-blip": readiness_blip,
    "healthy-k8s-harmless-deploy": harmless_deploy,
}
