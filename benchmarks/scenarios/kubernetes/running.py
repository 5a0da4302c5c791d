"""Pods that start and then fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Cluster, Doc
from benchmarks.scenarios.kubernetes.load import complaints, memory, of_pod, requests
from benchmarks.scenarios.kubernetes.printing import terminated
from benchmarks.scenarios.kubernetes.shop import busy, container, shop
from benchmarks.scenarios.kubernetes.states import crashing, probe_fails, scheduled
from benchmarks.scenarios.kubernetes.story import Story, about, at_pod, change, truth


def _sawtooth(since: float, period: float, low: float, high: float) -> Callable[[float], float]:
    """Memory that rises to its limit and is given back by a restart, again and again (minutes, bytes)."""
    return lambda m: low if m > since else low + (high - low) * ((since - m) % period) / period


def oom(case: str) -> Story:
    """A change halves the memory limit; the pods reach it under the load of the morning."""
    cluster = shop(case)

    def edit(template: Doc) -> None:
        container(template)["resources"] = {
            "limits": {"cpu": "1", "memory": "128Mi"},
            "requests": {"cpu": "200m", "memory": "128Mi"},
        }

    new = cluster.rolled("shelf", edit, minutes=42)
    for index, pod in enumerate(new.pods):
        crashing(
            cluster,
            cluster.workloads["shelf"],
            pod,
            137,
            reason="OOMKilled",
            restarts=6,
            lasted=3.5,
            ended=1.2 + index * 0.8,
        )
        memory(cluster, pod.name, "shelf", _sawtooth(41 + index, 4.5, 74e6, 131e6), 134217728)
        cluster.log(
            pod,
            (6.0, "INFO shelf 3.9.0 starting"),
            (5.9, "INFO shelf listening on 0.0.0.0:8081"),
            previous=True,
        )
    complaints(
        cluster, "storefront", "ERROR storefront GET http://shelf:8081/titles: connection refused", since=25
    )
    busy(cluster, skip=("shelf",))
    return Story(
        cluster=cluster,
        alert="KubePodCrashLooping",
        summary=f"Pod fenwick/{new.pods[0].name} is crash looping",
        labels=at_pod(new.pods[0].name, "shelf"),
        fired=20,
        changes=[
            change(
                42,
                "1f7703bd",
                "shelf",
                "Right-size memory",
                kind="config",
                files=["deploy/shelf.yaml"],
                diff="-              memory: 256Mi\n+              memory: 128Mi\n",
            ),
            change(31, "90e2ad4c", "parcel", "New rates for May", kind="config", files=["parcel/rates.csv"]),
        ],
        truth=truth(
            "runtime",
            ("shelf", "oom_killed"),
            culprit="1f7703bd",
            tags=["change"],
            forbidden=[{"culprit_change": "90e2ad4c"}],
        ),
    )


def says_out_of_memory(case: str) -> Story:
    """The program's own OutOfMemory of a small buffer, exit code 1, memory far below the limit: a crash."""
    cluster = shop(case)
    workload = cluster.workloads["lantern"]
    for pod in workload.pods:
        crashing(cluster, workload, pod, 1, restarts=5, lasted=1.5, ended=1.0)
        memory(cluster, pod.name, "lantern", lambda _: 96e6, 268435456)
        cluster.log(
            pod,
            (2.5, "INFO lantern loading the index"),
            (1.05, "ERROR lantern OutOfMemory: the token buffer of 4096 entries is full, raise token_buffer"),
            (1.02, "FATAL lantern cannot parse document 88213: giving up"),
            previous=True,
        )
    complaints(
        cluster, "storefront", "ERROR storefront GET http://lantern:8085/find: connection refused", since=11
    )
    busy(cluster, skip=("lantern",))
    return Story(
        cluster=cluster,
        alert="KubePodCrashLooping",
        summary=f"Pod fenwick/{workload.pods[0].name} is crash looping",
        labels=at_pod(workload.pods[0].name, "lantern"),
        fired=9,
        truth=truth(
            "runtime",
            ("lantern", "process_crash"),
            tags=["red_herring"],
            forbidden=[{"fault": "oom_killed"}, {"fault": "memory_growth"}],
        ),
    )


def files(case: str) -> Story:
    cluster = shop(case)
    complaints(
        cluster,
        "till",
        "ERROR till cannot reach api.paylark.example: socket: too many open files",
        since=14,
    )
    for pod in cluster.workloads["till"].pods:
        labels = of_pod(pod.name, "till")
        cluster.series("process_open_fds", lambda m: min(1024, 40 + 22 * max(60 - m, 0)), noise=0, **labels)
        cluster.series("process_max_fds", lambda _: 1024, noise=0, **labels)
    requests(cluster, "till", lambda m: 2.0 if m > 14 else 0.4, lambda m: 0.01 if m > 14 else 1.6)
    busy(cluster, skip=("till",))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of till's requests fail",
        labels=about("till"),
        severity="critical",
        fired=12,
        truth=truth("runtime", ("till", "file_handle_exhaustion"), ("till", "fd_exhaustion")),
    )


