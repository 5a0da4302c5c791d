"""Four ways of looking at an incident: the application, the infrastructure, its dependencies, the runtime.

Each has a say where what it needs was looked at, and gives its best hypothesis, anchored to a found fact, or
none. Where they name different causes about as surely, the diagnosis says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from bot.domain.diagnosis import PerspectiveState, PerspectiveView
from bot.domain.evidence import Evidence, FactVerdict
from bot.domain.ids import EvidenceId
from investigators.bands import CLOSE
from investigators.facts.platform import machine_faults, path_faults
from investigators.facts.workloads import (
    admission,
    configuration,
    environment,
    exhaustion,
    images,
    mounts,
    placement,
    ports,
    probes,
    revisions,
    runtime,
    startup,
)
from investigators.hypotheses import WEIGHTS, Candidate, excludes
from investigators.pack import Pack
from investigators.queries import ObjectQuery

APP, INFRA, DEPS, RUNTIME = "app", "infra", "deps", "runtime"
_LEAST = 0.2
_MACHINES = frozenset({"node", "host", "volume"})
_OF_THE_PATH: tuple[Mapping[str, object], ...] = (path_faults.SERVICE_PATH, path_faults.DEPENDENCIES)
_FAMILIES: tuple[tuple[str, tuple[Mapping[str, object], ...]], ...] = (
    (
        APP,
        (
            configuration.FAULTS, environment.FAULTS, ports.FAULTS,
            revisions.FAULTS,
        ),
    ),
    (
        INFRA,
        (
            admission.FAULTS, placement.FAULTS, machine_faults.NODES,
            machine_faults.CONTROL_PLANE,
        ),
    ),
    (DEPS, _OF_THE_PATH),
    (
        RUNTIME,
        (
            images.FAULTS, startup.FAULTS, mounts.FAULTS,
            probes.FAULTS, runtime.FAULTS, exhaustion.FAULTS,
            machine_faults.CAPACITY, WEIGHTS,
        ),
    ),
)  # fmt: skip
_ELSEWHERE: Mapping[str, str] = {
    "latency_shift": APP,
    "error_rate_shift": APP,
    "log_template_new": APP,
    "log_template_missing": APP,
    "log_errors": APP,
    "bad_change": APP,
    "file_integrity_changed": INFRA,
    "ids_alert": INFRA,
    "migration_failed": APP,
    "poison_message": APP,
    "thread_pool_exhausted": APP,
    "traffic_surge": DEPS,
    "noisy_neighbour": INFRA,
    "disk_filling": INFRA,
    "memory_pressure": INFRA,
    "resource_pressure": RUNTIME,
    "target_down": RUNTIME,
    "clock_skew": INFRA,
}
"""Kinds that another perspective judges than the rest of their family."""


def _by_kind() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, families in _FAMILIES:
        for family in families:
            for kind in family:
                found.setdefault(kind, name)
    return MappingProxyType({**found, **_ELSEWHERE})


PERSPECTIVE_OF: Mapping[str, str] = _by_kind()
"""Every fault kind belongs to one perspective."""


def perspective_of(fault: str, object_kind: str) -> str:
    """What is wrong with a machine is the infrastructure's, whatever kind it is."""
    return INFRA if object_kind in _MACHINES else PERSPECTIVE_OF[fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perspective:
    """``needs`` says what must have been looked at for the perspective to have a say; ``looked`` whether an
    answer is such a look, given the object kind that it was asked for (empty for none)."""

    name: str
    needs: str
    looked: Callable[[Evidence, str], bool]


def _app(evidence: Evidence, _: str) -> bool:
    return evidence.kind in ("log.lines", "log.tail", "kubernetes.log", "trace.spans", "change.list") and (
        evidence.filled
    )


def _infra(evidence: Evidence, kind: str) -> bool:
    if evidence.kind in ("host.resources", "host.disk", "osquery.table"):
        return evidence.filled
    if evidence.kind == "metric.range":
        return evidence.filled and evidence.query.startswith("node_")
    return kind == "Node" and evidence.filled


def _deps(evidence: Evidence, kind: str) -> bool:
    return evidence.filled and (
        evidence.kind in ("log.lines", "trace.spans", "topology.graph") or kind in ("Service", "Ingress")
    )


def _runtime(evidence: Evidence, kind: str) -> bool:
    if evidence.kind in ("metric.survey", "metric.range"):
        return evidence.filled
    return evidence.filled and (evidence.kind in ("host.process", "host.exits") or kind == "Pod")


PERSPECTIVES: tuple[Perspective, ...] = (
    Perspective(name=APP, needs="logs, traces or changes", looked=_app),
    Perspective(name=RUNTIME, needs="pods, processes or their metrics", looked=_runtime),
    Perspective(name=DEPS, needs="logs, traces, Services or a service graph", looked=_deps),
    Perspective(name=INFRA, needs="nodes or the inside of a host", looked=_infra),
)

Guard = Callable[[str, Callable[[], PerspectiveView], PerspectiveView], PerspectiveView]
"""Runs one perspective and gives the third in its place where it breaks, so that the others go on."""


def views(
    perspectives: Sequence[Perspective], pack: Pack, standing: Sequence[Candidate], guard: Guard
) -> tuple[PerspectiveView, ...]:
    """What each perspective came to, in their order."""
    evidence = {answer.evidence.id: answer.evidence for answer in pack.answers}
    found = []
    for one in perspectives:
        broken = PerspectiveView(name=one.name, state=PerspectiveState.FAILED, reason="it broke, see the log")
        found.append(guard(one.name, partial(_view, one, pack, standing, evidence), broken))
    return tuple(found)


def _view(
    one: Perspective,
    pack: Pack,
    standing: Sequence[Candidate],
    evidence: Mapping[EvidenceId, Evidence],
) -> PerspectiveView:
    looked = any(
        answer.evidence.usable and one.looked(answer.evidence, _object_kind(answer.query))
        for answer in pack.answers
    )
    best = next((c for c in standing if _is_its(one.name, c) and _anchored(c, evidence)), None)
    if best is None:
        if looked:
            return PerspectiveView(name=one.name, state=PerspectiveState.NOTHING, reason="nothing of its own")
        return PerspectiveView(name=one.name, state=PerspectiveState.BLIND, reason=f"no {one.needs} at hand")
    hypothesis = best.hypothesis
    return PerspectiveView(
        name=one.name,
        state=PerspectiveState.FOUND,
        object=hypothesis.object,
        object_kind=hypothesis.object_kind,
        fault=hypothesis.fault,
        score=hypothesis.score,
        evidence_ids=hypothesis.evidence_ids,
    )


def _object_kind(query: object) -> str:
    return query.object_kind if isinstance(query, ObjectQuery) else ""


def _is_its(name: str, candidate: Candidate) -> bool:
    one = candidate.hypothesis
    return one.score >= _LEAST and perspective_of(one.fault, one.object_kind) == name


def _anchored(candidate: Candidate, evidence: Mapping[EvidenceId, Evidence]) -> bool:
    """Whether a found fact of its kind stands on an answer that was taken."""
    return any(
        fact.verdict is FactVerdict.FOUND
        and any(i in evidence and evidence[i].usable for i in fact.evidence_ids)
        for fact in candidate.direct
    )


def disagreements(
    views: Sequence[PerspectiveView], standing: Sequence[Candidate], second: Candidate | None
) -> tuple[PerspectiveView, ...]:
    """The views, with whom each disagrees that names another cause than the first about as surely. A symptom
    of the other is no disagreement, nor is a second fault of its own."""
    if not standing:
        return tuple(views)
    top = standing[0]
    by_key = {candidate.key: candidate for candidate in standing}
    leading = perspective_of(top.hypothesis.fault, top.hypothesis.object_kind)
    marked = []
    for view in views:
        other = by_key.get((view.object, view.fault))
        if (
            view.name != leading
            and other is not None
            and (second is None or other.key != second.key)
            and _at_odds(top, other)
        ):
            view = replace(view, against=leading)
        marked.append(view)
    return tuple(marked)


def _at_odds(top: Candidate, other: Candidate) -> bool:
    one, two = top.hypothesis, other.hypothesis
    if one.score - two.score > CLOSE or top.key in other.symptom_of or other.key in top.symptom_of:
        return False
    if "bad_change" in (one.fault, two.fault) and one.object == two.object:
        return False
    return one.object != two.object or excludes(one.fault, two.fault)
