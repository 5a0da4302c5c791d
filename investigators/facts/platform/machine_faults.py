"""Faults of nodes, of capacity, and of the cluster's own machinery."""

from __future__ import annotations

from investigators.facts.platform.effects import NOTHING, OWN, POD_TROUBLE, SICK, fault

NODES = {
    "node_not_ready": fault(
        "the node is not ready", 0.8, "look at its kubelet", explains=POD_TROUBLE, spreads=POD_TROUBLE
    ),
    "kubelet_stopped": fault(
        "the node's kubelet stopped",
        0.93,
        "start the kubelet, or the node",
        explains=POD_TROUBLE | {"node_not_ready", "node_pods_failing"},
        spreads=POD_TROUBLE,
    ),
    "container_runtime_down": fault(
        "the node's container runtime is down",
        0.95,
        "start the container runtime on the node",
        explains=POD_TROUBLE | {"node_not_ready", "node_pods_failing"},
        spreads=POD_TROUBLE,
    ),
    "cni_down": fault(
        "the node's network plugin does not work",
        0.95,
        "look at the network plugin's pod on the node",
        explains=POD_TROUBLE | {"node_not_ready", "node_pods_failing"},
        spreads=POD_TROUBLE,
    ),
    "kube_proxy_down": fault(
        "kube-proxy does not run on the node",
        0.93,
        "look at the kube-proxy pod on the node",
        explains=POD_TROUBLE,
        spreads=POD_TROUBLE,
    ),
    "node_memory_pressure": fault(
        "the node is short of memory",
        0.88,
        "see what uses it; drain the node",
        explains=POD_TROUBLE,
        spreads=POD_TROUBLE,
    ),
    "node_disk_pressure": fault(
        "the node is short of disk space",
        0.9,
        "free disk space on the node",
        explains=POD_TROUBLE,
        spreads=POD_TROUBLE,
    ),
    "node_pid_pressure": fault(
        "the node is short of process ids",
        0.9,
        "find what starts so many processes",
        explains=POD_TROUBLE,
        spreads=POD_TROUBLE,
    ),
    "node_cpu_pressure": fault(
        "the node has no CPU left",
        0.8,
        "see what uses it; move pods away",
        explains=POD_TROUBLE,
        spreads=POD_TROUBLE,
    ),
    "node_io_pressure": fault(
        "tasks on the node wait for its disks",
        0.75,
        "see what writes so much",
        explains=POD_TROUBLE,
        spreads=POD_TROUBLE,
    ),
    "node_cordoned": fault(
        "the node takes no new pods",
        0.45,
        "kubectl uncordon, when its work is done",
        explains=frozenset({"failed_scheduling"}),
        spreads=frozenset({"failed_scheduling"}),
    ),
    "node_drained": fault(
        "the node was drained",
        0.6,
        "kubectl uncordon, when its work is done",
        explains=frozenset({"node_cordoned", "failed_scheduling"}),
        spreads=POD_TROUBLE,
    ),
    "node_pods_failing": fault(
        "most pods of one node fail, elsewhere none",
        0.6,
        "look at the node",
        explains=POD_TROUBLE - {"node_pods_failing"},
        spreads=POD_TROUBLE,
    ),
    "network_delay": fault(
        "its network is slow", 0.88, "measure the way: ping, tc qdisc show", explains=OWN | {"packet_loss"}
    ),
    "packet_loss": fault(
        "its network loses packets", 0.88, "look at the interface's counters and tc qdisc show"
    ),
}

CAPACITY = {
    "cpu_throttling": fault(
        "it is held back by its CPU limit",
        0.75,
        "raise its CPU limit",
        explains=OWN | {"cpu_saturation", "probe_failing"},
    ),
    "cpu_saturation": fault("it uses all the CPU it may", 0.6, "see what it computes; add replicas"),
    "memory_near_limit": fault("its memory is near the limit", 0.4, "see whether it grows; raise the limit"),
    "replica_shortage": fault("it has too few replicas", 0.9, "scale it to what it was"),
    "replicas_unavailable": fault(
        "not all its replicas are ready",
        0.3,
        "see why its pods are not ready",
        explains=frozenset({"service_no_endpoints", "upstream_degraded"}),
    ),
    "autoscaler_limit": fault(
        "its autoscaler is at its maximum",
        0.75,
        "raise maxReplicas or lower the load",
        explains=OWN | {"cpu_saturation", "cpu_throttling"},
    ),
    "autoscaler_broken": fault(
        "its autoscaler cannot scale",
        0.7,
        "see why it reads no metrics",
        explains=OWN | {"cpu_saturation", "cpu_throttling"},
    ),
    "noisy_neighbour": fault(
        "it takes the CPU of its node from others",
        0.85,
        "limit it or move it away",
        explains=OWN | {"cpu_saturation"},
        spreads=SICK | {"node_cpu_pressure"},
    ),
    "latency_shift": fault("it became slower", 0.1, explains=NOTHING),
    "error_rate_shift": fault("more of its requests fail", 0.1, explains=NOTHING),
    "traffic_surge": fault(
        "it gets far more requests",
        0.35,
        "see who sends them; add replicas",
        explains=frozenset(
            {"cpu_saturation", "cpu_throttling", "latency_shift", "pool_exhausted", "autoscaler_limit"}
        ),
    ),
}

_MACHINERY = POD_TROUBLE | {"failed_scheduling", "replica_shortage", "autoscaler_broken", "operator_stuck"}
CONTROL_PLANE = {
    "api_server_down": fault(
        "the API server does not answer",
        0.93,
        "look at kube-apiserver on the control plane",
        explains=OWN | {"api_server_slow"},
        spreads=_MACHINERY,
    ),
    "api_server_slow": fault(
        "the API server is slow or fails", 0.7, "look at its load and at etcd", spreads=_MACHINERY
    ),
    "api_certificate_expired": fault(
        "a certificate of the control plane has expired",
        0.97,
        "renew it: kubeadm certs check-expiration",
        explains=OWN | {"api_server_down", "certificate_expiry"},
        spreads=_MACHINERY,
    ),
    "api_service_down": fault(
        "an extension of the API is not served", 0.8, "look at the pods behind it", spreads=_MACHINERY
    ),
    "etcd_down": fault(
        "etcd has no leader or does not run",
        0.97,
        "look at the etcd members",
        spreads=_MACHINERY | {"api_server_down", "api_server_slow"},
    ),
    "etcd_slow": fault(
        "etcd is slow",
        0.75,
        "look at the disks of the etcd members",
        spreads=_MACHINERY | {"api_server_slow"},
    ),
    "etcd_space_exceeded": fault(
        "etcd's database is full",
        0.97,
        "compact, defragment, disarm the alarm",
        spreads=_MACHINERY | {"api_server_slow"},
    ),
    "scheduler_down": fault("no scheduler places pods", 0.95, "look at kube-scheduler", spreads=_MACHINERY),
    "controller_manager_down": fault(
        "no controller acts on changes", 0.93, "look at kube-controller-manager", spreads=_MACHINERY
    ),
    "webhook_unavailable": fault(
        "an admission webhook does not answer",
        0.93,
        "bring the webhook's pods back, or set failurePolicy Ignore",
        spreads=_MACHINERY | {"webhook_denied", "webhook_unreachable"},
    ),
    "operator_stuck": fault("an operator does not act", 0.7, "look at the operator's pods and log"),
    "stuck_terminating": fault(
        "a finalizer keeps something from going away",
        0.5,
        "see why the finalizer's controller does not act",
        spreads=NOTHING,
    ),
}