def hanging(case: str) -> Story:
    """A pod that stands still: probes time out, no line in its log, no CPU. An event about a claim of another
    namespace is a warning too."""
    cluster = shop(case)
    pod = cluster.workloads["quill"].pods[0]
    cluster.event(
        "PersistentVolumeClaim",
        "scratch-data",
        "ProvisioningFailed",
        "storage quota of the tenant is used up",
        minutes=2,
        first=600,
        count=120,
        component="persistentvolume-controller",
        namespace="sandbox",
    )
    for which in ("Readiness", "Liveness"):
        probe_fails(
            cluster,
            pod,
            which,
            f'Get "http://{pod.ip}:8082/healthz": context deadline exceeded (Client.Timeout exceeded while '
            "awaiting headers)",
            count=40 if which == "Readiness" else 2,
            first=9,
        )
    busy(cluster)
    name = f"{NAMESPACE}/{pod.name}"
    cluster.logs[name] = [line for line in cluster.logs[name] if line[0] > 9.4]
    kept: list[tuple[float, str, float, Mapping[str, str]]] = []
    for row in cluster.rows:
        if row[3].get("pod") == pod.name and row[0] > kept_until(cluster, 9.5):
            if row[1] == "container_cpu_usage_seconds_total" or row[1] == "http_requests_total":
                frozen = next(one[2] for one in reversed(kept) if one[1] == row[1] and one[3] == row[3])
                row = (row[0], row[1], frozen, row[3])
            elif row[1] == "http_request_duration_seconds_avg":
                continue
        kept.append(row)
    cluster.rows[:] = kept
    pod.ready, pod.ready_since = False, 8.6
    container(pod.template)["livenessProbe"]["failureThreshold"] = 60
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{pod.name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": pod.name},
        fired=7,
        truth=truth(
            "runtime", ("quill", "process_hang"), tags=["red_herring"], forbidden=[{"fault": "pvc_unbound"}]
        ),
    )


def kept_until(cluster: Cluster, minutes: float) -> float:
    """The epoch seconds of so many minutes before the last sample."""
    return max(row[0] for row in cluster.rows) - minutes * 60


def two_faults(case: str) -> Story:
    """Two at once: shelf is killed at its limit, a new parcel cannot have its image. The alert is shelf's."""
    cluster = shop(case)
    workload = cluster.workloads["shelf"]
    for index, pod in enumerate(workload.pods):
        crashing(cluster, workload, pod, 137, reason="OOMKilled", restarts=4, lasted=2.5, ended=0.9 + index)
        pod.last = terminated(cluster, pod, 137, "OOMKilled", started=3.4 + index, finished=0.9 + index)
        memory(cluster, pod.name, "shelf", _sawtooth(14 + index, 3.2, 150e6, 265e6), 268435456)
    new = cluster.roll(
        "parcel", lambda t: container(t).update(image="registry.fenwick.exmaple/parcel:1.7.0"), minutes=15
    )
    pod = new.pods[0]
    scheduled(cluster, pod, minutes=15)
    pod.ready, pod.phase = False, "Pending"
    image = container(new.template)["image"]
    pod.waiting = ("ImagePullBackOff", f'Back-off pulling image "{image}"')
    for reason, text in (
        (
            "Failed",
            f'Failed to pull image "{image}": rpc error: code = Unknown desc = failed to pull '
            "and unpack image "
            f'"{image}": failed to resolve reference "{image}": failed to do request: Head '
            '"https://registry.fenwick.exmaple/v2/parcel/manifests/1.7.0": dial tcp: '
            "lookup registry.fenwick.exmaple: "
            "no such host",
        ),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", f'Back-off pulling image "{image}"'),
    ):
        cluster.event(
            "Pod",
            pod.name,
            reason,
            text,
            minutes=1,
            first=14.5,
            count=6,
            normal=reason == "BackOff",
            host=pod.node,
            path="spec.containers{parcel}",
        )
    complaints(
        cluster, "storefront", "ERROR storefront GET http://shelf:8081/titles: connection refused", since=12
    )
    busy(cluster, skip=("shelf",))
    return Story(
        cluster=cluster,
        alert="KubePodCrashLooping",
        summary=f"Pod fenwick/{workload.pods[0].name} is crash looping",
        labels=at_pod(workload.pods[0].name, "shelf"),
        fired=10,
        truth=truth(
            "runtime", ("shelf", "oom_killed"), tags=["two_faults"], forbidden=[{"object": "parcel"}]
        ),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-runtime-oom": oom,
    "k8s-runtime-says-out-of-memory": says_out_of_memory,
    "k8s-runtime-files": files,
    "k8s-runtime-hanging": hanging,
    "k8s-runtime-two-faults": two_faults,
}
