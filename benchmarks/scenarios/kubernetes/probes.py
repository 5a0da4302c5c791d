"""Probes that ask for the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc
from benchmarks.scenarios.kubernetes.shop import busy, container, shop
from benchmarks.scenarios.kubernetes.states import (
    killed_by_probe,
    probe_fails,
    pulled,
)
from benchmarks.scenarios.kubernetes.story import Story, at_deployment, at_pod, truth


def _probe(**changes: object) -> Callable[[Doc], None]:
    def edit(template: Doc) -> None:
        for which in ("livenessProbe", "readinessProbe"):
            probe = container(template)[which]
            for key, value in changes.items():
                if key in ("path", "port"):
                    probe["httpGet"][key] = value
                else:
                    probe[key] = value

    return edit


def probe_port(case: str) -> Story:
    cluster = shop(case)
    new = cluster.roll("shelf", _probe(port=8181), minutes=13)
    pod = new.pods[0]
    pod.ready, pod.restarts, pod.started = False, 7, 0.8
    pulled(cluster, pod, minutes=13)
    for which in ("Liveness", "Readiness"):
        probe_fails(
            cluster,
            pod,
            which,
            f'Get "http://{pod.ip}:8181/healthz": dial tcp {pod.ip}:8181: connect: connection refused',
        )
    killed_by_probe(cluster, pod, "liveness", count=7, first=12)
    cluster.log(pod, (0.8, "INFO shelf 3.9.0 starting"), (0.79, "INFO shelf listening on 0.0.0.0:8081"))
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeDeploymentRolloutStuck",
        summary="Rollout of deployment fenwick/shelf is not progressing",
        labels=at_deployment("shelf"),
        truth=truth("probes", ("shelf", "probe_port_mismatch")),
    )


def probe_path(case: str) -> Story:
    cluster = shop(case)
    new = cluster.roll("parcel", _probe(path="/health/ready"), minutes=12)
    pod = new.pods[0]
    pod.ready, pod.restarts, pod.started = False, 6, 1.1
    pulled(cluster, pod, minutes=12)
    for which in ("Liveness", "Readiness"):
        probe_fails(cluster, pod, which, "HTTP probe failed with statuscode: 404")
    killed_by_probe(cluster, pod, "liveness", count=6, first=11)
    cluster.log(
        pod,
        (1.1, "INFO parcel listening on 0.0.0.0:8084"),
        (1.0, "INFO GET /health/ready 404"),
        (0.9, "INFO GET /health/ready 404"),
        (0.4, "INFO GET /health/ready 404"),
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{pod.name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": pod.name},
        truth=truth("probes", ("parcel", "probe_path_wrong")),
    )


def probe_tight(case: str) -> Story:
    """The liveness probe begins after five seconds; loading the index takes a minute."""
    cluster = shop(case)
    new = cluster.roll(
        "lantern",
        _probe(initialDelaySeconds=2, periodSeconds=3, failureThreshold=2, timeoutSeconds=1),
        minutes=14,
    )
    pod = new.pods[0]
    pod.ready, pod.restarts, pod.started = False, 9, 0.1
    pulled(cluster, pod, minutes=14)
    for which in ("Liveness", "Readiness"):
        probe_fails(
            cluster,
            pod,
            which,
            f'Get "http://{pod.ip}:8085/healthz": dial tcp {pod.ip}:8085: connect: connection refused',
        )
    killed_by_probe(cluster, pod, "liveness", count=9, first=13.5)
    cluster.log(pod, (0.1, "INFO lantern loading the index, this takes about 60 s"))
    cluster.log(
        pod,
        (1.3, "INFO lantern loading the index, this takes about 60 s"),
        (1.2, "INFO lantern index 12% loaded"),
        (1.16, "INFO lantern stopping on SIGTERM"),
        previous=True,
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodCrashLooping",
        summary=f"Pod fenwick/{pod.name} restarts again and again",
        labels=at_pod(pod.name, "lantern"),
        truth=truth("probes", ("lantern", "probe_too_tight")),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-probe-port": probe_port,
    "k8s-probe-path": probe_path,
    "k8s-probe-too-tight": probe_tight,
}
