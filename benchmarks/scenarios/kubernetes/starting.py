"""Pods that are placed and do not start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.changing import setting, tagged
from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc, ago
from benchmarks.scenarios.kubernetes.load import requests
from benchmarks.scenarios.kubernetes.shop import REGISTRY, busy, container, shop
from benchmarks.scenarios.kubernetes.states import (
    crashing,
    image_missing,
    not_created,
    pulled,
)
from benchmarks.scenarios.kubernetes.story import Story, at_deployment, at_pod, change, truth


def tag(case: str) -> Story:
    cluster = shop(case)
    new = cluster.roll("till", tagged("1.15.0-rc"), minutes=13)
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
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
        "runc create "
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
                    "message": "back-off 2m40s restarting failed container=migrate "
                    f"pod={pod.name}_fenwick({uid})",
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
    new = cluster.rolled("quill", setting("TILL_URL", "http://tills:8083"), minutes=21)
    cluster.rolled("lantern", tagged("0.18.4"), minutes=7)
    for pod in new.pods:
        cluster.log(
            pod,
            *(
                (
                    at,
                    "ERROR quill cannot charge: Post http://tills:8083/charge: dial tcp: lookup tills on "
                    "10.43.0.10:53: no such host",
                )
                for at in (19.4, 17.5, 14.1, 11.0, 8.2, 5.5, 3.1, 1.2)
            ),
        )
    requests(cluster, "quill", lambda m: 4.4 if m > 19.5 else 2.5, lambda m: 0.01 if m > 19.5 else 2.0)
    busy(cluster, skip=("quill",))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of quill's requests fail",
        labels={"namespace": NAMESPACE, "service": "quill"},
        severity="critical",
        fired=17,
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


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-start-image-tag": tag,
    "k8s-start-secret-key": secret_key,
    "k8s-start-config-map": config_map,
    "k8s-start-command": command,
    "k8s-start-migration": init,
    "k8s-start-env-value": env_value,
}
