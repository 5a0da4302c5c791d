"""Pods that are refused, not placed, or do not start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc, ago
from benchmarks.scenarios.kubernetes.shop import REGISTRY, busy, container, plain, shop
from benchmarks.scenarios.kubernetes.states import (
    crashing,
    image_missing,
    killed_by_probe,
    not_created,
    pending,
    probe_fails,
    pulled,
    refused,
)
from benchmarks.scenarios.kubernetes.story import Story, at_deployment, at_pod, change, truth

_STUCK = "KubeDeploymentReplicasMismatch"


def _image(version: str) -> Callable[[Doc], None]:
    def edit(template: Doc) -> None:
        one = container(template)
        one["image"] = f"{one['image'].rpartition(':')[0]}:{version}"

    return edit


def _env(name: str, value: str) -> Callable[[Doc], None]:
    def edit(template: Doc) -> None:
        env = container(template)["env"]
        env[:] = [one for one in env if one["name"] != name] + [{"name": name, "value": value}]

    return edit


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
    new = cluster.roll("quill", _image("2.8.0"), minutes=14)
    refused(
        cluster,
        workload,
        new,
        f'pods "quill-{new.hash}-{cluster.suffix("q")}" is forbidden: exceeded quota: shop-budget, requested: '
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
    new = cluster.roll("parcel", _image("1.6.1"), minutes=11)
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
        "3 Insufficient memory. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, "
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
    new = cluster.roll("storefront", _image("5.2.2"), minutes=13)
    pending(
        cluster,
        new.pods[0],
        "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
        "3 node(s) had untolerated taint {fenwick.example/retiring: yes}. preemption: 0/4 nodes are available: "
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
        "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/4 nodes are "
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


def tag(case: str) -> Story:
    cluster = shop(case)
    new = cluster.roll("till", _image("1.15.0-rc"), minutes=13)
    image = container(new.template)["image"]
    image_missing(
        cluster,
        new.pods[0],
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve '
        f'reference "{image}": {image}: not found',
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeContainerWaiting",
        summary=f"Container till in pod fenwick/{new.pods[0].name} is waiting",
        labels=at_pod(new.pods[0].name, "till"),
        changes=[
            change(
                44, "0be4417a", "shelf", "Sort series by volume", files=["shelf/sorting.py"], version="3.9.0"
            ),
            change(
                13,
                "d92ab6f5",
                "till",
                "Release 1.15.0",
                files=["deploy/till.yaml"],
                version="1.15.0-rc",
                diff=f"-        image: {REGISTRY}/till:1.14.2\n+        image: {REGISTRY}/till:1.15.0-rc\n",
            ),
        ],
        truth=truth("start", ("till", "image_tag_missing"), culprit="d92ab6f5", tags=["change"]),
    )


def secret_key(case: str) -> Story:
    cluster = shop(case)

    def edit(template: Doc) -> None:
        for one in container(template)["env"]:
            if one["name"] == "PROVIDER_KEY":
                one["valueFrom"]["secretKeyRef"]["key"] = "api_key"

    new = cluster.roll("till", edit, minutes=12)
    not_created(cluster, new.pods[0], "couldn't find key api_key in Secret fenwick/paylark")
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeContainerWaiting",
        summary=f"Container till in pod fenwick/{new.pods[0].name} is waiting",
        labels=at_pod(new.pods[0].name, "till"),
        truth=truth("start", ("till", "secret_key_missing")),
    )


def config_map(case: str) -> Story:
    """The config map was deleted; a pod that had to move to another node cannot start again. A database with
    fifty restarts from last year has nothing to do with it."""
    cluster = shop(case)
    cluster.extra[:] = [one for one in cluster.extra if one["metadata"]["name"] != "parcel-rates"]
    database = cluster.workloads["archive-db"].pods[0]
    database.restarts, database.started = 50, 60.0 * 24 * 30
    pod = cluster.workloads["parcel"].pods[0]
    pod.created = 14
    not_created(cluster, pod, 'configmap "parcel-rates" not found')
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{pod.name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": pod.name},
        truth=truth(
            "start",
            ("parcel", "config_map_missing"),
            tags=["red_herring"],
            forbidden=[{"fault": "crashloop"}],
        ),
    )


def command(case: str) -> Story:
    cluster = shop(case)

    def edit(template: Doc) -> None:
        container(template)["command"] = ["/usr/local/bin/lanternd"]
        container(template)["args"] = ["--index", "/data/index"]

    new = cluster.roll("lantern", edit, minutes=12)
    pod = new.pods[0]
    why = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
        'failed: unable to start container process: exec: "/usr/local/bin/lanternd": stat '
        "/usr/local/bin/lanternd: no such file or directory: unknown"
    )
    crashing(cluster, cluster.workloads["lantern"], pod, 128, reason="StartError", message=why, lasted=0.0)
    pulled(cluster, pod, minutes=12)
    cluster.event(
        "Pod",
        pod.name,
        "Failed",
        f"Error: {why}",
        minutes=1,
        first=11.8,
        count=7,
        host=pod.node,
        path="spec.containers{lantern}",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodCrashLooping",
        summary=f"Pod fenwick/{pod.name} is crash looping",
        labels=at_pod(pod.name, "lantern"),
        truth=truth("start", ("lantern", "bad_command")),
    )


def init(case: str) -> Story:
    """The migration before the start of a new release fails on the schema."""
    cluster = shop(case)

    def edit(template: Doc) -> None:
        image = f"{REGISTRY}/quill:2.9.0"
        container(template)["image"] = image
        template["spec"]["initContainers"] = [
            {
                "command": ["quill-migrate", "up"],
                "env": container(template)["env"],
                "image": image,
                "name": "migrate",
                "resources": {},
            }
        ]

    new = cluster.roll("quill", edit, minutes=13)
    pod = new.pods[0]
    uid = cluster.uid("Pod", NAMESPACE, pod.name)
    pod.ready, pod.phase = False, "Pending"
    pod.waiting = ("PodInitializing", "")
    pod.init = [
        {
            "image": container(new.template)["image"],
            "lastState": {
                "terminated": {
                    "exitCode": 1,
                    "finishedAt": ago(1.2),
                    "reason": "Error",
                    "startedAt": ago(1.25),
                }
            },
            "name": "migrate",
            "ready": False,
            "restartCount": 6,
            "started": False,
            "state": {
                "waiting": {
                    "message": f"back-off 2m40s restarting failed container=migrate pod={pod.name}_fenwick({uid})",
                    "reason": "CrashLoopBackOff",
                }
            },
        }
    ]
    pulled(cluster, pod, minutes=13)
    cluster.event(
        "Pod",
        pod.name,
        "BackOff",
        f"Back-off restarting failed container migrate in pod {pod.name}_fenwick({uid})",
        minutes=0.4,
        first=12,
        count=28,
        host=pod.node,
        path="spec.initContainers{migrate}",
    )
    for previous in (False, True):
        cluster.log(
            pod,
            (1.25 + 2.7 * previous, "INFO migrate: 41 of 43 migrations are applied"),
            (1.24 + 2.7 * previous, "INFO migrate: applying 0042_order_notes"),
            (1.22 + 2.7 * previous, 'ERROR migrate: 0042_order_notes: relation "order_notes" already exists'),
            previous=previous,
            container="migrate",
        )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeDeploymentRolloutStuck",
        summary="Rollout of deployment fenwick/quill is not progressing",
        labels=at_deployment("quill"),
        truth=truth("start", ("quill", "init_container_failed"), ("quill", "migration_failed")),
    )


def env_value(case: str) -> Story:
    """A setting with a slip: the address of the till. An innocent release of another service is fresher."""
    cluster = shop(case)
    new = cluster.rolled("quill", _env("TILL_URL", "http://tills:8083"), minutes=21)
    cluster.rolled("lantern", _image("0.18.4"), minutes=7)
    for pod in new.pods:
        cluster.log(
            pod,
            *(
                (
                    at,
                    "ERROR quill cannot charge: Post http://tills:8083/charge: dial tcp: lookup tills on "
                    "10.43.0.10:53: no such host",
                )
                for at in (20.0, 17.5, 14.1, 11.0, 8.2, 5.5, 3.1, 1.2)
            ),
        )
        labels = {"namespace": NAMESPACE, "pod": pod.name, "service": "quill"}
        cluster.counter("http_requests_total", lambda _: 2.5, hours=0.35, code="200", **labels)
        cluster.counter("http_requests_total", lambda _: 2.0, hours=0.35, code="500", start=0, **labels)
    busy(cluster, skip=("quill",))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of quill's requests fail",
        labels={"namespace": NAMESPACE, "service": "quill"},
        severity="critical",
        fired=18,
        changes=[
            change(
                21,
                "63fc8a10",
                "quill",
                "Address peers by their new names",
                kind="config",
                files=["deploy/quill.yaml"],
                diff="-          value: http://till:8083\n+          value: http://tills:8083\n",
            ),
            change(
                7, "be0c5512", "lantern", "Fewer lines in the log", files=["lantern/log.py"], version="0.18.4"
            ),
        ],
        truth=truth(
            "service_path",
            ("quill", "service_name_wrong"),
            ("quill", "wrong_env_value"),
            culprit="63fc8a10",
            tags=["change", "red_herring"],
            forbidden=[{"culprit_change": "be0c5512"}],
        ),
    )


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
    "k8s-admission-quota": quota,
    "k8s-admission-webhook": webhook,
    "k8s-admission-service-account": account,
    "k8s-scheduling-too-large": too_large,
    "k8s-scheduling-tainted": tainted,
    "k8s-scheduling-selector": selector,
    "k8s-scheduling-unbound-claim": unbound,
    "k8s-start-image-tag": tag,
    "k8s-start-secret-key": secret_key,
    "k8s-start-config-map": config_map,
    "k8s-start-command": command,
    "k8s-start-migration": init,
    "k8s-start-env-value": env_value,
    "k8s-probe-port": probe_port,
    "k8s-probe-path": probe_path,
    "k8s-probe-too-tight": probe_tight,
}
