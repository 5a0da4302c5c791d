"""The way from the caller to the pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc, ago
from benchmarks.scenarios.kubernetes.load import complaints, requests
from benchmarks.scenarios.kubernetes.shop import busy, plain, shop
from benchmarks.scenarios.kubernetes.states import crashing
from benchmarks.scenarios.kubernetes.story import Story, about, change, truth


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
        "ERROR quill cannot ship: Post http://parcel:8084/ship: dial tcp "
        f"{cluster.service_ip('parcel')}:8084: connect: connection refused",
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
    for pod in cluster.workloads["shelf"].pods:
        cluster.log(pod, (38.0, "INFO shelf listening on 0.0.0.0:8081"))
    for name in ("storefront", "lantern"):
        complaints(
            cluster,
            name,
            f"ERROR {name} GET http://shelf:8081/titles: dial tcp {cluster.service_ip('shelf')}:8081: "
            "connect: connection refused",
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


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-path-selector": service_selector,
    "k8s-path-target-port": target_port,
    "k8s-path-policy": policy,
    "k8s-path-ingress": ingress,
}
