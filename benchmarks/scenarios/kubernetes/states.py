"""Pods that do not run as they should, with the events that kubelet and the scheduler then write."""

from __future__ import annotations

from benchmarks.scenarios.kubernetes.cluster import Cluster, Doc, Pod, Revision, Workload, ago
from benchmarks.scenarios.kubernetes.printing import terminated


def pulled(cluster: Cluster, pod: Pod, *, minutes: float) -> None:
    """The scheduler placed it and its image was there."""
    image = pod.template["spec"]["containers"][0]["image"]
    scheduled(cluster, pod, minutes=minutes)
    cluster.event(
        "Pod",
        pod.name,
        "Pulled",
        f'Container image "{image}" already present on machine',
        minutes=minutes - 0.1,
        normal=True,
        host=pod.node,
    )


def scheduled(cluster: Cluster, pod: Pod, *, minutes: float) -> None:
    cluster.event(
        "Pod",
        pod.name,
        "Scheduled",
        f"Successfully assigned fenwick/{pod.name} to {pod.node}",
        minutes=minutes,
        normal=True,
        component="default-scheduler",
    )


def image_missing(cluster: Cluster, pod: Pod, error: str) -> None:
    """``error`` is what containerd says of the pull."""
    image = pod.template["spec"]["containers"][0]["image"]
    pod.ready, pod.phase = False, "Pending"
    pod.waiting = ("ImagePullBackOff", f'Back-off pulling image "{image}"')
    scheduled(cluster, pod, minutes=pod.created)
    at: Doc = {
        "host": pod.node,
        "path": f"spec.containers{{{pod.template['spec']['containers'][0]['name']}}}",
    }
    first = pod.created - 0.1
    cluster.event(
        "Pod",
        pod.name,
        "Pulling",
        f'Pulling image "{image}"',
        minutes=first - 3,
        first=first,
        count=4,
        normal=True,
        **at,
    )
    cluster.event(
        "Pod",
        pod.name,
        "Failed",
        f'Failed to pull image "{image}": {error}',
        minutes=first - 3,
        first=first,
        count=4,
        **at,
    )
    cluster.event(
        "Pod", pod.name, "Failed", "Error: ErrImagePull", minutes=first - 3, first=first, count=4, **at
    )
    cluster.event(
        "Pod",
        pod.name,
        "BackOff",
        f'Back-off pulling image "{image}"',
        minutes=0.5,
        first=first - 0.3,
        count=30,
        normal=True,
        **at,
    )
    cluster.event(
        "Pod", pod.name, "Failed", "Error: ImagePullBackOff", minutes=0.5, first=first - 0.3, count=30, **at
    )


def not_created(cluster: Cluster, pod: Pod, message: str) -> None:
    """Kubelet cannot put the container together."""
    pod.ready, pod.phase = False, "Pending"
    pod.waiting = ("CreateContainerConfigError", message)
    pulled(cluster, pod, minutes=pod.created)
    name = pod.template["spec"]["containers"][0]["name"]
    cluster.event(
        "Pod",
        pod.name,
        "Failed",
        f"Error: {message}",
        minutes=0.2,
        first=pod.created - 0.2,
        count=40,
        host=pod.node,
        path=f"spec.containers{{{name}}}",
    )


def crashing(
    cluster: Cluster,
    workload: Workload,
    pod: Pod,
    code: int,
    *,
    reason: str = "Error",
    restarts: int = 5,
    lasted: float = 0.2,
    ended: float = 1.0,
    message: str | None = None,
) -> None:
    """It ends, is restarted, and waits for the next try."""
    container = pod.template["spec"]["containers"][0]["name"]
    pod.ready, pod.restarts = False, restarts
    pod.ready_since = ended
    pod.waiting = (
        "CrashLoopBackOff",
        f"back-off 2m40s restarting failed container={container} "
        f"pod={pod.name}_{workload.namespace}({cluster.uid('Pod', workload.namespace, pod.name)})",
    )
    more: Doc = {"message": message} if message else {}
    pod.last = terminated(cluster, pod, code, reason, started=ended + lasted, finished=ended, **more)
    cluster.event(
        "Pod",
        pod.name,
        "BackOff",
        f"Back-off restarting failed container {container} in pod {pod.name}_{workload.namespace}"
        f"({cluster.uid('Pod', workload.namespace, pod.name)})",
        minutes=0.3,
        first=min(pod.created, 12) - 0.5,
        count=restarts * 4,
        host=pod.node,
        namespace=workload.namespace,
        path=f"spec.containers{{{container}}}",
    )


def pending(cluster: Cluster, pod: Pod, message: str) -> None:
    """No node takes it."""
    pod.node, pod.ready, pod.phase = None, False, "Pending"
    pod.unscheduled = message
    cluster.event(
        "Pod",
        pod.name,
        "FailedScheduling",
        message,
        minutes=pod.created - 0.01,
        component="default-scheduler",
    )
    if pod.created > 6:
        cluster.event(
            "Pod",
            pod.name,
            "FailedScheduling",
            message,
            minutes=pod.created - 5.3,
            component="default-scheduler",
        )


def refused(cluster: Cluster, workload: Workload, revision: Revision, message: str) -> None:
    """The API server refuses the pods of a revision."""
    revision.pods.clear()
    revision.conditions.append(
        {
            "lastTransitionTime": ago(revision.created - 0.02),
            "message": message,
            "reason": "FailedCreate",
            "status": "True",
            "type": "ReplicaFailure",
        }
    )
    cluster.event(
        "ReplicaSet",
        f"{workload.name}-{revision.hash}",
        "FailedCreate",
        f"Error creating: {message}",
        minutes=1,
        first=revision.created - 0.02,
        count=9,
        component="replicaset-controller",
    )


def probe_fails(
    cluster: Cluster, pod: Pod, which: str, why: str, *, count: int = 20, first: float | None = None
) -> None:
    name = pod.template["spec"]["containers"][0]["name"]
    cluster.event(
        "Pod",
        pod.name,
        "Unhealthy",
        f"{which} probe failed: {why}",
        minutes=0.1,
        first=first or pod.created - 0.3,
        count=count,
        host=pod.node,
        path=f"spec.containers{{{name}}}",
    )


def killed_by_probe(cluster: Cluster, pod: Pod, which: str, *, count: int, first: float) -> None:
    name = pod.template["spec"]["containers"][0]["name"]
    cluster.event(
        "Pod",
        pod.name,
        "Killing",
        f"Container {name} failed {which} probe, will be restarted",
        minutes=0.6,
        first=first,
        count=count,
        normal=True,
        host=pod.node,
        path=f"spec.containers{{{name}}}",
    )
