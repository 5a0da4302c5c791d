"""Found facts → ranked hypotheses. A cause that explains another finding outranks what it explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from bot.domain.diagnosis import Hypothesis
from bot.domain.evidence import Evidence, Fact, FactVerdict
from bot.domain.ids import EvidenceId
from investigators.entities import Entity
from investigators.expression import alert_expression

CONFLICT_CAP = 0.60
_MOST = 0.97
_SUPPORT = 0.05
_RELEVANT = 0.10
_UNRELATED_MACHINE = 0.7
SYMPTOM = 0.6
"""What is left of the score of a symptom, and how strong its cause must be beside it."""

WEIGHTS: Mapping[str, float] = {
    "process_crash": 1.0,
    "memory_growth": 1.0,
    "fd_exhaustion": 1.0,
    "disk_filling": 1.0,
    "port_taken": 1.0,
    "process_hang": 0.95,
    "unit_failed": 0.95,
    "too_many_processes": 0.9,
    "process_stopped": 0.9,
    "process_not_running": 0.85,
    "cpu_saturation": 0.85,
    "process_high_memory": 0.9,
    "process_high_cpu": 0.8,
    "memory_pressure": 0.8,
    "zombie_processes": 0.5,
    "target_down": 0.65,
    "log_template_new": 0.55,
    "log_errors": 0.4,
}
"""Faults that can be a cause, and how close to the cause each is; other kinds only support."""

_LOGS = frozenset({"log_template_new", "log_errors"})
EXPLAINS: Mapping[str, frozenset[str]] = {
    "process_crash": frozenset({"process_not_running", "target_down", "process_restarted", "unit_failed"})
    | _LOGS,
    "port_taken": frozenset({"unit_failed", "process_crash", "process_not_running", "process_restarted"})
    | frozenset({"process_hang", "target_down"})
    | _LOGS,
    "unit_failed": frozenset({"process_not_running", "target_down", "process_restarted"}) | _LOGS,
    "process_high_memory": frozenset({"memory_pressure"}),
    "process_high_cpu": frozenset({"cpu_saturation"}),
    "too_many_processes": frozenset({"cpu_saturation", "memory_pressure", "fd_exhaustion"}),
    "process_stopped": frozenset({"process_not_running", "target_down"}),
    "process_not_running": frozenset({"target_down"}),
    "process_hang": frozenset({"target_down"}) | _LOGS,
    "memory_growth": frozenset({"memory_pressure", "process_restarted"}) | _LOGS,
    "fd_exhaustion": frozenset({"process_hang", "target_down"}) | _LOGS,
    "disk_filling": _LOGS,
    "cpu_saturation": frozenset({"process_hang", "target_down"}) | _LOGS,
    "memory_pressure": frozenset({"process_crash", "process_restarted"}) | _LOGS,
    "target_down": _LOGS,
}
"""What each fault brings about at the same entity."""

EXCLUSIVE: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("scope_cluster_wide", "scope_one_instance"),
        ("process_not_running", "process_hang"),
        ("process_not_running", "deadlock"),
        # Who has no Service at all has none that is wrong.
        ("service_missing", "service_selector_mismatch"),
        ("service_missing", "service_target_port_mismatch"),
        # A scheduler that says why it places no pod is there.
        ("scheduler_missing", "insufficient_cpu"),
        ("scheduler_missing", "insufficient_memory"),
        ("scheduler_missing", "taint_not_tolerated"),
        ("scheduler_missing", "node_selector_mismatch"),
        ("scheduler_missing", "node_affinity_mismatch"),
        ("scheduler_missing", "pvc_unbound"),
        # A registry that knows no such tag, or refuses the credentials, was reached.
        ("image_registry_unreachable", "image_tag_missing"),
        ("image_registry_unreachable", "image_pull_auth"),
        # A silent kubelet reports nothing about its container runtime.
        ("kubelet_stopped", "container_runtime_down"),
        # A datastore that answers at all is not down.
        ("dependency_down", "db_read_only"),
        ("dependency_down", "db_auth_failed"),
        ("dependency_down", "too_many_connections"),
        ("dependency_down", "rate_limited"),
    )
)
"""Kinds that cannot both be true of one subject."""
_ENDS: frozenset[str] = frozenset({"oom_killed", "process_crash", "process_stopped"})
"""Ways in which one run of a process ends: it ends in one way only."""
_SAME_RUN = 2.0
"""Seconds within which two ends are the same one."""
_SIGKILL = 137.0

_FAMILY_WORDS: Mapping[str, re.Pattern[str]] = {
    "memory_growth": re.compile(r"mem(?:ory)?|rss|heap|leak|oom", re.IGNORECASE),
    "memory_pressure": re.compile(r"mem(?:ory|available)?|swap|oom", re.IGNORECASE),
    "cpu_saturation": re.compile(r"cpu|load\d*", re.IGNORECASE),
    "disk_filling": re.compile(r"filesystem|disk|inodes?|volume", re.IGNORECASE),
    "fd_exhaustion": re.compile(r"fds?|descriptors?", re.IGNORECASE),
    "target_down": re.compile(r"up|down|absent|unreachable", re.IGNORECASE),
    "unit_failed": re.compile(r"systemd|units?|services?", re.IGNORECASE),
    "port_taken": re.compile(r"up|down|bind|listen\w*|ports?", re.IGNORECASE),
    "process_high_memory": re.compile(r"mem(?:ory|available)?|swap|oom", re.IGNORECASE),
    "process_high_cpu": re.compile(r"cpu|load\d*", re.IGNORECASE),
    "too_many_processes": re.compile(r"pids?|process(?:es)?|procs|threads?|load\d*", re.IGNORECASE),
    "process_crash": re.compile(r"up|down|crash\w*|restart\w*|start|exit\w*", re.IGNORECASE),
    "process_not_running": re.compile(r"up|down|absent|stopped", re.IGNORECASE),
    "process_hang": re.compile(r"up|down|hang\w*|timeout|latency|unresponsive", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two facts about one subject that cannot both be true."""

    one: Fact
    other: Fact

    @property
    def text(self) -> str:
        sides = (f"{f.rule} says {f.kind} {f.verdict} ({f.detail})" for f in (self.one, self.other))
        return f"{self.one.subject}: {', but '.join(sides)}"


