"""What faults of a workload bring about, at itself and at those that call it."""

from __future__ import annotations

LOGS = frozenset({"log_errors", "log_template_new", "log_template_missing"})
_SLOW = frozenset(
    {
        "error_rate_shift",
        "latency_shift",
        "upstream_degraded",
        "dependency_down",
        "dependency_slow",
        "connection_refused",
        "service_no_endpoints",
        "replicas_unavailable",
        "target_down",
    }
)
DOWN = LOGS | _SLOW | {"replica_shortage", "service_unready"}
"""A service that has too few pods, or none."""
CRASHING = DOWN | {"crashloop", "process_crash", "process_restarted", "process_not_running", "probe_failing"}
CALLERS = (
    LOGS
    | _SLOW
    | {
        "dns_failure",
        "pool_exhausted",
        "thread_pool_exhausted",
        "consumer_lag",
        "queue_backlog",
        "probe_failing",
        "crashloop",
        "process_crash",
    }
)
"""What those that depend on such a service show."""
