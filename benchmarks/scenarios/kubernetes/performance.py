"""Too little to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import Doc, ago
from benchmarks.scenarios.kubernetes.load import always, complaints, of_pod, requests
from benchmarks.scenarios.kubernetes.shop import busy, container, plain, shop
from benchmarks.scenarios.kubernetes.story import Story, about, change, truth


def throttled(case: str) -> Story:
    """Since the last change its CPU limit is a third of what it needs."""
    cluster = shop(case)

    def edit(template: Doc) -> None:
        container(template)["resources"]["limits"]["cpu"] = "100m"
        container(template)["resources"]["requests"]["cpu"] = "100m"

    new = cluster.rolled("lantern", edit, minutes=26)
    for pod in [*new.pods, *cluster.workloads["lantern"].retired]:
        old = pod not in new.pods
        labels: Doc = {"container": "lantern", **of_pod(pod.name, "lantern")}
        labels |= {"hours": min(1.0, pod.created / 60), "until": pod.until}
        held, used, limit = (0.1, 0.31, 1.0) if old else (8.7, 0.098, 0.1)
        cluster.counter("container_cpu_cfs_periods_total", lambda _: 10.0, noise=0, **labels)
        cluster.counter("container_cpu_cfs_throttled_periods_total", always(held), **labels)
        cluster.counter("container_cpu_usage_seconds_total", always(used), **labels)
        more = {"resource": "cpu", "unit": "core", "noise": 0, **labels}
        cluster.series("kube_pod_container_resource_limits", always(limit), **more)
    for pod in new.pods:
        cluster.log(
            pod,
            (25.9, "INFO lantern listening on 0.0.0.0:8085"),
            *((at, "WARN lantern slow search: 1900 ms") for at in (20.0, 16.0, 12.5, 9.0, 5.0, 2.0)),
        )
    requests(
        cluster,
        "lantern",
        lambda m: 5.8 if m > 24.5 else 3.1,
        lambda _: 0.01,
        lambda m: 0.05 if m > 24.5 else 1.9,
    )
    busy(cluster, skip=("lantern",))
    return Story(
        cluster=cluster,
        alert="HighLatency",
        summary="lantern answers in more than a second",
        labels=about("lantern"),
        fired=20,
        changes=[
            change(
                26,
                "7b6e12aa",
                "lantern",
                "Save on processors",
                kind="config",
                files=["deploy/lantern.yaml"],
                diff='-              cpu: "1"\n+              cpu: 100m\n',
            )
        ],
        truth=truth("performance", ("lantern", "cpu_throttling"), culprit="7b6e12aa", tags=["change"]),
    )


def autoscaler(case: str) -> Story:
    """Four times the visitors, and the autoscaler is at its maximum."""
    cluster = shop(case)
    plain(
        cluster,
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "storefront",
        spec={
            "maxReplicas": 3,
            "metrics": [
                {
                    "resource": {"name": "cpu", "target": {"averageUtilization": 70, "type": "Utilization"}},
                    "type": "Resource",
                }
            ],
            "minReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "storefront"},
        },
        status={
            "conditions": [
                {
                    "lastTransitionTime": ago(60 * 24 * 20),
                    "message": "recommended size matches current size",
                    "reason": "ReadyForNewScale",
                    "status": "True",
                    "type": "AbleToScale",
                },
                {
                    "lastTransitionTime": ago(60 * 24 * 20),
                    "message": "the HPA was able to successfully calculate a replica count from cpu resource "
                    "utilization (percentage of request)",
                    "reason": "ValidMetricFound",
                    "status": "True",
                    "type": "ScalingActive",
                },
                {
                    "lastTransitionTime": ago(22),
                    "message": "the desired replica count is more than the maximum replica count",
                    "reason": "TooManyReplicas",
                    "status": "True",
                    "type": "ScalingLimited",
                },
            ],
            "currentMetrics": [
                {
                    "resource": {
                        "current": {"averageUtilization": 412, "averageValue": "824m"},
                        "name": "cpu",
                    },
                    "type": "Resource",
                }
            ],
            "currentReplicas": 3,
            "desiredReplicas": 3,
        },
    )
    requests(
        cluster,
        "storefront",
        lambda m: 6.0 if m > 24 else 23.0,
        lambda m: 0.02 if m > 24 else 0.4,
        lambda m: 0.06 if m > 24 else 1.4,
    )
    for pod in cluster.workloads["storefront"].pods:
        cluster.counter(
            "container_cpu_usage_seconds_total",
            lambda m: 0.2 if m > 24 else 0.82,
            container="storefront",
            **of_pod(pod.name, "storefront"),
        )
    busy(cluster, skip=("storefront",))
    return Story(
        cluster=cluster,
        alert="HighLatency",
        summary="storefront answers in more than a second",
        labels=about("storefront"),
        fired=19,
        truth=truth("performance", ("storefront", "autoscaler_limit"), ("storefront", "traffic_surge")),
    )


def scaled_down(case: str) -> Story:
    """Somebody scaled quill to nothing for the night and forgot; the storefront's orders fail."""
    cluster = shop(case)
    workload = cluster.workloads["quill"]
    workload.replicas = 0
    cluster.retire(workload, workload.revisions[0], minutes=23)
    for pod in workload.retired:
        cluster.event(
            "Pod", pod.name, "Killing", "Stopping container quill", minutes=23, normal=True, host=pod.node
        )
    requests(cluster, "quill", lambda _: 4.5, lambda _: 0.01)
    complaints(
        cluster,
        "storefront",
        "ERROR storefront POST http://quill:8082/orders: dial tcp "
        f"{cluster.service_ip('quill')}:8082: connect: connection refused",
        since=22,
    )
    requests(cluster, "storefront", lambda m: 6.0 if m > 23 else 3.6, lambda m: 0.02 if m > 23 else 2.4)
    busy(cluster, skip=("storefront", "quill"))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of storefront's requests fail",
        labels=about("storefront"),
        severity="critical",
        fired=21,
        changes=[
            change(
                75, "2a9d3371", "storefront", "Larger covers", files=["storefront/cover.css"], version="5.2.1"
            ),
            change(
                23,
                "scale-5514",
                "quill",
                "Scale quill to 0 for maintenance",
                kind="scale",
                **{"from": "2", "to": "0"},
            ),
        ],
        truth=truth("performance", ("quill", "replica_shortage"), culprit="scale-5514", tags=["change"]),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-performance-throttled": throttled,
    "k8s-performance-autoscaler": autoscaler,
    "k8s-performance-scaled-down": scaled_down,
}
