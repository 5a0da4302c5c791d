"""Workloads, pods, services and endpoints as kubectl prints them."""

from __future__ import annotations

from typing import Any

from benchmarks.scenarios.kubernetes.cluster import Cluster, Doc, Pod, Revision, Workload, ago
from benchmarks.scenarios.kubernetes.endpoints import endpoints

_RUNTIME = "containerd://"


def printed(cluster: Cluster) -> list[Doc]:
    """Every object of the cluster."""
    found: list[Doc] = [*cluster.nodes.values(), *cluster.extra]
    for workload in cluster.workloads.values():
        found.append(_workload(cluster, workload))
        if workload.kind == "Deployment":
            found += [_replica_set(cluster, workload, one) for one in workload.revisions]
        for revision in workload.revisions:
            found += [_pod(cluster, workload, revision, pod) for pod in revision.pods]
    found += endpoints(cluster, found)
    return [*found, *cluster.events]


def _owner(cluster: Cluster, kind: str, name: str, namespace: str) -> list[Doc]:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return [
        {
            "apiVersion": version,
            "blockOwnerDeletion": True,
            "controller": True,
            "kind": kind,
            "name": name,
            "uid": cluster.uid(kind, namespace, name),
        }
    ]


def _workload(cluster: Cluster, workload: Workload) -> Doc:
    newest = workload.revisions[-1]
    ready = sum(pod.ready for pod in workload.pods)
    metadata = cluster.metadata(
        workload.kind,
        workload.name,
        workload.namespace,
        workload.created,
        annotations={"deployment.kubernetes.io/revision": str(newest.number)}
        if workload.kind == "Deployment"
        else {},
        generation=len(workload.revisions),
        labels=workload.labels,
    )
    spec: Doc = {"selector": {"matchLabels": {"app": workload.name}}, "template": newest.template}
    status: Doc = {"observedGeneration": len(workload.revisions)}
    match workload.kind:
        case "Deployment":
            spec |= {
                "progressDeadlineSeconds": 600,
                "replicas": workload.replicas,
                "revisionHistoryLimit": 10,
                "strategy": {
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
                    "type": "RollingUpdate",
                },
            }
            existing = len(workload.pods)
            status |= {"replicas": existing, "updatedReplicas": len(newest.pods)}
            if ready:
                status |= {"readyReplicas": ready, "availableReplicas": ready}
            if max(existing, workload.replicas) > ready:
                status["unavailableReplicas"] = max(existing, workload.replicas) - ready
            status["conditions"] = (
                workload.conditions if workload.conditions is not None else _conditions(workload, ready)
            )
        case "StatefulSet":
            spec |= {"replicas": workload.replicas, "serviceName": workload.name}
            spec["volumeClaimTemplates"] = workload.claims
            status |= {"replicas": len(workload.pods), "readyReplicas": ready, "availableReplicas": ready}
        case _:
            wanted = len(workload.pods)
            status |= {
                "currentNumberScheduled": wanted,
                "desiredNumberScheduled": wanted,
                "numberAvailable": ready,
                "numberMisscheduled": 0,
                "numberReady": ready,
                "updatedNumberScheduled": wanted,
            }
            if wanted > ready:
                status["numberUnavailable"] = wanted - ready
    return {
        "apiVersion": "apps/v1",
        "kind": workload.kind,
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def _conditions(workload: Workload, ready: int) -> list[Doc]:
    newest = workload.revisions[-1]
    enough = ready >= workload.replicas - workload.replicas // 4
    fresh = newest.created
    name = f'ReplicaSet "{workload.name}-{newest.hash}"'
    done = all(pod.ready for pod in newest.pods) and len(newest.pods) >= workload.replicas
    late = not done and fresh > 10
    progress = (
        ("True", "NewReplicaSetAvailable", f"{name} has successfully progressed.")
        if done or fresh > 24 * 60
        else ("False", "ProgressDeadlineExceeded", f"{name} has timed out progressing.")
        if late
        else ("True", "ReplicaSetUpdated", f"{name} is progressing.")
    )
    available = (
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    since = min(
        (pod.ready_since or fresh for pod in workload.pods if not pod.ready), default=workload.created
    )
    return [
        {
            "lastTransitionTime": ago(workload.created if enough else since),
            "lastUpdateTime": ago(workload.created if enough else since),
            "message": available[2],
            "reason": available[1],
            "status": available[0],
            "type": "Available",
        },
        {
            "lastTransitionTime": ago(fresh - 10 if late else workload.created),
            "lastUpdateTime": ago(max(fresh - 10, 0) if late else fresh),
            "message": progress[2],
            "reason": progress[1],
            "status": progress[0],
            "type": "Progressing",
        },
        *newest.conditions,
    ]


def _replica_set(cluster: Cluster, workload: Workload, revision: Revision) -> Doc:
    name = f"{workload.name}-{revision.hash}"
    labels = {**revision.template["metadata"]["labels"], "pod-template-hash": revision.hash}
    template = _with_hash(revision)
    ready = sum(pod.ready for pod in revision.pods)
    status: Doc = {"observedGeneration": 1, "replicas": len(revision.pods)}
    if revision.pods:
        status["fullyLabeledReplicas"] = len(revision.pods)
    if ready:
        status |= {"availableReplicas": ready, "readyReplicas": ready}
    if revision.conditions:
        status["conditions"] = revision.conditions
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": cluster.metadata(
            "ReplicaSet",
            name,
            workload.namespace,
            revision.created,
            annotations={
                "deployment.kubernetes.io/desired-replicas": str(workload.replicas),
                "deployment.kubernetes.io/max-replicas": str(workload.replicas + 1),
                "deployment.kubernetes.io/revision": str(revision.number),
            },
            generation=1,
            labels=labels,
            ownerReferences=_owner(cluster, "Deployment", workload.name, workload.namespace),
        ),
        "spec": {
            "replicas": revision.replicas,
            "selector": {"matchLabels": {"app": workload.name, "pod-template-hash": revision.hash}},
            "template": template,
        },
        "status": status,
    }


