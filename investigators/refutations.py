"""What speaks against a cause found anywhere in a world: each test gives a reason a person can read, or None.

A fault may be real and still not be why the alert fired: the tests say so where the evidence shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from bot.domain.evidence import Fact, FactVerdict
from investigators.entities import Entity
from investigators.facts.known import COMPARED, FAULTS
from investigators.health import Pod, Traced, pods_of
from investigators.hypotheses import Candidate, concerns
from investigators.ranking import human_time
from investigators.world.building import Owners
from investigators.world.world import World

_AFTER = timedelta(minutes=2)
_CHRONIC = timedelta(hours=6)
_CLOSE = 0.1
_SURE = 0.7
_CAUSE = 0.5
_DATED = frozenset({"oom_killed", "process_crash", "process_stopped", "evicted", "bad_change"})
"""Faults of which the first time is known, where they happened once."""
_ENDS = frozenset({"oom_killed", "process_crash", "crashloop", "process_not_running"})
_DOWN = frozenset(
    {
        "dependency_down", "cache_down", "connection_refused", "service_no_endpoints", "process_not_running",
        "process_hang", "deadlock",
    }
)  # fmt: skip
"""Faults with which an object serves nobody."""
_FAILING = frozenset({"dependency_slow", "upstream_degraded"})
"""Faults that callers report and the object itself must show."""
_UNFELT = frozenset(
    {
        "consumer_lag", "queue_backlog", "poison_message", "replication_lag", "noisy_neighbour",
        "operator_stuck", "stuck_terminating", "replicas_unavailable", "certificate_not_issued",
        "webhook_denied", "webhook_unreachable", "webhook_unavailable", "rbac_denied", "node_cordoned",
    }
)  # fmt: skip
"""Faults that do harm without a call failing."""
_STARVED = frozenset({"cpu_saturation", "cpu_throttling", "node_cpu_pressure"})
_NODE = frozenset(
    {
        "node_not_ready", "kubelet_stopped", "container_runtime_down", "cni_down", "kube_proxy_down",
        "node_memory_pressure", "node_disk_pressure", "node_pid_pressure", "node_cpu_pressure",
        "node_io_pressure", "packet_loss", "network_delay",
    }
)  # fmt: skip
_OTHERS = 3
"""So many other workloads must do well on a node to clear it."""
_OF_A_LIMIT = frozenset({"oom_killed", "process_crash"})
"""What a node brings about only by being short of memory."""
_SLOW_BURNING = frozenset(
    {
        "bad_change", "memory_growth", "disk_filling", "fd_exhaustion", "file_handle_exhaustion",
        "thread_exhaustion", "consumer_lag", "queue_backlog", "certificate_expiry", "evicted", "disk_full",
        "db_disk_full",
    }
)  # fmt: skip
"""Faults that hurt only long after they begin."""


class Grounds:
    """The world as the tests read it. ``raw`` are the facts before conflicts were capped; ``steady`` objects
    whose own measures are as ever."""

    def __init__(
        self, world: World, entities: Sequence[Entity], raw: Sequence[Fact], steady: frozenset[str]
    ) -> None:
        self.world = world
        self.entities = entities
        self.steady = steady
        self.raw = raw
        self.traced = Traced(world)

    @cached_property
    def found(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.raw if fact.verdict is FactVerdict.FOUND and fact.subject_kind)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        return pods_of(self.world.cluster)

    @cached_property
    def whole(self) -> bool:
        """Whether every pod was read."""
        return self.world.cluster.knows("Pod")

    @cached_property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Each alerted object's subject, with every name that the world has for it."""
        owners = Owners(self.world.cluster)
        return {
            entity.subject: frozenset(
                {entity.subject, *(owners.of(alert.labels)[0] for alert in entity.alerts)} - {""}
            )
            for entity in self.entities
        }

    def explained(self, candidate: Candidate) -> tuple[Entity, ...]:
        """The alerted objects that the fault can have hurt: its own, and those that depend on its object."""
        reached = self.world.graph.distances(candidate.hypothesis.object, upstream=True)
        return tuple(
            entity
            for entity in self.entities
            if concerns(entity, candidate.direct[0])
            or any(name in reached for name in self.names[entity.subject])
        )

    def alerted(self, name: str) -> bool:
        return any(name in names for names in self.names.values())

    def effect(self, candidate: Candidate) -> datetime:
        """When what it may have caused began, by the alerts: the latest where that is not sure."""
        hurt = self.explained(candidate) or self.entities
        return max((entity.onset for entity in hurt), default=self.world.onset)

    def pods_of(self, name: str) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.pods if pod.workload == name)


Refutation = Callable[[Candidate, Grounds], str | None]


def too_late(candidate: Candidate, grounds: Grounds) -> str | None:
    """A cause does not begin after its effect. What happened often, or to a pod that was not there before,
    may have happened earlier as well."""
    began = _began(candidate)
    if began is None or candidate.hypothesis.fault not in _DATED:
        return None
    if any(fact.values.get("restarts", 0.0) > 1 for fact in candidate.direct):
        return None
    effect = grounds.effect(candidate)
    late = began - effect
    if late <= _AFTER:
        return None
    pods = grounds.pods_of(candidate.hypothesis.object)
    if candidate.hypothesis.fault != "bad_change" and not all(pod.existed(effect) for pod in pods):
        return None
    if candidate.hypothesis.fault == "bad_change":
        return f"it was made {human_time(late)} after the alert began"
    return f"it began {human_time(late)} after the alert did, so it is a consequence"


