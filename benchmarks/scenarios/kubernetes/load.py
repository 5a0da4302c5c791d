"""What a service measures and says, when a case tells it itself."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Cluster, Doc


def of_pod(pod: str, service: str) -> Doc:
    """The labels of a pod's series."""
    return {"namespace": NAMESPACE, "pod": pod, "service": service}


def requests(
    cluster: Cluster,
    name: str,
    good: Callable[[float], float],
    bad: Callable[[float], float],
    seconds: Callable[[float], float] = lambda _: 0.05,
    *,
    noise: float = 0.2,
    hours: float = 1.0,
    step: float = 60.0,
) -> None:
    """A service's requests by minutes before now: good and bad ones a second and pod, and their time."""
    workload = cluster.workloads[name]
    for pod in [*workload.pods, *workload.retired]:
        labels: Doc = {"namespace": NAMESPACE, "pod": pod.name, "service": name, "step": step}
        labels |= {"hours": min(hours, pod.created / 60), "until": pod.until}
        fresh = pod.created < 60
        cluster.counter("http_requests_total", good, code="200", start=0 if fresh else 1000, **labels)
        cluster.counter("http_requests_total", bad, code="500", start=0 if fresh else 20, **labels)
        cluster.series("http_request_duration_seconds_avg", seconds, noise=noise, **labels)


def always(value: float) -> Callable[[float], float]:
    return lambda _: value


def complaints(cluster: Cluster, name: str, text: str, *, since: float) -> None:
    """The same line every minute and a half from every pod of a service."""
    for pod in cluster.workloads[name].pods:
        lines = []
        at = since
        while at > 0.2:
            lines.append((at, text.replace("POD_IP", pod.ip)))
            at -= 1.3 + cluster.random.random() / 2
        cluster.log(pod, *lines)


def memory(cluster: Cluster, pod: str, name: str, value: Callable[[float], float], limit: float) -> None:
    """A container's memory by minutes before now, and its limit, in bytes."""
    labels: Doc = {"container": name, **of_pod(pod, name)}
    cluster.series("container_memory_working_set_bytes", value, noise=0.01, **labels)
    cluster.series(
        "kube_pod_container_resource_limits",
        lambda _: limit,
        noise=0,
        resource="memory",
        unit="byte",
        **labels,
    )
