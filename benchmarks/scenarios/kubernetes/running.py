"""Pods that start and then fail, the way to them, and what they have to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Cluster, Doc, ago
from benchmarks.scenarios.kubernetes.printing import terminated
from benchmarks.scenarios.kubernetes.shop import busy, container, plain, shop
from benchmarks.scenarios.kubernetes.states import crashing, probe_fails, pulled
from benchmarks.scenarios.kubernetes.story import Story, about, at_pod, change, truth


def _labels(pod: str, service: str) -> dict[str, str]:
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
    step: float = 30.0,
) -> None:
    """A service's requests by minutes before now: good and bad ones a second and pod, and how long they take."""
    for pod in cluster.workloads[name].pods:
        labels = _labels(pod.name, name)
        cluster.counter("http_requests_total", good, hours=hours, step=step, code="200", **labels)
        cluster.counter("http_requests_total", bad, hours=hours, step=step, code="500", start=20, **labels)
        cluster.series(
            "http_request_duration_seconds_avg", seconds, hours=hours, step=step, noise=noise, **labels
        )


def complaints(cluster: Cluster, name: str, text: str, *, since: float) -> None:
    """The same line every minute and a half from every pod of a service."""
    for pod in cluster.workloads[name].pods:
        lines = []
        at = since
        while at > 0.2:
            lines.append((at, text))
            at -= 1.3 + cluster.random.random() / 2
        cluster.log(pod, *lines)


def memory(cluster: Cluster, pod: str, name: str, value: Callable[[float], float], limit: float) -> None:
    labels = {"container": name, **_labels(pod, name)}
    cluster.series("container_memory_working_set_bytes", value, noise=0.01, **labels)
    cluster.series(
        "kube_pod_container_resource_limits",
        lambda _: limit,
        noise=0,
        resource="memory",
        unit="byte",
        **labels,
    )


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
        memory(
            cluster, pod.name, "shelf", lambda m, i=index: 74e6 + 57e6 * ((41 - m + i) % 4.5) / 4.5, 134217728
        )  # type: ignore[misc]
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
    """The program's own OutOfMemory of a small buffer, exit code 1, and memory far below the limit: a crash."""
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
        labels = _labels(pod.name, "till")
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


def service_selector(case: str) -> Story:
    """The Service's selector got a label that no pod has; a pod of another team crashes all the while."""
    cluster = shop(case)
    for one in cluster.extra:
        if one["kind"] == "Service" and one["metadata"]["name"] == "parcel":
            one["spec"]["selector"] = {"app": "parcel", "tier": "backend"}
    other = cluster.workload(
        "scratch", _other_template(), namespace="sandbox", replicas=1, nodes=["pool-b-1"], days=3
    )
    crashing(cluster, other, other.pods[0], 139, restarts=61, ended=2)
    cluster.log(f"sandbox/{other.pods[0].name}", (2.1, "Segmentation fault (core dumped)"), previous=True)
    complaints(
        cluster,
        "quill",
        "ERROR quill cannot ship: Post http://parcel:8084/ship: dial tcp 10.43.21.9:8084: connect: connection refused",
        since=17,
    )
    requests(cluster, "quill", lambda m: 4.4 if m > 17 else 2.4, lambda m: 0.01 if m > 17 else 2.1)
    busy(cluster, skip=("quill", "parcel"))
    requests(cluster, "parcel", lambda m: 1.5 if m > 17 else 0.0, lambda _: 0.0)
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of quill's requests fail",
        labels=about("quill"),
        severity="critical",
        fired=15,
        truth=truth(
            "service_path",
            ("parcel", "service_selector_mismatch"),
            tags=["red_herring"],
            forbidden=[{"fault": "process_crash"}],
        ),
    )


def _other_template() -> Doc:
    return {
        "metadata": {"labels": {"app": "scratch"}},
        "spec": {
            "containers": [
                {
                    "image": "registry.fenwick.example/scratch:dev",
                    "name": "scratch",
                    "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "64Mi"}},
                }
            ],
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "serviceAccountName": "default",
        },
    }


