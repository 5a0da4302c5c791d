"""Pods that the API server refuses or that no node takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.changing import tagged
from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc, ago
from benchmarks.scenarios.kubernetes.shop import busy, container, plain, shop
from benchmarks.scenarios.kubernetes.states import (
    pending,
    refused,
)
from benchmarks.scenarios.kubernetes.story import Story, at_deployment, change, truth

_STUCK = "KubeDeploymentReplicasMismatch"


def quota(case: str) -> Story:
    cluster = shop(case)
    plain(
        cluster,
        "v1",
        "ResourceQuota",
        "shop-budget",
        spec={"hard": {"requests.cpu": "3400m", "pods": "40"}},
        status={
            "hard": {"requests.cpu": "3400m", "pods": "40"},
            "used": {"requests.cpu": "3300m", "pods": "15"},
        },
    )
    workload = cluster.workloads["quill"]
    new = cluster.roll("quill", tagged("2.8.0"), minutes=14)
    refused(
        cluster,
        workload,
        new,
        f'pods "quill-{new.hash}-{cluster.suffix("q")}" is forbidden: exceeded quota: shop-budget, '
        "requested: "
        "requests.cpu=200m, used: requests.cpu=3300m, limited: requests.cpu=3400m",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeDeploymentRolloutStuck",
        summary="Rollout of deployment fenwick/quill is not progressing",
        labels=at_deployment("quill"),
        truth=truth("admission", ("quill", "quota_exceeded"), (NAMESPACE, "quota_exceeded", "namespace")),
    )


def webhook(case: str) -> Story:
    """The admission webhook of the label guard has no pod; a new parcel cannot be created."""
    cluster = shop(case)
    plain(
        cluster,
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "label-guard",
        None,
        webhooks=[
            {
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "service": {"name": "label-guard", "namespace": "sandbox", "path": "/check", "port": 443}
                },
                "failurePolicy": "Fail",
                "name": "check.label-guard.fenwick.example",
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
                "sideEffects": "None",
                "timeoutSeconds": 10,
            }
        ],
    )
    guard = plain(cluster, "v1", "Service", "label-guard", "sandbox")
    guard["spec"] = {
        "clusterIP": "10.43.77.12",
        "ports": [{"name": "main", "port": 443, "protocol": "TCP", "targetPort": 8443}],
        "selector": {"app": "label-guard"},
        "type": "ClusterIP",
    }
    new = cluster.roll("parcel", tagged("1.6.1"), minutes=11)
    refused(
        cluster,
        cluster.workloads["parcel"],
        new,
        'Internal error occurred: failed calling webhook "check.label-guard.fenwick.example": failed to call '
        'webhook: Post "https://label-guard.sandbox.svc:443/check?timeout=10s": no endpoints available for '
        'service "label-guard"',
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert=_STUCK,
        summary="Deployment fenwick/parcel has not matched the expected number of replicas",
        labels=at_deployment("parcel"),
        truth=truth(
            "admission",
            ("parcel", "webhook_unreachable"),
            ("label-guard", "webhook_unavailable", ""),
            ("parcel", "webhook_unavailable"),
        ),
    )


def account(case: str) -> Story:
    cluster = shop(case)

    def edit(template: Doc) -> None:
        template["spec"]["serviceAccountName"] = "till-signer"

    new = cluster.roll("till", edit, minutes=12)
    refused(
        cluster,
        cluster.workloads["till"],
        new,
        f'pods "till-{new.hash}-" is forbidden: error looking up service account fenwick/till-signer: '
        'serviceaccount "till-signer" not found',
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert=_STUCK,
        summary="Deployment fenwick/till has not matched the expected number of replicas",
        labels=at_deployment("till"),
        truth=truth("admission", ("till", "service_account_missing")),
    )


def too_large(case: str) -> Story:
    cluster = shop(case)

    def edit(template: Doc) -> None:
        resources = container(template)["resources"]
        resources["requests"]["memory"] = resources["limits"]["memory"] = "48Gi"

    new = cluster.roll("lantern", edit, minutes=16)
    pending(
        cluster,
        new.pods[0],
        "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
        "3 Insufficient memory. preemption: 0/4 nodes are available: 1 Preemption is not helpful "
        "for scheduling, "
        "3 No preemption victims found for incoming pod.",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{new.pods[0].name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": new.pods[0].name},
        changes=[
            change(96, "a1d3c9e0", "storefront", "Show the opening hours", files=["storefront/footer.html"]),
            change(
                16,
                "f3b20d77",
                "lantern",
                "Keep the whole index in memory",
                files=["deploy/lantern.yaml"],
                diff="-            memory: 256Mi\n+            memory: 48Gi\n",
            ),
        ],
        truth=truth("scheduling", ("lantern", "insufficient_memory"), culprit="f3b20d77", tags=["change"]),
    )


def tainted(case: str) -> Story:
    """All workers were tainted for a move; the new storefront tolerates nothing."""
    cluster = shop(case)
    for name in ("pool-a-1", "pool-a-2", "pool-b-1"):
        cluster.nodes[name]["spec"]["taints"] = [
            {"effect": "NoSchedule", "key": "fenwick.example/retiring", "value": "yes"}
        ]
    new = cluster.roll("storefront", tagged("5.2.2"), minutes=13)
    pending(
        cluster,
        new.pods[0],
        "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
        "3 node(s) had untolerated taint {fenwick.example/retiring: yes}. "
        "preemption: 0/4 nodes are available: "
        "4 Preemption is not helpful for scheduling.",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeDeploymentRolloutStuck",
        summary="Rollout of deployment fenwick/storefront is not progressing",
        labels=at_deployment("storefront"),
        truth=truth("scheduling", ("storefront", "taint_not_tolerated")),
    )


def selector(case: str) -> Story:
    cluster = shop(case)

    def edit(template: Doc) -> None:
        template["spec"]["nodeSelector"] = {"pool": "pool-c"}

    new = cluster.roll("shelf", edit, minutes=15)
    pending(
        cluster,
        new.pods[0],
        "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
        "3 node(s) didn't match Pod's node affinity/selector. preemption: 0/4 nodes are available: "
        "4 Preemption is not helpful for scheduling.",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{new.pods[0].name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": new.pods[0].name},
        truth=truth("scheduling", ("shelf", "node_selector_mismatch")),
    )


def unbound(case: str) -> Story:
    """A second replica of the database asks for a storage class that does not exist."""
    cluster = shop(case)
    workload = cluster.workloads["archive-db"]
    workload.replicas = 2
    pod = cluster.revise(workload, workload.template, created=18, replicas=2).pods[1]
    workload.revisions[-1].pods[:] = [pod]
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-archive-db-1"}}
    pod.template = {**pod.template, "spec": {**pod.template["spec"], "volumes": [volume]}}
    plain(
        cluster,
        "v1",
        "PersistentVolumeClaim",
        "data-archive-db-1",
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "block-fast",
            "volumeMode": "Filesystem",
        },
        status={"phase": "Pending"},
    )["metadata"]["creationTimestamp"] = ago(18)
    workload.claims[0] = {
        **workload.claims[0],
        "spec": {**workload.claims[0]["spec"], "storageClassName": "block-fast"},
    }
    cluster.event(
        "PersistentVolumeClaim",
        "data-archive-db-1",
        "ProvisioningFailed",
        'storageclass.storage.k8s.io "block-fast" not found',
        minutes=0.4,
        first=18,
        count=70,
        component="persistentvolume-controller",
    )
    pending(
        cluster,
        pod,
        "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
        "preemption: 0/4 nodes are "
        "available: 4 Preemption is not helpful for scheduling.",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeStatefulSetReplicasMismatch",
        summary="StatefulSet fenwick/archive-db has not matched the expected number of replicas",
        labels={"namespace": NAMESPACE, "statefulset": "archive-db"},
        truth=truth("scheduling", ("archive-db", "pvc_unbound", "")),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-admission-quota": quota,
    "k8s-admission-webhook": webhook,
    "k8s-admission-service-account": account,
    "k8s-scheduling-too-large": too_large,
    "k8s-scheduling-tainted": tainted,
    "k8s-scheduling-selector": selector,
    "k8s-scheduling-unbound-claim": unbound,
}