def settle(facts: Sequence[Fact]) -> tuple[tuple[Fact, ...], tuple[Conflict, ...]]:
    """Cap the confidence of facts that exclude each other at 0.60, and name the pairs."""
    by_subject: dict[str, list[int]] = {}
    for number, fact in enumerate(facts):
        by_subject.setdefault(fact.subject, []).append(number)
    conflicts: list[Conflict] = []
    capped: set[int] = set()
    for numbers in by_subject.values():
        for first, second in combinations(numbers, 2):
            if _exclude(facts[first], facts[second]):
                conflicts.append(Conflict(one=facts[first], other=facts[second]))
                capped |= {first, second}
    settled = tuple(
        replace(fact, confidence=min(fact.confidence, CONFLICT_CAP)) if number in capped else fact
        for number, fact in enumerate(facts)
    )
    return settled, tuple(conflicts)


def _exclude(one: Fact, other: Fact) -> bool:
    if one.kind == other.kind:
        return {one.verdict, other.verdict} == {FactVerdict.FOUND, FactVerdict.ABSENT}
    if not one.verdict is other.verdict is FactVerdict.FOUND:
        return False
    return excludes(one.kind, other.kind) or _ends_differ(one, other)


def excludes(one: str, other: str) -> bool:
    return frozenset({one, other}) in EXCLUSIVE


def _ends_differ(one: Fact, other: Fact) -> bool:
    """Whether two rules tell the end of the same run in two ways. One rule sees each container once: its two
    ends are those of two containers."""
    if not {one.kind, other.kind} <= _ENDS or one.rule == other.rule:
        return False
    if not all("onset" in fact.values for fact in (one, other)) or _killed(one) or _killed(other):
        return False
    return abs(one.values["onset"] - other.values["onset"]) <= _SAME_RUN


