"""What faults of a workload bring about, at itself and at those that call it."""

from __future__ import annotations

LOGS = frozenset({"log_errors", "log_template_new", "log_template_missing"})
DOWN = LOGS | {
    "target_down",
    "endpoints_empty",
    "error_rate_shift",
    "latency_shift",
    "throughput_shift",
    "upstream_degraded",
    "replicas_unavailable",
}
"""A service that has too few pods, or none."""
CRASHING = DOWN | {"crashloop", "process_crash", "process_restarted", "process_not_running", "probe_failing"}
CALLERS = LOGS | {
    "dependency_down",
    "dependency_refused",
    "upstream_degraded",
    "error_rate_shift",
    "latency_shift",
    "probe_failing",
    "crashloop",
    "process_crash",
}
"""What those that depend on such a service show."""