def _with_hash(revision: Revision) -> Doc:
    template = dict(revision.template)
    metadata = dict(template["metadata"])
    metadata["labels"] = {**metadata["labels"], "pod-template-hash": revision.hash}
    template["metadata"] = metadata
    return template


def _pod(cluster: Cluster, workload: Workload, revision: Revision, pod: Pod) -> Doc:
    if workload.kind == "Deployment":
        owner = ("ReplicaSet", f"{workload.name}-{revision.hash}")
        labels = _with_hash(revision)["metadata"]["labels"]
    else:
        owner = (workload.kind, workload.name)
        labels = dict(pod.template["metadata"]["labels"])
        if workload.kind == "StatefulSet":
            labels |= {"statefulset.kubernetes.io/pod-name": pod.name}
    more: Doc = {"labels": labels, "ownerReferences": _owner(cluster, *owner, workload.namespace)}
    if pod.deleted is not None:
        more |= {"deletionGracePeriodSeconds": 30, "deletionTimestamp": ago(pod.deleted)}
    spec = dict(pod.template["spec"])
    if pod.node is not None:
        spec["nodeName"] = pod.node
    spec["tolerations"] = [
        *spec.get("tolerations", []),
        *(
            {
                "effect": "NoExecute",
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "tolerationSeconds": 300,
            }
            for key in ("not-ready", "unreachable")
        ),
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": cluster.metadata("Pod", pod.name, workload.namespace, pod.created, **more),
        "spec": spec,
        "status": _pod_status(cluster, pod),
    }