def target_port(case: str) -> Story:
    cluster = shop(case)
    for one in cluster.extra:
        if one["kind"] == "Service" and one["metadata"]["name"] == "shelf":
            one["spec"]["ports"][0]["targetPort"] = 8181
            address = one["spec"]["clusterIP"]
    for pod in cluster.workloads["shelf"].pods:
        cluster.log(pod, (38.0, "INFO shelf listening on 0.0.0.0:8081"))
    for name in ("storefront", "lantern"):
        complaints(
            cluster,
            name,
            f"ERROR {name} GET http://shelf:8081/titles: dial tcp {address}:8081: connect: connection refused",
            since=12,
        )
    requests(cluster, "storefront", lambda m: 6.0 if m > 12 else 2.0, lambda m: 0.02 if m > 12 else 4.0)
    busy(cluster, skip=("storefront", "shelf"))
    requests(cluster, "shelf", lambda m: 12.0 if m > 12 else 0.0, lambda _: 0.0)
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of storefront's requests fail",
        labels=about("storefront"),
        severity="critical",
        fired=10,
        truth=truth("service_path", ("shelf", "service_target_port_mismatch")),
    )


def policy(case: str) -> Story:
    """A new policy lets only the storefront reach the till; it was quill that called it."""
    cluster = shop(case)
    made = plain(
        cluster,
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "till-callers",
        spec={
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": "storefront"}}}],
                    "ports": [{"port": 8083, "protocol": "TCP"}],
                }
            ],
            "podSelector": {"matchLabels": {"app": "till"}},
            "policyTypes": ["Ingress"],
        },
    )
    made["metadata"]["creationTimestamp"] = ago(19)
    complaints(
        cluster,
        "quill",
        "ERROR quill cannot charge: Post http://till:8083/charge: dial tcp: i/o timeout",
        since=18.5,
    )
    requests(
        cluster,
        "quill",
        lambda m: 4.4 if m > 19 else 1.0,
        lambda m: 0.01 if m > 19 else 1.9,
        lambda m: 0.05 if m > 19 else 3.2,
    )
    busy(cluster, skip=("quill", "till"))
    requests(cluster, "till", lambda m: 2.0 if m > 19 else 0.0, lambda _: 0.0)
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of quill's requests fail",
        labels=about("quill"),
        severity="critical",
        fired=16,
        changes=[
            change(
                19,
                "c41d09f8",
                "till",
                "Only the shop's own may call the till",
                kind="config",
                files=["policies/till-callers.yaml"],
                diff="+  podSelector: {matchLabels: {app: till}}\n",
            )
        ],
        truth=truth("service_path", ("till", "network_policy_blocked"), culprit="c41d09f8", tags=["change"]),
    )


