"""What is known of each kind of fault of the platform: how close to a cause it is, what it brings about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from investigators.facts.charge import Fault

_SICK = frozenset({
    "upstream_degraded", "dependency_down", "dependency_slow", "connection_refused", "error_rate_shift",
    "latency_shift", "log_template_new", "log_errors", "target_down", "external_outage", "pool_exhausted",
    "probe_failing", "crashloop", "traffic_surge", "consumer_lag", "queue_backlog", "dns_failure",
    "thread_pool_exhausted", "dependency_auth_failed", "rate_limited", "replicas_unavailable",
    "service_no_endpoints",
})  # fmt: skip
"""What those that depend on something broken show."""
_OWN = frozenset({
    "upstream_degraded", "dependency_down", "dependency_slow", "connection_refused", "error_rate_shift",
    "latency_shift", "log_template_new", "log_errors", "target_down", "service_no_endpoints", "cache_down",
    "replicas_unavailable", "service_unready",
})  # fmt: skip
"""What something broken shows itself."""
_POD_TROUBLE = _SICK | {
    "oom_killed", "process_crash", "node_pods_failing", "failed_scheduling", "evicted", "volume_mount",
    "image_pull", "cpu_throttling", "cpu_saturation", "service_no_endpoints", "replicas_unavailable",
}  # fmt: skip


def _fault(
    title: str, weight: float, *steps: str, explains: frozenset[str] = _OWN, spreads: frozenset[str] = _SICK
) -> Fault:
    return Fault(title=title, weight=weight, explains=explains, spreads=spreads, steps=steps)


_NOTHING: frozenset[str] = frozenset()

_SERVICE_PATH = {
    "service_selector_mismatch": _fault(
        "its Service selects none of its pods", 0.95,
        "compare the Service's selector with the pods' labels: kubectl get service,pods --show-labels",
    ),
    "service_target_port_mismatch": _fault(
        "its Service sends traffic to a port nobody listens on", 0.92,
        "compare the Service's targetPort with the container's ports",
        explains=_OWN | {"connect_timeout"},
    ),
    "service_missing": _fault("its Service is gone", 0.93, "create the Service again: kubectl get service"),
    "service_name_wrong": _fault(
        "it calls a Service by a wrong name", 0.92, "correct the host in its environment or configuration",
        explains=_OWN | {"dns_failure", "wrong_env_value"},
    ),
    "service_port_wrong": _fault(
        "it calls a Service at a port the Service does not have", 0.88,
        "correct the port in its environment or configuration", explains=_OWN | {"wrong_env_value"},
    ),
    "external_name_wrong": _fault(
        "its ExternalName leads nowhere", 0.9, "correct spec.externalName of the Service",
        explains=_OWN | {"dns_failure"},
    ),
    "service_no_endpoints": _fault(
        "its Service has no ready endpoint", 0.45, "look at its pods: kubectl get pods,endpointslices",
        explains=frozenset({"upstream_degraded", "dependency_down", "connection_refused", "target_down"}),
    ),
    "dns_failure": _fault(
        "names cannot be looked up", 0.85, "look at the resolver's pods and log: kubectl -n kube-system logs",
    ),
    "network_policy_blocked": _fault(
        "a NetworkPolicy blocks a connection that is in use", 0.93,
        "let the connection through in the policy, or remove the policy", explains=_OWN | {"dns_failure"},
    ),
    "ingress_misroute": _fault(
        "an Ingress sends its requests to the wrong place", 0.92, "correct the Ingress's backend, path or class",
    ),
    "gateway_misroute": _fault(
        "a route of the gateway or mesh leads to the wrong place", 0.92, "correct the route's destination",
    ),
    "traffic_to_dead_subset": _fault(
        "part of its traffic goes to a subset without pods", 0.93,
        "move the weight to a subset that has pods, or start those of the other",
    ),
    "mesh_fault_injected": _fault(
        "the mesh injects faults into its calls on purpose", 0.97, "remove spec.http[].fault of the VirtualService",
    ),
    "mtls_mismatch": _fault(
        "callers and callee do not agree on TLS", 0.88,
        "bring PeerAuthentication and the callers' DestinationRule together",
    ),
}  # fmt: skip

_DEPENDENCIES = {
    "dependency_down": _fault(
        "others cannot reach it", 0.55, "look at its pods, its process and its log",
        explains=frozenset({"upstream_degraded", "connection_refused", "target_down", "dependency_slow"}),
    ),
    "connection_refused": _fault(
        "it refuses connections", 0.45, "see whether its process listens on the port that is called",
        explains=frozenset({"upstream_degraded", "target_down"}),
    ),
    "upstream_degraded": _fault("calls to it fail", 0.3, explains=frozenset({"error_rate_shift"})),
    "dependency_slow": _fault(
        "it does not answer in time", 0.4, "see what it waits for: its own calls, locks, CPU",
        explains=frozenset({"upstream_degraded", "latency_shift"}),
    ),
    "target_down": _fault("the monitoring system cannot reach it", 0.4, explains=_NOTHING),
    "cache_down": _fault(
        "the cache does not answer", 0.65, "look at its pods and its log",
        explains=_OWN - {"cache_down"} | {"dependency_down"},
    ),
    "external_outage": _fault(
        "a provider outside fails", 0.8, "look at the provider's status page; switch over or degrade gracefully",
    ),
    "rate_limited": _fault("calls to it are refused as too many", 0.6, "lower the rate of calls or raise the limit"),
    "dependency_auth_failed": _fault(
        "credentials are refused", 0.6, "compare the credential the client uses with what the server accepts",
    ),
    "db_auth_failed": _fault(
        "a datastore refuses the credentials", 0.9,
        "compare user and password of the client's Secret with the datastore's users",
        explains=_OWN | {"dependency_auth_failed", "pool_exhausted"},
        spreads=_SICK | {"db_auth_failed"},
    ),
    "db_read_only": _fault(
        "the datastore takes no writes", 0.9, "see whether it is a replica, was switched over, or ran out of disk",
    ),
    "db_permission": _fault("the datastore denies permission", 0.88, "grant the client's role what it needs"),
    "db_disk_full": _fault(
        "the datastore has no disk space left", 0.97, "free or extend its volume",
        explains=_OWN | {"db_read_only", "process_crash", "crashloop", "replication_lag", "disk_filling"},
    ),
    "db_deadlock": _fault("transactions deadlock in the datastore", 0.7, "see which statements lock each other"),
    "lock_contention": _fault(
        "statements wait for locks in the datastore", 0.7, "find the transaction that holds the lock",
        explains=_OWN | {"pool_exhausted", "too_many_connections"},
    ),
    "replication_lag": _fault("the replica lags behind", 0.65, "see what keeps it: load, disk, a long transaction"),
    "too_many_connections": _fault(
        "the datastore has no connection left", 0.85, "see who holds them; lower the clients' pools",
        explains=_OWN | {"pool_exhausted"},
    ),
    "pool_exhausted": _fault(
        "its connection pool is exhausted", 0.75, "see what holds the connections: leak, slow statements, load",
    ),
    "thread_pool_exhausted": _fault("all its threads are busy", 0.6, "see what they wait for"),
    "migration_failed": _fault(
        "the database schema is not what the code expects", 0.9, "run the missing migration or roll back",
        explains=_OWN | {"crashloop", "probe_failing", "process_crash"},
    ),
    "certificate_expiry": _fault(
        "a certificate has expired", 0.95, "renew the certificate and reload whoever serves it",
        explains=_OWN | {"external_outage", "mtls_mismatch"},
    ),
    "certificate_expiring": _fault("a certificate will expire soon", 0.0, explains=_NOTHING, spreads=_NOTHING),
    "certificate_not_issued": _fault(
        "a certificate was never issued", 0.8, "look at the CertificateRequest and the issuer",
    ),
    "clock_skew": _fault("clocks differ", 0.88, "see whether time synchronisation runs on the node"),
    "consumer_lag": _fault(
        "a consumer falls behind", 0.5, "see what slows it down, or add consumers",
        explains=frozenset({"queue_backlog", "latency_shift"}),
    ),
    "queue_backlog": _fault("messages pile up in a queue", 0.4, "see who should consume it", explains=_NOTHING),
    "poison_message": _fault(
        "one message fails again and again", 0.92, "move the message aside and let the consumer go on",
        explains=_OWN | {"consumer_lag", "queue_backlog", "crashloop", "process_crash"},
        spreads=_SICK,
    ),
}  # fmt: skip

_NODES = {
    "node_not_ready": _fault("the node is not ready", 0.8, "look at its kubelet", explains=_POD_TROUBLE,
                             spreads=_POD_TROUBLE),
    "kubelet_stopped": _fault(
        "the node's kubelet stopped", 0.93, "start the kubelet, or the node",
        explains=_POD_TROUBLE | {"node_not_ready"}, spreads=_POD_TROUBLE,
    ),
    "container_runtime_down": _fault(
        "the node's container runtime is down", 0.95, "start the container runtime on the node",
        explains=_POD_TROUBLE | {"node_not_ready"}, spreads=_POD_TROUBLE,
    ),
    "cni_down": _fault(
        "the node's network plugin does not work", 0.95, "look at the network plugin's pod on the node",
        explains=_POD_TROUBLE | {"node_not_ready"}, spreads=_POD_TROUBLE,
    ),
    "kube_proxy_down": _fault(
        "kube-proxy does not run on the node", 0.93, "look at the kube-proxy pod on the node",
        explains=_POD_TROUBLE, spreads=_POD_TROUBLE,
    ),
    "node_memory_pressure": _fault("the node is short of memory", 0.88, "see what uses it; drain the node",
                                   explains=_POD_TROUBLE, spreads=_POD_TROUBLE),
    "node_disk_pressure": _fault("the node is short of disk space", 0.9, "free disk space on the node",
                                 explains=_POD_TROUBLE, spreads=_POD_TROUBLE),
    "node_pid_pressure": _fault("the node is short of process ids", 0.9, "find what starts so many processes",
                                explains=_POD_TROUBLE, spreads=_POD_TROUBLE),
    "node_cpu_pressure": _fault("the node has no CPU left", 0.8, "see what uses it; move pods away",
                                explains=_POD_TROUBLE, spreads=_POD_TROUBLE),
    "node_io_pressure": _fault("tasks on the node wait for its disks", 0.75, "see what writes so much",
                               explains=_POD_TROUBLE, spreads=_POD_TROUBLE),
    "node_cordoned": _fault("the node takes no new pods", 0.45, "kubectl uncordon, when its work is done",
                            explains=frozenset({"failed_scheduling"}), spreads=frozenset({"failed_scheduling"})),
    "node_drained": _fault("the node was drained", 0.6, "kubectl uncordon, when its work is done",
                           explains=frozenset({"node_cordoned", "failed_scheduling"}), spreads=_POD_TROUBLE),
    "node_pods_failing": _fault("most pods of one node fail, elsewhere none", 0.6, "look at the node",
                                explains=_POD_TROUBLE - {"node_pods_failing"}, spreads=_POD_TROUBLE),
    "network_delay": _fault("its network is slow", 0.88, "measure the way: ping, tc qdisc show",
                            explains=_OWN | {"packet_loss"}),
    "packet_loss": _fault("its network loses packets", 0.88, "look at the interface's counters and tc qdisc show"),
}  # fmt: skip

_CAPACITY = {
    "cpu_throttling": _fault("it is held back by its CPU limit", 0.75, "raise its CPU limit",
                             explains=_OWN | {"cpu_saturation", "probe_failing"}),
    "cpu_saturation": _fault("it uses all the CPU it may", 0.6, "see what it computes; add replicas"),
    "memory_near_limit": _fault("its memory is near the limit", 0.4, "see whether it grows; raise the limit"),
    "replica_shortage": _fault("it has too few replicas", 0.9, "scale it to what it was"),
    "replicas_unavailable": _fault("not all its replicas are ready", 0.3, "see why its pods are not ready",
                                   explains=frozenset({"service_no_endpoints", "upstream_degraded"})),
    "autoscaler_limit": _fault("its autoscaler is at its maximum", 0.75, "raise maxReplicas or lower the load",
                               explains=_OWN | {"cpu_saturation", "cpu_throttling"}),
    "autoscaler_broken": _fault("its autoscaler cannot scale", 0.7, "see why it reads no metrics",
                                explains=_OWN | {"cpu_saturation", "cpu_throttling"}),
    "noisy_neighbour": _fault("it takes the CPU of its node from others", 0.85, "limit it or move it away",
                              explains=_OWN | {"cpu_saturation"}, spreads=_SICK | {"node_cpu_pressure"}),
    "latency_shift": _fault("it became slower", 0.1, explains=_NOTHING),
    "error_rate_shift": _fault("more of its requests fail", 0.1, explains=_NOTHING),
    "traffic_surge": _fault("it gets far more requests", 0.35, "see who sends them; add replicas",
                            explains=frozenset({"cpu_saturation", "cpu_throttling", "latency_shift",
                                                "pool_exhausted", "autoscaler_limit"})),
}  # fmt: skip

_MACHINERY = _POD_TROUBLE | {"failed_scheduling", "replica_shortage", "autoscaler_broken", "operator_stuck"}
_CONTROL_PLANE = {
    "api_server_down": _fault("the API server does not answer", 0.93, "look at kube-apiserver on the control plane",
                              explains=_OWN | {"api_server_slow"}, spreads=_MACHINERY),
    "api_server_slow": _fault("the API server is slow or fails", 0.7, "look at its load and at etcd",
                              spreads=_MACHINERY),
    "api_certificate_expired": _fault("a certificate of the control plane has expired", 0.97,
                                      "renew it: kubeadm certs check-expiration",
                                      explains=_OWN | {"api_server_down", "certificate_expiry"},
                                      spreads=_MACHINERY),
    "api_service_down": _fault("an extension of the API is not served", 0.8, "look at the pods behind it",
                               spreads=_MACHINERY),
    "etcd_down": _fault("etcd has no leader or does not run", 0.97, "look at the etcd members",
                        spreads=_MACHINERY | {"api_server_down", "api_server_slow"}),
    "etcd_slow": _fault("etcd is slow", 0.75, "look at the disks of the etcd members",
                        spreads=_MACHINERY | {"api_server_slow"}),
    "etcd_space_exceeded": _fault("etcd's database is full", 0.97, "compact, defragment, disarm the alarm",
                                  spreads=_MACHINERY | {"api_server_slow"}),
    "scheduler_down": _fault("no scheduler places pods", 0.95, "look at kube-scheduler", spreads=_MACHINERY),
    "controller_manager_down": _fault("no controller acts on changes", 0.93, "look at kube-controller-manager",
                                      spreads=_MACHINERY),
    "webhook_unavailable": _fault("an admission webhook does not answer", 0.93,
                                  "bring the webhook's pods back, or set failurePolicy Ignore",
                                  spreads=_MACHINERY | {"webhook_denied"}),
    "operator_stuck": _fault("an operator does not act", 0.7, "look at the operator's pods and log"),
    "stuck_terminating": _fault("a finalizer keeps something from going away", 0.5,
                                "see why the finalizer's controller does not act", spreads=_NOTHING),
}  # fmt: skip

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {**_SERVICE_PATH, **_DEPENDENCIES, **_NODES, **_CAPACITY, **_CONTROL_PLANE}
)
