"""What broken things bring about, at themselves and at those that depend on them."""

from __future__ import annotations

from investigators.facts.charge import Fault

SICK = frozenset({
    "upstream_degraded", "dependency_down", "dependency_slow", "connection_refused", "error_rate_shift",
    "latency_shift", "log_template_new", "log_errors", "target_down", "external_outage", "pool_exhausted",
    "probe_failing", "crashloop", "traffic_surge", "consumer_lag", "queue_backlog", "dns_failure",
    "thread_pool_exhausted", "dependency_auth_failed", "rate_limited", "replicas_unavailable",
    "service_no_endpoints",
})  # fmt: skip
"""What those that depend on something broken show."""
OWN = frozenset({
    "upstream_degraded", "dependency_down", "dependency_slow", "connection_refused", "error_rate_shift",
    "latency_shift", "log_template_new", "log_errors", "target_down", "service_no_endpoints", "cache_down",
    "replicas_unavailable", "service_unready",
})  # fmt: skip
"""What something broken shows itself."""
POD_TROUBLE = SICK | {
    "oom_killed", "process_crash", "node_pods_failing", "failed_scheduling", "evicted", "volume_mount",
    "image_pull", "cpu_throttling", "cpu_saturation", "service_no_endpoints", "replicas_unavailable",
}  # fmt: skip


def fault(
    title: str, weight: float, *steps: str, explains: frozenset[str] = OWN, spreads: frozenset[str] = SICK
) -> Fault:
    return Fault(title=title, weight=weight, explains=explains, spreads=spreads, steps=steps)


NOTHING: frozenset[str] = frozenset()