def ingress(case: str) -> Story:
    cluster = shop(case)
    for one in cluster.extra:
        if one["kind"] == "Ingress":
            backend = one["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
            backend["name"] = "store-front"
            cluster.event(
                "Ingress",
                "storefront",
                "Sync",
                "Scheduled for sync",
                minutes=9,
                normal=True,
                component="nginx-ingress-controller",
            )
    busy(cluster, skip=("storefront",))
    requests(cluster, "storefront", lambda m: 6.0 if m > 9 else 0.0, lambda _: 0.0)
    cluster.counter(
        "nginx_ingress_controller_requests",
        lambda m: 18.0 if m > 9 else 0.0,
        status="200",
        ingress="storefront",
        namespace=NAMESPACE,
    )
    cluster.counter(
        "nginx_ingress_controller_requests",
        lambda m: 0.0 if m > 9 else 18.0,
        status="503",
        ingress="storefront",
        namespace=NAMESPACE,
        start=3,
    )
    return Story(
        cluster=cluster,
        alert="IngressServerErrors",
        summary="www.fenwick.example answers 503",
        labels={"namespace": NAMESPACE, "ingress": "storefront", "service": "storefront"},
        severity="critical",
        fired=7,
        truth=truth(
            "service_path",
            ("storefront", "ingress_misroute", ""),
        ),
    )


def throttled(case: str) -> Story:
    """Its CPU limit is a tenth of what it needs since the last change; old scary lines are in its log."""
    cluster = shop(case)

    def edit(template: Doc) -> None:
        container(template)["resources"]["limits"]["cpu"] = "100m"
        container(template)["resources"]["requests"]["cpu"] = "100m"

    new = cluster.rolled("lantern", edit, minutes=26)
    for pod in new.pods:
        labels = {"container": "lantern", **_labels(pod.name, "lantern")}
        cluster.counter("container_cpu_cfs_periods_total", lambda _: 10.0, hours=0.43, noise=0, **labels)
        cluster.counter("container_cpu_cfs_throttled_periods_total", lambda _: 8.7, hours=0.43, **labels)
        cluster.counter("container_cpu_usage_seconds_total", lambda _: 0.098, hours=0.43, **labels)
        cluster.series(
            "kube_pod_container_resource_limits",
            lambda _: 0.1,
            hours=0.43,
            noise=0,
            resource="cpu",
            unit="core",
            **labels,
        )
        cluster.series(
            "http_request_duration_seconds_avg",
            lambda _: 1.9,
            hours=0.43,
            noise=0.2,
            **_labels(pod.name, "lantern"),
        )
        cluster.log(
            pod,
            (25.9, "INFO lantern listening on 0.0.0.0:8085"),
            *((at, "WARN lantern slow search: 1900 ms") for at in (20.0, 16.0, 12.5, 9.0, 5.0, 2.0)),
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
            **_labels(pod.name, "storefront"),
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
    old = list(workload.pods)
    workload.replicas = workload.revisions[0].replicas = 0
    workload.revisions[0].pods.clear()
    cluster.event(
        "Deployment",
        "quill",
        "ScalingReplicaSet",
        f"Scaled down replica set quill-{workload.revisions[0].hash} to 0 from 2",
        minutes=23,
        normal=True,
        component="deployment-controller",
    )
    for pod in old:
        cluster.event(
            "Pod", pod.name, "Killing", "Stopping container quill", minutes=23, normal=True, host=pod.node
        )
        labels = _labels(pod.name, "quill")
        cluster.rows += [
            row for row in _until(cluster, "http_requests_total", 4.5, 23, {"code": "200", **labels})
        ]
    complaints(
        cluster,
        "storefront",
        "ERROR storefront POST http://quill:8082/orders: dial tcp 10.43.60.2:8082: connect: connection refused",
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


def _until(
    cluster: Cluster, metric: str, rate: float, minutes: float, labels: dict[str, str]
) -> list[tuple[float, str, float, Mapping[str, str]]]:
    """A counter that ends ``minutes`` ago, with its pod."""
    before = len(cluster.rows)
    cluster.counter(metric, lambda _: rate, **labels)
    made = cluster.rows[before:]
    del cluster.rows[before:]
    last = made[-1][0] - minutes * 60
    return [row for row in made if row[0] <= last]


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
    kept = []
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
    """Two at once: shelf is killed at its limit, and a new parcel cannot have its image. The alert is shelf's."""
    cluster = shop(case)
    workload = cluster.workloads["shelf"]
    for index, pod in enumerate(workload.pods):
        crashing(cluster, workload, pod, 137, reason="OOMKilled", restarts=4, lasted=2.5, ended=0.9 + index)
        pod.last = terminated(cluster, pod, 137, "OOMKilled", started=3.4 + index, finished=0.9 + index)
        memory(
            cluster,
            pod.name,
            "shelf",
            lambda m, i=index: 130e6 if m > 14 else 150e6 + 115e6 * ((14 - m + i) % 3.2) / 3.2,
            268435456,
        )  # type: ignore[misc]
    new = cluster.roll(
        "parcel", lambda t: container(t).update(image="registry.fenwick.exmaple/parcel:1.7.0"), minutes=15
    )
    pod = new.pods[0]
    pulled(cluster, pod, minutes=15)
    del cluster.events[-1]
    pod.ready, pod.phase = False, "Pending"
    image = container(new.template)["image"]
    pod.waiting = ("ImagePullBackOff", f'Back-off pulling image "{image}"')
    for reason, text in (
        (
            "Failed",
            f'Failed to pull image "{image}": rpc error: code = Unknown desc = failed to pull and unpack image '
            f'"{image}": failed to resolve reference "{image}": failed to do request: Head '
            '"https://registry.fenwick.exmaple/v2/parcel/manifests/1.7.0": dial tcp: lookup registry.fenwick.exmaple: '
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
    "k8s-path-selector": service_selector,
    "k8s-path-target-port": target_port,
    "k8s-path-policy": policy,
    "k8s-path-ingress": ingress,
    "k8s-performance-throttled": throttled,
    "k8s-performance-autoscaler": autoscaler,
    "k8s-performance-scaled-down": scaled_down,
}