def never_ended(candidate: Candidate, grounds: Grounds) -> str | None:
    """Said to have crashed, and no pod of it ever ended."""
    name, fault = candidate.key
    pods = grounds.pods_of(name)
    if fault not in _ENDS or not pods or not grounds.whole:
        return None
    earliest = min(_began(candidate) or grounds.world.onset, grounds.world.onset)
    if not all(pod.untouched_since(earliest) for pod in pods):
        return None
    return f"none of the containers of its {_count(len(pods), 'pod')} ever ended, and all are ready"


def other_exit_code(candidate: Candidate, grounds: Grounds) -> str | None:
    """The kernel kills with SIGKILL: an end with another code, which nobody calls an OOM kill, is none."""
    pods = grounds.pods_of(candidate.hypothesis.object)
    codes = sorted({code for pod in pods for code in pod.codes})
    if candidate.hypothesis.fault != "oom_killed" or not codes or not grounds.whole:
        return None
    if 137 in codes or any(pod.killed for pod in pods):
        return None
    said = ", ".join(str(code) for code in codes)
    return f"its containers ended with exit code {said}, an OOM kill ends with 137"


def serves_as_ever(candidate: Candidate, grounds: Grounds) -> str | None:
    """Said to be down or failing, and by its own measures it is not."""
    name, fault = candidate.key
    if fault not in _DOWN | _FAILING or _compared(candidate):
        return None
    fares = grounds.traced.served(name)
    if fares is not None and fares.well:
        now = fares.since
        return (
            f"it goes on serving: {now.count} calls since the alert began, as many and as fast as before, "
            f"{now.share_failed:.0%} of them failed"
        )
    ended = any(not pod.ready for pod in grounds.pods_of(name))
    if name in grounds.steady and not ended and (fares is None or fares.well):
        return "its own traffic and errors are as they normally are"
    return None


def unfelt(candidate: Candidate, grounds: Grounds) -> str | None:
    """Whoever calls it would notice, is traced, and notices nothing."""
    name, fault = candidate.key
    kind = candidate.hypothesis.object_kind
    if _compared(candidate) or fault in _UNFELT or kind not in ("service", "datastore"):
        return None
    if grounds.alerted(name) or not FAULTS[fault].spreads:
        return None
    fares = grounds.traced.met(name)
    if fares is None or not fares.well:
        return None
    return f"those that call it notice nothing: {fares.since.count} calls as fast and successful as before"


def starved(candidate: Candidate, grounds: Grounds) -> str | None:
    """Time that a starved process loses looks like time lost on the way to it."""
    name, fault = candidate.key
    if fault != "network_delay":
        return None
    sure = candidate.direct[0].confidence
    for fact in grounds.found:
        if fact.subject == name and fact.kind in _STARVED and fact.confidence >= sure - _CLOSE:
            return f"it is short of CPU, so the time is lost in it and not on the way: {fact.detail}"
    return None


def node_is_fine(candidate: Candidate, grounds: Grounds) -> str | None:
    """Other workloads do well on the node, and the one that does not has a fault of its own."""
    name, fault = candidate.key
    if fault not in _NODE or candidate.hypothesis.object_kind != "node":
        return None
    here = [pod for pod in grounds.pods if pod.node == name]
    bad = {
        pod.workload for pod in here if not pod.untouched_since(grounds.world.onset) or _alerted(pod, grounds)
    }
    well = {pod.workload for pod in here} - bad
    if len(bad) != 1 or len(well) < _OTHERS or not grounds.whole:
        return None
    spreads = FAULTS[fault].spreads
    if fault != "node_memory_pressure":
        spreads = spreads - _OF_A_LIMIT
    for fact in grounds.found:
        known = FAULTS.get(fact.kind)
        own = fact.subject in bad and fact.kind not in spreads and fact.confidence >= _SURE
        if own and known is not None and known.weight >= _CAUSE and fact.kind not in COMPARED:
            return (
                f"{len(well)} other workloads on it are ready and did not restart; "
                f"{fact.subject} has a fault of its own: {fact.detail}"
            )
    return None


def _alerted(pod: Pod, grounds: Grounds) -> bool:
    return grounds.alerted(pod.workload)


def chronic(candidate: Candidate, rivals: Sequence[Candidate], grounds: Grounds) -> str | None:
    """It was so for hours before, and something new explains what is new."""
    began = _began(candidate)
    if began is None or candidate.hypothesis.fault in _SLOW_BURNING:
        return None
    long = grounds.world.onset - began
    if long < _CHRONIC or not any(_is_news(rival, candidate, grounds) for rival in rivals):
        return None
    return f"it has been so for {human_time(long)} before the alert, so it does not explain what is new"


def _is_news(rival: Candidate, old: Candidate, grounds: Grounds) -> bool:
    began = _began(rival)
    return (
        rival is not old
        and rival.alone == 0.0
        and rival.hypothesis.score >= _CAUSE
        and not _compared(rival)
        and began is not None
        and grounds.world.onset - began < _CHRONIC
        and bool(grounds.explained(rival))
    )


def _began(candidate: Candidate) -> datetime | None:
    """The earliest time of which a fact says that it was so; None where one does not say."""
    times = [fact.values["onset"] for fact in candidate.direct if "onset" in fact.values]
    if not times or len(times) < len(candidate.direct):
        return None
    return datetime.fromtimestamp(min(times), UTC)


def _compared(candidate: Candidate) -> bool:
    """Found by comparing alone: what traces and series say has been weighed already."""
    return candidate.hypothesis.fault in COMPARED and all("nats" in f.values for f in candidate.direct)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


REFUTATIONS: tuple[Refutation, ...] = (
    too_late, never_ended, other_exit_code, serves_as_ever, unfelt, starved, node_is_fine,
)  # fmt: skip
