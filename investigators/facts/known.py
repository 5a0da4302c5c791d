"""Every fault of a world that can be a cause, by kind, with what is known of it; see docs/faults.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from investigators.facts import security, spread
from investigators.facts.charge import Fault, WorldRule
from investigators.facts.platform import catalogue as platform
from investigators.facts.workloads import catalogue as workloads

_LOGS = frozenset({"log_template_new", "log_template_missing", "log_errors"})
_SLOW = frozenset({"latency_shift", "network_delay"}) | _LOGS
SYMPTOMS = frozenset({"error_rate_shift", "upstream_degraded", "target_down"}) | _SLOW
"""What anything that depends on something broken shows as well."""

_STATISTICAL: Mapping[str, Fault] = {
    "latency_shift": Fault(
        title="it became slower, by more than what it depends on",
        weight=0.8,
        spreads=SYMPTOMS,
        steps=("Compare a slow trace with one from before: which operation takes the time?",),
    ),
    "error_rate_shift": Fault(
        title="it fails more often, by more than what it depends on",
        weight=0.8,
        spreads=SYMPTOMS,
        steps=("Read a failing trace from its deepest error upwards.",),
    ),
    "network_delay": Fault(
        title="time is lost on the way to and from it",
        weight=0.95,
        explains=_SLOW,
        spreads=SYMPTOMS,
        steps=("Look at retransmits and queueing on the pod's node (ss -ti, tc -s qdisc).",),
    ),
    "log_template_missing": Fault(
        title="its code takes another way: a usual log line or call is missing",
        weight=0.85,
        explains=_LOGS,
        spreads=SYMPTOMS,
        steps=("Compare with the last change to this service.",),
    ),
    "log_template_new": Fault(
        title="a new kind of error appears in its log",
        weight=0.85,
        explains=_LOGS,
        spreads=SYMPTOMS,
        steps=("Read the log around the first new error.",),
    ),
    "cpu_saturation": Fault(
        title="CPU is saturated",
        weight=0.95,
        explains=_SLOW | {"error_rate_shift"},
        spreads=SYMPTOMS,
        steps=("Profile the busy process (perf top, py-spy top) before restarting or scaling.",),
    ),
    "resource_pressure": Fault(
        title="a resource runs short", weight=0.8, explains=_SLOW | {"error_rate_shift"}, spreads=SYMPTOMS
    ),
    "bad_change": Fault(
        title="a change broke it",
        weight=0.95,
        explains=SYMPTOMS | {"recent_deploy", "config_changed"},
        spreads=SYMPTOMS,
        steps=("Roll the change back, or mend it forward.",),
    ),
}
"""Faults found by comparing, where the object is surer than the kind."""

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {**workloads.FAULTS, **platform.FAULTS, **security.FAULTS, **_STATISTICAL}
)
WORLD_RULES: tuple[WorldRule, ...] = (
    *workloads.WORLD_RULES,
    *platform.WORLD_RULES,
    *security.WORLD_RULES,
    *spread.WORLD_RULES,
)
COMPARED = frozenset(_STATISTICAL)
