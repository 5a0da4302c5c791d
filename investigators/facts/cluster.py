"""cluster_pressure: does the cluster as a whole suffer, as its metrics tell?"""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.evidence import Evidence, Fact
from investigators.entities import Entity
from investigators.pack import Pack, absent, complete, found, series_of, unknown, why_nothing
from investigators.plan import CLUSTER_METRICS, Scope

KIND = "cluster_pressure"
_RULE = "cluster.metrics"
_MOST_PODS = 0.25
_LOW_MEMORY = 0.07
_BUSY = 0.9
_LOOPING = "CrashLoopBackOff"
"""A pod that loops counts as running; one that waits for anything else counts as pending already."""


def check(pack: Pack, entity: Entity) -> list[Fact]:
    """Nothing where the alert is not about something in a cluster."""
    answers = {name: pack.instants(entity.subject, name, Scope.CLUSTER) for name in CLUSTER_METRICS}
    looked = tuple(item for items in answers.values() for item in items)
    if not looked:
        return []
    said, bad = [], []
    for words, trouble in _signs(answers):
        said.append(words)
        if trouble:
            bad.append(words)
    if not said:
        why = why_nothing(looked, "the cluster's metrics are not collected")
        return [unknown(KIND, entity.subject, looked, _RULE, why)]
    used = tuple(item for item in looked if item.usable and item.series)
    if bad:
        confidence = 0.85 if len(bad) > 1 else 0.7
        detail = f"the cluster as a whole is under pressure: {', '.join(bad)}"
        return [found(KIND, entity.subject, confidence, used, _RULE, detail, signs=float(len(bad)))]
    detail = f"the cluster as a whole is well: {', '.join(said)}"
    if all(complete(item) for item in used):
        return [absent(KIND, entity.subject, 0.8, used, _RULE, detail)]
    return [unknown(KIND, entity.subject, used, _RULE, f"{detail}, as far as was read")]


def _signs(answers: dict[str, tuple[Evidence, ...]]) -> Iterator[tuple[str, bool]]:
    """Each thing that is known, in words, and whether it is pressure."""
    conditions = _by(answers["kube_node_status_condition"], "condition")
    nodes = sum(_by(answers["kube_node_info"], "").values())
    if "Ready" in conditions and nodes:
        ready = conditions["Ready"]
        yield f"{ready:.0f} of {nodes:.0f} nodes are ready", nodes - ready >= max(1.0, nodes / 2)
        pressed = {k: v for k, v in conditions.items() if k.endswith("Pressure") and v > 0}
        for name, count in pressed.items():
            yield f"{count:.0f} nodes have {name}", count >= max(2.0, nodes / 2)
    phases = _by(answers["kube_pod_status_phase"], "phase")
    alive = sum(count for phase, count in phases.items() if phase != "Succeeded")
    if alive:
        failing = sum(phases.get(phase, 0.0) for phase in ("Failed", "Pending", "Unknown"))
        waiting = _by(answers["kube_pod_container_status_waiting_reason"], "reason")
        bad = failing + waiting.get(_LOOPING, 0.0)
        yield f"{bad:.0f} of {alive:.0f} pods fail or wait", bad >= max(3.0, _MOST_PODS * alive)
    free = _by(answers["node_memory_MemAvailable_bytes"], "instance")
    total = _by(answers["node_memory_MemTotal_bytes"], "instance")
    shares = [free[name] / total[name] for name in free if total.get(name)]
    if shares:
        low = sum(share <= _LOW_MEMORY for share in shares)
        yield f"the fullest machine has {min(shares):.0%} of its memory left", low >= max(2, len(shares) / 2)
    idle = _by(answers["node_cpu_seconds_total"], "instance")
    if idle:
        busy = sum(value <= 1 - _BUSY for value in idle.values())
        most = 1 - min(idle.values())
        yield f"the busiest machine uses {max(0.0, most):.0%} of its CPU", busy >= max(2, len(idle) / 2)
    firing = sum(_by(answers["ALERTS"], "").values())
    if firing:
        yield f"{firing:.0f} alerts fire", False


def _by(answers: tuple[Evidence, ...], label: str) -> dict[str, float]:
    """The last values of the first source that has some, by one label."""
    for item in answers:
        values = {
            one.labels.get(label, ""): one.samples[-1].value for _, one in series_of((item,)) if one.samples
        }
        if values:
            return values
    return {}