def _killed(fact: Fact) -> bool:
    """A crash by SIGKILL is an OOM kill seen by one who knows less, or may be."""
    return fact.kind == "process_crash" and _SIGKILL in (
        fact.values.get("exit_code"),
        fact.values.get("signal", 0.0) + 128,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hypothesis with what stands behind it: ``direct`` facts of its own kind, ``supporting`` ones that
    it explains, and ``families`` of independent evidence.

    ``nearness`` is how near its object is to what the alert is about (1: it is that); ``symptom_of`` are the
    (object, fault) that bring it about, for which it lost score; ``alone`` is its score without that.
    """

    entity: Entity
    hypothesis: Hypothesis
    direct: tuple[Fact, ...]
    supporting: tuple[Fact, ...]
    families: frozenset[str]
    conflicted: bool
    nearness: float = 1.0
    symptom_of: tuple[tuple[str, str], ...] = ()
    alone: float = 0.0

    @property
    def key(self) -> tuple[str, str]:
        return self.hypothesis.object, self.hypothesis.fault

    @property
    def of_world(self) -> bool:
        """Whether a rule about the whole world found it, rather than one about the alert's own object."""
        return bool(self.direct[0].subject_kind)

    @property
    def explained(self) -> bool:
        """Another's symptom, as it seems."""
        return bool(self.symptom_of)

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (*self.direct, *self.supporting)


def family_of(evidence: Evidence) -> str:
    """Evidence of one family stands or falls together; two families are two witnesses."""
    if evidence.kind.startswith("metric."):
        return f"metrics:{evidence.source}"
    if evidence.kind in ("log.tail", "host.exits"):
        return f"{evidence.kind}:{evidence.source}"
    return f"{evidence.kind.partition('.')[0]}:{evidence.source}"


def rank(
    entities: Sequence[Entity],
    facts: Sequence[Fact],
    conflicts: Sequence[Conflict],
    evidence: Mapping[EvidenceId, Evidence],
) -> tuple[Candidate, ...]:
    """Every found fault as a candidate, best first; ties go by fault and object for a stable order."""
    candidates: list[Candidate] = []
    seen: set[tuple[str, str]] = set()
    for entity in entities:
        about = [
            fact
            for fact in facts
            if fact.verdict is FactVerdict.FOUND and not fact.subject_kind and concerns(entity, fact)
        ]
        for fact in about:
            key = (fact.subject, fact.kind)
            if fact.kind not in WEIGHTS or key in seen:
                continue
            seen.add(key)
            direct = [other for other in about if (other.subject, other.kind) == key]
            supporting = [
                other
                for other in about
                if other.kind in EXPLAINS.get(fact.kind, frozenset()) or other.kind == "alert_condition"
            ]
            candidates.append(_candidate(entity, direct, supporting, conflicts, evidence))
    demoted = [_demote(candidate, candidates) for candidate in candidates]
    return tuple(
        sorted(demoted, key=lambda c: (-c.hypothesis.score, c.hypothesis.fault, c.hypothesis.object))
    )


def concerns(entity: Entity, fact: Fact) -> bool:
    """Whether a fact is about the entity or the machine it is on."""
    if fact.subject == entity.subject:
        return True
    machine = entity.machine_name
    return machine is not None and (fact.subject == machine or fact.subject.startswith(f"{machine}:"))


def _candidate(
    entity: Entity,
    direct: Sequence[Fact],
    supporting: Sequence[Fact],
    conflicts: Sequence[Conflict],
    evidence: Mapping[EvidenceId, Evidence],
) -> Candidate:
    lead = max(direct, key=lambda fact: fact.confidence)
    families = families_of((*direct, *supporting), evidence)
    conflicted = any(
        (fact.kind, fact.subject) == (lead.kind, lead.subject)
        for conflict in conflicts
        for fact in (conflict.one, conflict.other)
    )
    score = combined(direct, evidence) * WEIGHTS[lead.kind]
    score += _SUPPORT * min(3, len({fact.kind for fact in supporting}))
    relevant = relevance(entity, lead)
    score = score + _RELEVANT if relevant else score
    if lead.subject != entity.subject and not relevant:
        score *= _UNRELATED_MACHINE
    if conflicted:
        score = min(score, CONFLICT_CAP)
    ids = dict.fromkeys(i for fact in (*direct, *supporting) for i in fact.evidence_ids)
    return Candidate(
        entity=entity,
        hypothesis=Hypothesis(
            object=lead.subject,
            fault=lead.kind,
            score=round(min(score, _MOST), 3),
            statement=lead.detail,
            evidence_ids=tuple(ids),
            object_kind=_kind_of(entity, lead.subject, lead.kind),
        ),
        direct=tuple(sorted(direct, key=lambda fact: -fact.confidence)),
        supporting=tuple(supporting),
        families=families,
        conflicted=conflicted,
    )


def _kind_of(entity: Entity, subject: str, fault: str) -> str:
    if subject != entity.subject and ":" in subject:
        return "volume" if fault == "disk_filling" else "process"
    if entity.machine or subject == entity.machine_name:
        return "host"
    return "service"


def relevance(entity: Entity, fact: Fact) -> bool:
    """Whether the fault is of the family that the alert itself is about, by its expression and name."""
    pattern = _FAMILY_WORDS.get(fact.kind)
    if pattern is None:
        return False
    for alert in entity.alerts:
        mount = alert.labels.get("mountpoint")
        if fact.kind == "disk_filling" and mount:
            if fact.subject.endswith(f":{mount}"):
                return True
            continue
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", alert.name)
        words = re.split(r"[^A-Za-z0-9]+", f"{alert_expression(alert) or ''} {name}".replace("_", " "))
        if any(pattern.fullmatch(word) for word in words):
            return True
    return False


def combined(direct: Iterable[Fact], evidence: Mapping[EvidenceId, Evidence]) -> float:
    """Independent witnesses add up; two facts of one family count as the better of them."""
    best: dict[frozenset[str], float] = {}
    for fact in direct:
        family = families_of((fact,), evidence)
        best[family] = max(best.get(family, 0.0), fact.confidence)
    doubt = 1.0
    for confidence in best.values():
        doubt *= 1 - confidence
    return 1 - doubt


def families_of(facts: Iterable[Fact], evidence: Mapping[EvidenceId, Evidence]) -> frozenset[str]:
    return frozenset(
        family_of(evidence[i])
        for fact in facts
        for i in fact.evidence_ids
        if i in evidence and evidence[i].usable
    )


def demoted(candidate: Candidate, causes: Sequence[Candidate]) -> Candidate:
    """A symptom of these causes: it loses once, however many explain it."""
    if not causes:
        return candidate
    score = candidate.hypothesis.score
    return replace(
        candidate,
        hypothesis=replace(candidate.hypothesis, score=round(score * SYMPTOM, 3)),
        symptom_of=tuple(dict.fromkeys(one.key for one in causes)),
        alone=score,
    )


def _demote(candidate: Candidate, others: Sequence[Candidate]) -> Candidate:
    """What another candidate at the same entity explains is its symptom."""
    fault = candidate.hypothesis.fault
    causes: list[Candidate] = []
    for other in others:
        explains = fault in EXPLAINS.get(other.hypothesis.fault, frozenset())
        if (
            other.hypothesis.object != other.entity.subject
            and candidate.hypothesis.object == candidate.entity.subject
        ):
            # Everything on a busy machine shares its CPU, so that alone explains nobody's fault.
            explains = explains and other.hypothesis.fault != "cpu_saturation"
        elif fault == other.hypothesis.fault and candidate.hypothesis.object == other.entity.machine_name:
            # A process that takes all CPU is why its machine has none.
            explains = True
        if other is candidate or not explains or other.entity.subject != candidate.entity.subject:
            continue
        if other.hypothesis.score >= candidate.hypothesis.score * SYMPTOM:
            causes.append(other)
    return demoted(candidate, causes)