def _pod_status(cluster: Cluster, pod: Pod) -> Doc:
    if pod.reason is not None:
        return {
            "message": pod.message,
            "phase": pod.phase,
            "qosClass": "Burstable",
            "reason": pod.reason,
            "startTime": ago(pod.created),
        }
    if pod.node is None:
        condition = {
            "lastProbeTime": None,
            "lastTransitionTime": ago(pod.created),
            "message": pod.unscheduled,
            "reason": "Unschedulable",
            "status": "False",
            "type": "PodScheduled",
        }
        bare = [condition] if pod.unscheduled else []
        return {"phase": "Pending", "qosClass": "Burstable", **({"conditions": bare} if bare else {})}
    initialized = pod.init is None or all("terminated" in one["state"] and one["ready"] for one in pod.init)
    starting = pod.template["spec"].get("initContainers", [{"name": ""}])[0]["name"]
    since = pod.ready_since if pod.ready_since is not None else pod.created
    ready: Doc = {"lastProbeTime": None, "lastTransitionTime": ago(since)}
    names = [one["name"] for one in pod.template["spec"]["containers"]]
    if pod.unreachable is not None:
        ready["lastTransitionTime"] = ago(pod.unreachable)
    elif not pod.ready:
        ready |= {
            "message": f"containers with unready status: [{' '.join(names)}]",
            "reason": "ContainersNotReady",
        }
    answer = "True" if pod.ready and pod.unreachable is None else "False"
    status: Doc = {
        "conditions": [
            {
                "lastProbeTime": None,
                "lastTransitionTime": ago(pod.created),
                "status": "True" if initialized else "False",
                "type": "Initialized",
                **(
                    {}
                    if initialized
                    else {
                        "message": f"containers with incomplete status: [{starting}]",
                        "reason": "ContainersNotInitialized",
                    }
                ),
            },
            {**ready, "status": answer, "type": "Ready"},
            {**ready, "status": "True" if pod.ready else "False", "type": "ContainersReady"},
            {
                "lastProbeTime": None,
                "lastTransitionTime": ago(pod.created),
                "status": "True",
                "type": "PodScheduled",
            },
        ],
        "containerStatuses": [_container(cluster, pod, one) for one in pod.template["spec"]["containers"]],
        "hostIP": cluster.nodes[pod.node]["status"]["addresses"][0]["address"],
        "phase": pod.phase,
        "podIP": pod.ip,
        "podIPs": [{"ip": pod.ip}],
        "qosClass": "Burstable",
        "startTime": ago(pod.created),
    }
    if pod.init is not None:
        status["initContainerStatuses"] = pod.init
    return status


def _container(cluster: Cluster, pod: Pod, container: Doc) -> Doc:
    image = container["image"]
    never = pod.waiting is not None and pod.last is None and pod.restarts == 0
    state: Doc
    if pod.waiting is not None:
        waiting: Doc = {"reason": pod.waiting[0]}
        if pod.waiting[1]:
            waiting = {"message": pod.waiting[1], **waiting}
        state = {"waiting": waiting}
    elif pod.terminated is not None:
        state = {"terminated": pod.terminated}
    else:
        state = {"running": {"startedAt": ago(pod.started if pod.started is not None else pod.created)}}
    found: Doc = {}
    if not never:
        found["containerID"] = _RUNTIME + cluster.digest("container", pod.name, str(pod.restarts))
    found |= {
        "image": image,
        "imageID": "" if never else f"{image.rpartition(':')[0]}@sha256:{cluster.digest('image', image)}",
        "lastState": {"terminated": pod.last} if pod.last is not None else {},
        "name": container["name"],
        "ready": pod.ready,
        "restartCount": pod.restarts,
        "started": "running" in state,
        "state": state,
    }
    return found


def terminated(
    cluster: Cluster, pod: Pod, code: int, reason: str, *, started: float, finished: float, **more: Any
) -> Doc:
    """The state of a container that ended."""
    return {
        "containerID": _RUNTIME + cluster.digest("container", pod.name, str(pod.restarts), "last"),
        "exitCode": code,
        "finishedAt": ago(finished),
        **more,
        "reason": reason,
        "startedAt": ago(started),
    }
