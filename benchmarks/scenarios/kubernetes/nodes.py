"""Nodes and the control plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.changing import tagged
from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, NOW, Cluster, Pod, ago
from benchmarks.scenarios.kubernetes.load import always, complaints, requests
from benchmarks.scenarios.kubernetes.shop import busy, shop
from benchmarks.scenarios.kubernetes.states import crashing
from benchmarks.scenarios.kubernetes.story import Story, about, change, truth


def _on(cluster: Cluster, node: str) -> list[Pod]:
    return [pod for one in cluster.workloads.values() for pod in one.pods if pod.node == node]


def _until_lost(minutes: float) -> float:
    return 1.0 if minutes >= 9.7 else 0.0


def node_gone(case: str) -> Story:
    """The kubelet of a node stopped. A rollout of lantern twenty minutes before went through without harm."""
    cluster = shop(case)
    cluster.rolled("lantern", tagged("0.18.4"), minutes=29)
    lost = "pool-a-2"
    for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"):
        cluster.condition(
            lost, kind, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", 9
        )
    cluster.nodes[lost]["spec"]["taints"] = [
        {"effect": effect, "key": "node.kubernetes.io/unreachable", "timeAdded": ago(9)}
        for effect in ("NoSchedule", "NoExecute")
    ]
    for one in cluster.extra:
        if one["kind"] == "Lease" and one["metadata"]["name"] == lost:
            one |= cluster.lease("kube-node-lease", lost, lost, 9.7)
    cluster.event(
        "Node",
        lost,
        "NodeNotReady",
        f"Node {lost} status is now: NodeNotReady",
        minutes=9,
        normal=True,
        component="node-controller",
    )
    for pod in _on(cluster, lost):
        pod.unreachable = 9
        where = "kube-system" if pod.name.startswith(("coredns", "kube-proxy")) else NAMESPACE
        cluster.event(
            "Pod",
            pod.name,
            "NodeNotReady",
            "Node is not ready",
            minutes=9,
            component="node-controller",
            namespace=where,
        )
    busy(cluster)
    gone = {pod.name for pod in _on(cluster, lost)}
    cluster.rows[:] = [
        row for row in cluster.rows if row[3].get("pod") not in gone or row[0] < NOW.timestamp() - 9.7 * 60
    ]
    for name, lines in cluster.logs.items():
        if name.partition("/")[2] in gone:
            cluster.logs[name] = [line for line in lines if line[0] > 9.7]
    for node in cluster.nodes:
        cluster.series("up", _until_lost if node == lost else always(1.0), noise=0, job="kubelet", node=node)
    return Story(
        cluster=cluster,
        alert="KubeNodeNotReady",
        summary=f"{lost} has been unready",
        labels={"node": lost},
        fired=6,
        severity="critical",
        changes=[
            change(
                29,
                "3f6b0b2c",
                "lantern",
                "Release 0.18.4",
                version="0.18.4",
                files=["lantern/rank.py"],
                diff="-BOOST = 1.2\n+BOOST = 1.3\n",
            )
        ],
        truth=truth(
            "nodes",
            (lost, "kubelet_stopped", "node"),
            (lost, "node_not_ready", "node"),
            culprit="none",
            tags=["red_herring"],
            forbidden=[{"culprit_change": "3f6b0b2c"}],
        ),
    )


def disk_pressure(case: str) -> Story:
    cluster = shop(case)
    node = "pool-b-1"
    cluster.condition(node, "DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure", 12)
    cluster.nodes[node]["spec"]["taints"] = [
        {"effect": "NoSchedule", "key": "node.kubernetes.io/disk-pressure", "timeAdded": ago(12)}
    ]
    cluster.event(
        "Node",
        node,
        "NodeHasDiskPressure",
        f"Node {node} status is now: NodeHasDiskPressure",
        minutes=12,
        normal=True,
        host=node,
    )
    cluster.event(
        "Node",
        node,
        "EvictionThresholdMet",
        "Attempting to reclaim ephemeral-storage",
        minutes=2,
        first=12,
        count=30,
        host=node,
    )
    cluster.event(
        "Node",
        node,
        "FreeDiskSpaceFailed",
        "Failed to garbage collect required amount of images. Attempted to free 6120328396 bytes, but only "
        "found 0 bytes eligible to free.",
        minutes=4,
        first=11,
        count=3,
        host=node,
    )
    for pod in _on(cluster, node):
        if not pod.name.startswith(("storefront", "shelf", "parcel", "quill", "till", "lantern")):
            continue
        pod.ready, pod.phase, pod.reason = False, "Failed", "Evicted"
        pod.message = (
            "The node was low on resource: ephemeral-storage. Threshold quantity: 8110686879, "
            "available: 7301532Ki. "
        )
        cluster.event("Pod", pod.name, "Evicted", pod.message, minutes=11, host=node)
        break
    cluster.series(
        "node_filesystem_avail_bytes",
        lambda m: 2e9 + max(m - 12, 0) * 1.2e9,
        noise=0,
        mountpoint="/",
        node=node,
        instance=node,
        device="/dev/vda1",
        fstype="ext4",
    )
    cluster.series(
        "node_filesystem_size_bytes",
        lambda _: 83.0e9,
        noise=0,
        mountpoint="/",
        node=node,
        instance=node,
        device="/dev/vda1",
        fstype="ext4",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubeNodePressure",
        summary=f"{node} has DiskPressure",
        labels={"node": node, "condition": "DiskPressure"},
        fired=10,
        truth=truth("nodes", (node, "node_disk_pressure", "node"), (f"{node}:/", "disk_filling", "")),
    )


def dns(case: str) -> Story:
    """An edit of the Corefile with a slip: the resolver does not start again, and names fail everywhere."""
    cluster = shop(case)
    workload = cluster.workloads["coredns"]
    for pod in workload.pods:
        crashing(cluster, workload, pod, 1, restarts=6, lasted=0.02, ended=1.1)
        cluster.log(
            f"kube-system/{pod.name}",
            (1.11, "/etc/coredns/Corefile:9 - Error during parsing: Unknown directive 'forwrad'"),
            previous=True,
        )
    for name in ("storefront", "quill", "lantern"):
        peer = {"storefront": "shelf", "quill": "till", "lantern": "shelf"}[name]
        complaints(
            cluster,
            name,
            f"ERROR {name} dial tcp: lookup {peer} on 10.43.0.10:53: read udp POD_IP:40112->10.43.0.10:53: "
            "read: "
            "connection refused",
            since=12,
        )
        requests(cluster, name, lambda m: 5.0 if m > 12 else 1.0, lambda m: 0.01 if m > 12 else 4.0)
    busy(cluster, skip=("storefront", "quill", "lantern"))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of storefront's requests fail",
        labels=about("storefront"),
        severity="critical",
        fired=10,
        changes=[
            change(
                14,
                "cm-coredns-31",
                "coredns",
                "Ask the new resolvers",
                kind="config",
                files=["coredns/Corefile"],
                diff="-    forward . /etc/resolv.conf\n+    forwrad . 192.168.7.2 192.168.7.3\n",
            ),
        ],
        truth=truth(
            "control_plane",
            ("coredns", "dns_failure"),
            ("kube-dns", "dns_failure"),
            ("coredns", "process_crash"),
            ("kube-system/coredns", "dns_failure"),
            ("kube-system/coredns", "process_crash"),
            culprit="cm-coredns-31",
            tags=["change"],
        ),
    )


def scheduler(case: str) -> Story:
    """The scheduler ends at once with a wrong flag; a pod that was deleted is not placed again."""
    cluster = shop(case)
    for one in cluster.extra:
        if one["kind"] == "Pod" and one["metadata"]["name"] == "kube-scheduler-cp-1":
            state = one["status"]["containerStatuses"][0]
            state |= {
                "lastState": {
                    "terminated": {
                        "exitCode": 1,
                        "finishedAt": ago(1),
                        "reason": "Error",
                        "startedAt": ago(1),
                    }
                },
                "ready": False,
                "restartCount": 8,
                "started": False,
                "state": {
                    "waiting": {
                        "message": "back-off 5m0s restarting failed container=kube-scheduler "
                        f"pod=kube-scheduler-cp-1_kube-system({one['metadata']['uid']})",
                        "reason": "CrashLoopBackOf",
                    }
                },
            }
            one["status"]["conditions"][0] |= {"status": "False", "lastTransitionTime": ago(17)}
        if one["kind"] == "Lease" and one["metadata"]["name"] == "kube-scheduler":
            one |= cluster.lease(
                "kube-system", "kube-scheduler", f"cp-1_{cluster.uid('kube-scheduler')}", 17.4
            )
    cluster.event(
        "Pod",
        "kube-scheduler-cp-1",
        "BackOf",
        "Back-off restarting failed container kube-scheduler",
        minutes=0.4,
        first=16,
        count=60,
        host="cp-1",
        namespace="kube-system",
    )
    cluster.log(
        "kube-system/kube-scheduler-cp-1",
        (1.0, "Error: unknown flag: --bind-addres"),
        previous=True,
    )
    pod = cluster.workloads["till"].pods[0]
    pod.node, pod.ready, pod.phase, pod.created = None, False, "Pending", 15
    cluster.event(
        "ReplicaSet",
        f"till-{cluster.workloads['till'].revisions[0].hash}",
        "SuccessfulCreate",
        f"Created pod: {pod.name}",
        minutes=15,
        normal=True,
        component="replicaset-controller",
    )
    busy(cluster)
    return Story(
        cluster=cluster,
        alert="KubePodNotReady",
        summary=f"Pod fenwick/{pod.name} has been in a non-ready state",
        labels={"namespace": NAMESPACE, "pod": pod.name},
        fired=10,
        truth=truth(
            "control_plane", ("kube-scheduler", "scheduler_down", ""), ("scheduler", "scheduler_down", "")
        ),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-node-gone": node_gone,
    "k8s-node-disk-pressure": disk_pressure,
    "k8s-control-dns": dns,
    "k8s-control-scheduler": scheduler,
}
