"""Faults on the way between services, and of what services depend on."""

from __future__ import annotations

from investigators.facts.platform.effects import NOTHING, OWN, SICK, fault

SERVICE_PATH = {
    "service_selector_mismatch": fault(
        "its Service selects none of its pods",
        0.95,
        "compare the Service's selector with the pods' labels: kubectl get service,pods --show-labels",
    ),
    "service_target_port_mismatch": fault(
        "its Service sends traffic to a port nobody listens on",
        0.92,
        "compare the Service's targetPort with the container's ports",
        explains=OWN | {"connect_timeout"},
    ),
    "service_missing": fault("its Service is gone", 0.93, "create the Service again: kubectl get service"),
    "service_name_wrong": fault(
        "it calls a Service by a wrong name",
        0.92,
        "correct the host in its environment or configuration",
        explains=OWN | {"dns_failure", "wrong_env_value"},
    ),
    "service_port_wrong": fault(
        "it calls a Service at a port the Service does not have",
        0.88,
        "correct the port in its environment or configuration",
        explains=OWN | {"wrong_env_value"},
    ),
    "external_name_wrong": fault(
        "its ExternalName leads nowhere",
        0.9,
        "correct spec.externalName of the Service",
        explains=OWN | {"dns_failure"},
    ),
    "service_no_endpoints": fault(
        "its Service has no ready endpoint",
        0.45,
        "look at its pods: kubectl get pods,endpointslices",
        explains=frozenset({"upstream_degraded", "dependency_down", "connection_refused", "target_down"}),
    ),
    "dns_failure": fault(
        "names cannot be looked up",
        0.85,
        "look at the resolver's pods and log: kubectl -n kube-system logs",
    ),
    "network_policy_blocked": fault(
        "a NetworkPolicy blocks a connection that is in use",
        0.93,
        "let the connection through in the policy, or remove the policy",
        explains=OWN | {"dns_failure"},
    ),
    "ingress_misroute": fault(
        "an Ingress sends its requests to the wrong place",
        0.92,
        "correct the Ingress's backend, path or class",
    ),
    "gateway_misroute": fault(
        "a route of the gateway or mesh leads to the wrong place",
        0.92,
        "correct the route's destination",
    ),
    "traffic_to_dead_subset": fault(
        "part of its traffic goes to a subset without pods",
        0.93,
        "move the weight to a subset that has pods, or start those of the other",
    ),
    "mesh_fault_injected": fault(
        "the mesh injects faults into its calls on purpose",
        0.97,
        "remove spec.http[].fault of the VirtualService",
    ),
    "mtls_mismatch": fault(
        "callers and callee do not agree on TLS",
        0.88,
        "bring PeerAuthentication and the callers' DestinationRule together",
    ),
}

DEPENDENCIES = {
    "dependency_down": fault(
        "others cannot reach it",
        0.55,
        "look at its pods, its process and its log",
        explains=frozenset({"upstream_degraded", "connection_refused", "target_down", "dependency_slow"}),
    ),
    "connection_refused": fault(
        "it refuses connections",
        0.45,
        "see whether its process listens on the port that is called",
        explains=frozenset({"upstream_degraded", "target_down"}),
    ),
    "upstream_degraded": fault("calls to it fail", 0.3, explains=frozenset({"error_rate_shift"})),
    "dependency_slow": fault(
        "it does not answer in time",
        0.4,
        "see what it waits for: its own calls, locks, CPU",
        explains=frozenset({"upstream_degraded", "latency_shift"}),
    ),
    "target_down": fault("the monitoring system cannot reach it", 0.4, explains=NOTHING),
    "cache_down": fault(
        "the cache does not answer",
        0.65,
        "look at its pods and its log",
        explains=OWN - {"cache_down"} | {"dependency_down"},
    ),
    "external_outage": fault(
        "a provider outside fails",
        0.8,
        "look at the provider's status page; switch over or degrade gracefully",
    ),
    "rate_limited": fault(
        "calls to it are refused as too many", 0.6, "lower the rate of calls or raise the limit"
    ),
    "dependency_auth_failed": fault(
        "credentials are refused",
        0.6,
        "compare the credential the client uses with what the server accepts",
    ),
    "db_auth_failed": fault(
        "a datastore refuses the credentials",
        0.9,
        "compare user and password of the client's Secret with the datastore's users",
        explains=OWN | {"dependency_auth_failed", "pool_exhausted"},
        spreads=SICK | {"db_auth_failed"},
    ),
    "db_read_only": fault(
        "the datastore takes no writes",
        0.9,
        "see whether it is a replica, was switched over, or ran out of disk",
    ),
    "db_permission": fault("the datastore denies permission", 0.88, "grant the client's role what it needs"),
    "db_disk_full": fault(
        "the datastore has no disk space left",
        0.97,
        "free or extend its volume",
        explains=OWN | {"db_read_only", "process_crash", "crashloop", "replication_lag", "disk_filling"},
    ),
    "disk_full": fault(
        "it has no disk space left",
        0.93,
        "free or extend the volume it writes to",
        explains=OWN | {"disk_filling", "process_crash", "crashloop", "evicted"},
    ),
    "db_deadlock": fault(
        "transactions deadlock in the datastore", 0.7, "see which statements lock each other"
    ),
    "lock_contention": fault(
        "statements wait for locks in the datastore",
        0.7,
        "find the transaction that holds the lock",
        explains=OWN | {"pool_exhausted", "too_many_connections"},
    ),
    "replication_lag": fault(
        "the replica lags behind", 0.65, "see what keeps it: load, disk, a long transaction"
    ),
    "too_many_connections": fault(
        "the datastore has no connection left",
        0.85,
        "see who holds them; lower the clients' pools",
        explains=OWN | {"pool_exhausted"},
    ),
    "pool_exhausted": fault(
        "its connection pool is exhausted",
        0.75,
        "see what holds the connections: leak, slow statements, load",
    ),
    "thread_pool_exhausted": fault("all its threads are busy", 0.6, "see what they wait for"),
    "migration_failed": fault(
        "the database schema is not what the code expects",
        0.9,
        "run the missing migration or roll back",
        explains=OWN | {"crashloop", "probe_failing", "process_crash"},
    ),
    "certificate_expiry": fault(
        "a certificate has expired",
        0.95,
        "renew the certificate and reload whoever serves it",
        explains=OWN | {"external_outage", "mtls_mismatch"},
    ),
    "certificate_expiring": fault("a certificate will expire soon", 0.0, explains=NOTHING, spreads=NOTHING),
    "certificate_not_issued": fault(
        "a certificate was never issued",
        0.8,
        "look at the CertificateRequest and the issuer",
    ),
    "clock_skew": fault("clocks differ", 0.88, "see whether time synchronisation runs on the node"),
    "consumer_lag": fault(
        "a consumer falls behind",
        0.5,
        "see what slows it down, or add consumers",
        explains=frozenset({"queue_backlog", "latency_shift"}),
    ),
    "queue_backlog": fault("messages pile up in a queue", 0.4, "see who should consume it", explains=NOTHING),
    "poison_message": fault(
        "one message fails again and again",
        0.92,
        "move the message aside and let the consumer go on",
        explains=OWN | {"consumer_lag", "queue_backlog", "crashloop", "process_crash"},
        spreads=SICK,
    ),
}
