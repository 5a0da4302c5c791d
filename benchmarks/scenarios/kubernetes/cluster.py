"""A cluster as kubectl prints it, built so that its objects agree with each other.

Every name, uid and number follows from the case's name: the same case is the same bytes.
"""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from benchmarks.scenarios.kubernetes.nouns import NOW, Doc, Pod, Revision, Workload, ago

__all__ = ["NAMESPACE", "NOW", "Cluster", "Doc", "Pod", "Revision", "Workload", "ago"]

NAMESPACE = "fenwick"
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class Cluster:
    """Objects, logs and metrics of one case."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.random = random.Random(case)
        self.workloads: dict[str, Workload] = {}
        self.extra: list[Doc] = []
        self.events: list[Doc] = []
        self.logs: dict[str, list[tuple[float, str]]] = {}
        self.rows: list[tuple[float, str, float, Mapping[str, str]]] = []
        self.nodes: dict[str, Doc] = {}
        self._ip = 10

    # --- names ----------------------------------------------------------------------------------------

    def digest(self, *parts: str) -> str:
        return hashlib.sha256("/".join((self.case, *parts)).encode()).hexdigest()

    def uid(self, *parts: str) -> str:
        text = self.digest("uid", *parts)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"

    def suffix(self, *parts: str, length: int = 5) -> str:
        number = int(self.digest("suffix", *parts), 16)
        return "".join(_SUFFIX[number // 27**i % 27] for i in range(length))

    def version(self, *parts: str) -> str:
        return str(40_000_000 + int(self.digest("rv", *parts)[:6], 16))

    def service_ip(self, name: str) -> str:
        number = int(self.digest("ip", name)[:4], 16)
        return f"10.43.{number // 250 % 250 + 1}.{number % 250 + 1}"

    def next_ip(self, node: str) -> str:
        """The next address of the node's pods."""
        self._ip += 1
        return f"10.42.{list(self.nodes).index(node)}.{self._ip + 3}"

    def metadata(self, kind: str, name: str, namespace: str | None, created: float, **more: Any) -> Doc:
        found: Doc = {"creationTimestamp": ago(created), **more, "name": name}
        if namespace is not None:
            found["namespace"] = namespace
        found["resourceVersion"] = self.version(kind, namespace or "", name)
        found["uid"] = self.uid(kind, namespace or "", name)
        return found

    # --- nodes ----------------------------------------------------------------------------------------

    def node(
        self,
        name: str,
        *,
        cpu: str = "4",
        memory: str = "16393244Ki",
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Doc] = (),
    ) -> Doc:
        since = 60.0 * 24 * 90
        conditions = [
            (
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ]
        spec: Doc = {
            "podCIDR": f"10.42.{len(self.nodes)}.0/24",
            "podCIDRs": [f"10.42.{len(self.nodes)}.0/24"],
        }
        if taints:
            spec["taints"] = list(taints)
        amounts = {"cpu": cpu, "ephemeral-storage": "81106868Ki", "memory": memory, "pods": "110"}
        self.nodes[name] = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": self.metadata(
                "Node",
                name,
                None,
                since,
                labels={
                    "kubernetes.io/arch": "amd64",
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "topology.kubernetes.io/zone": "north-1",
                    **(labels or {}),
                },
            ),
            "spec": spec,
            "status": {
                "addresses": [
                    {"address": f"192.168.7.{11 + len(self.nodes)}", "type": "InternalIP"},
                    {"address": name, "type": "Hostname"},
                ],
                "allocatable": dict(amounts),
                "capacity": dict(amounts),
                "conditions": [
                    {
                        "lastHeartbeatTime": ago(1),
                        "lastTransitionTime": ago(since),
                        "message": message,
                        "reason": reason,
                        "status": status,
                        "type": kind,
                    }
                    for kind, status, reason, message in conditions
                ],
                "nodeInfo": {
                    "architecture": "amd64",
                    "containerRuntimeVersion": "containerd://1.7.13",
                    "kernelVersion": "6.1.0-18-amd64",
                    "kubeletVersion": "v1.29.4",
                    "operatingSystem": "linux",
                    "osImage": "Debian GNU/Linux 12 (bookworm)",
                },
            },
        }
        self.extra.append(self.lease("kube-node-lease", name, name, 0.1))
        return self.nodes[name]

    def lease(self, namespace: str, name: str, holder: str, renewed: float) -> Doc:
        at = (NOW - timedelta(minutes=renewed)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": self.metadata("Lease", name, namespace, 60.0 * 24 * 90),
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 40, "renewTime": at},
        }

    def condition(self, node: str, kind: str, status: str, reason: str, message: str, since: float) -> None:
        for one in self.nodes[node]["status"]["conditions"]:
            if one["type"] == kind:
                one |= {"status": status, "reason": reason, "message": message}
                one["lastTransitionTime"] = ago(since)
                if status == "Unknown":
                    one["lastHeartbeatTime"] = ago(since + 0.7)

    # --- workloads ------------------------------------------------------------------------------------

    def workload(
        self,
        name: str,
        template: Doc,
        *,
        kind: str = "Deployment",
        namespace: str = NAMESPACE,
        replicas: int = 2,
        nodes: Sequence[str] = (),
        days: float = 41.0,
    ) -> Workload:
        """One revision with all its pods running and ready."""
        labels = dict(template["metadata"]["labels"])
        created = 60.0 * 24 * days
        made = Workload(
            kind=kind, name=name, namespace=namespace, replicas=replicas, labels=labels, created=created
        )
        self.workloads[name] = made
        self.revise(made, template, created=created, replicas=replicas, nodes=nodes)
        return made

    def revise(
        self,
        workload: Workload,
        template: Doc,
        *,
        created: float,
        replicas: int,
        nodes: Sequence[str] = (),
    ) -> Revision:
        """Another revision, its pods running; scale the one before it by :meth:`retire`."""
        number = len(workload.revisions) + 1
        revision = Revision(
            number=number,
            hash=self.digest("hash", workload.name, str(number))[:9].translate(
                str.maketrans("013ae", "bcdfg")
            )
            + "9",
            template=template,
            created=created,
            replicas=replicas,
        )
        workload.revisions.append(revision)
        places = list(nodes) or [name for name in self.nodes if not name.startswith("cp-")]
        for index in range(replicas):
            match workload.kind:
                case "Deployment":
                    tail = f"{revision.hash}-{self.suffix(workload.name, str(number), str(index))}"
                case "StatefulSet":
                    tail = str(index)
                case _:
                    tail = self.suffix(workload.name, str(number), str(index))
            node = places[(index + len(workload.name)) % len(places)]
            pod = Pod(
                name=f"{workload.name}-{tail}",
                template=template,
                node=node,
                created=created,
                ip=self.next_ip(node),
            )
            revision.pods.append(pod)
        return revision

    def roll(
        self, name: str, change: Callable[[Doc], None], *, minutes: float, replicas: int = 1
    ) -> Revision:
        """A rollout begun ``minutes`` ago with ``replicas`` pods of the new template so far."""
        workload = self.workloads[name]
        template = copy.deepcopy(workload.template)
        change(template)
        made = self.revise(workload, template, created=minutes, replicas=replicas)
        self.event(
            "Deployment",
            name,
            "ScalingReplicaSet",
            f"Scaled up replica set {name}-{made.hash} to {replicas}",
            minutes=minutes,
            normal=True,
            component="deployment-controller",
            namespace=workload.namespace,
        )
        return made

    def rolled(self, name: str, change: Callable[[Doc], None], *, minutes: float) -> Revision:
        """A rollout that went through: all pods are of the new template."""
        workload = self.workloads[name]
        made = self.roll(name, change, minutes=minutes, replicas=workload.replicas)
        for old in workload.revisions[:-1]:
            self.retire(workload, old, minutes=minutes - 1)
        return made

    def retire(self, workload: Workload, revision: Revision, *, minutes: float) -> None:
        """Scale a revision to nothing. What its pods measured until then is kept."""
        self.event(
            "Deployment",
            workload.name,
            "ScalingReplicaSet",
            f"Scaled down replica set {workload.name}-{revision.hash} to 0 from {len(revision.pods)}",
            minutes=minutes,
            normal=True,
            component="deployment-controller",
            namespace=workload.namespace,
        )
        for pod in revision.pods:
            pod.until = minutes
        workload.retired += revision.pods
        revision.pods = []
        revision.replicas = 0

    # --- what happened --------------------------------------------------------------------------------

    def event(
        self,
        kind: str,
        name: str,
        reason: str,
        message: str,
        *,
        minutes: float,
        first: float | None = None,
        count: int = 1,
        normal: bool = False,
        component: str = "kubelet",
        host: str | None = None,
        namespace: str = NAMESPACE,
        path: str | None = None,
    ) -> None:
        """As the API prints it; the scheduler's have an eventTime alone."""
        tail = self.digest("event", kind, name, reason, message, str(minutes))[:16]
        about: Doc = {"apiVersion": _VERSIONS.get(kind, "v1")}
        if path is not None:
            about["fieldPath"] = path
        about |= {"kind": kind, "name": name}
        if kind != "Node":
            about["namespace"] = namespace
        about["uid"] = name if kind == "Node" else self.uid(kind, namespace, name)
        where = "default" if kind == "Node" else namespace
        found: Doc = {
            "apiVersion": "v1",
            "involvedObject": about,
            "kind": "Event",
            "message": message,
            "metadata": self.metadata("Event", f"{name}.{tail}", where, first or minutes),
            "reason": reason,
            "type": "Normal" if normal else "Warning",
        }
        if component == "default-scheduler":
            found |= {
                "action": "Scheduling",
                "eventTime": ago(minutes).replace("Z", ".000000Z"),
                "firstTimestamp": None,
                "lastTimestamp": None,
                "reportingComponent": component,
                "reportingInstance": "default-scheduler-cp-1",
                "source": {},
            }
        else:
            found |= {
                "count": count,
                "eventTime": None,
                "firstTimestamp": ago(first or minutes),
                "lastTimestamp": ago(minutes),
                "reportingComponent": component,
                "reportingInstance": host or "",
                "source": {"component": component, **({"host": host} if host else {})},
            }
        self.events.append(found)

    def log(
        self, pod: Pod | str, *lines: tuple[float, str], previous: bool = False, container: str = ""
    ) -> None:
        """Lines as (minutes before now, text) of a pod of the shop, as a Pod or ``namespace/name``."""
        name = pod if isinstance(pod, str) else f"{NAMESPACE}/{pod.name}"
        if container:
            name += f"/{container}"
        self.logs.setdefault(name + (".previous" if previous else ""), []).extend(lines)

    def series(
        self,
        metric: str,
        value: Callable[[float], float],
        *,
        hours: float = 1.0,
        step: float = 60.0,
        noise: float = 0.03,
        until: float = 0.0,
        **labels: str,
    ) -> None:
        """Samples of a gauge: ``value`` of the minutes before now."""
        total = int(hours * 3600 / step)
        for index in range(total + 1):
            seconds = (total - index) * step
            if seconds < until * 60:
                break
            wanted = value(seconds / 60) * (1 + self.random.uniform(-noise, noise))
            self.rows.append((NOW.timestamp() - seconds, metric, round(wanted, 5), labels))

    def counter(
        self,
        metric: str,
        rate: Callable[[float], float],
        *,
        hours: float = 1.0,
        step: float = 60.0,
        noise: float = 0.05,
        start: float = 1000.0,
        until: float = 0.0,
        **labels: str,
    ) -> None:
        """Samples of a counter: ``rate`` a second at the minutes before now."""
        total, sum_ = int(hours * 3600 / step), start
        for index in range(total + 1):
            seconds = (total - index) * step
            if seconds < until * 60:
                break
            sum_ += max(rate(seconds / 60), 0.0) * (1 + self.random.uniform(-noise, noise)) * step
            self.rows.append((NOW.timestamp() - seconds, metric, round(sum_, 3), labels))


_VERSIONS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
