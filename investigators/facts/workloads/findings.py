"""Collects what a rule finds, one fact for each kind and subject, and says what is absent or unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.evidence import Evidence, Fact
from investigators.facts.charge import Subject, service
from investigators.facts.workloads.scene import CHRONIC, Scene, Unit
from investigators.pack import complete, why_nothing
from investigators.world.cluster import KubeEvent, Thing
from investigators.world.world import Line

LOG = "log"
"""Stands for the service's log lines among the object kinds that a rule needs."""
_LOG_KINDS = ("log.lines", "kubernetes.log")
LATER = 0.3
"""What will only be a fault at the next start of a pod that runs well."""
_OLD = 0.55
_ABSENT = 0.85
Source = Thing | KubeEvent | Line | Evidence


@dataclass(slots=True, kw_only=True)
class _Find:
    subject: Subject
    confidence: float
    evidence: list[Evidence]
    detail: str
    values: dict[str, float]
    objects: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Findings:
    """``rule`` is the name that the facts carry."""

    scene: Scene
    rule: str
    _finds: dict[tuple[str, str, str], _Find] = field(default_factory=dict)
    _open: dict[tuple[str, str], str] = field(default_factory=dict)

    def found(
        self,
        kind: str,
        whose: Unit | Subject,
        confidence: float,
        sources: Sequence[Source],
        detail: str,
        *,
        of: str = "",
        began: datetime | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """``of`` names the object it was seen at, so that the same at several is counted; ``began`` is when
        it was first seen: trouble that is a day older than the alert is seldom its cause."""
        values = dict(numbers or {})
        subject = service(whose.service) if isinstance(whose, Unit) else whose
        if began is not None:
            values["onset"] = began.timestamp()
            if began < self.scene.world.onset - CHRONIC:
                confidence = min(confidence, _OLD)
        evidence = [_evidence(one) for one in sources]
        before = self._finds.get((kind, subject.kind, subject.name))
        if before is None:
            before = _Find(subject=subject, confidence=0.0, evidence=[], detail=detail, values={})
            self._finds[(kind, subject.kind, subject.name)] = before
        before.objects.add(of)
        before.evidence += evidence
        onsets = [one["onset"] for one in (values, before.values) if "onset" in one]
        if confidence > before.confidence:
            before.confidence, before.detail, before.values = confidence, detail, values
        if onsets:
            before.values["onset"] = min(onsets)

    def has(self, kind: str, unit: Unit) -> bool:
        return (kind, "service", unit.service) in self._finds

    def unsure(self, kind: str, unit: Unit, why: str) -> None:
        """The kind can be neither found nor ruled out at this workload."""
        self._open.setdefault((kind, unit.service), why)

    def facts(self, needs: Mapping[str, tuple[str, ...]]) -> list[Fact]:
        """What was found, and for the incident's own services what was not: absent where every object kind
        that the fault needs was read whole, unknown otherwise."""
        facts = [
            find.subject.found(
                kind,
                find.confidence,
                find.evidence,
                f"workloads.{self.rule}",
                find.detail + _more(len(find.objects)),
                find.values,
            )
            for (kind, _, _), find in self._finds.items()
        ]
        for unit in self.scene.mine:
            for kind, needed in needs.items():
                if not self.has(kind, unit):
                    facts.append(self._not_found(kind, unit, needed))
        return facts

    def _not_found(self, kind: str, unit: Unit, needed: tuple[str, ...]) -> Fact:
        cluster, subject = self.scene.cluster, service(unit.service)
        rule = f"workloads.{self.rule}"
        kinds = [one for one in needed if one != LOG]
        looked = [*cluster.looked(*kinds)]
        missing = [one for one in kinds if not cluster.knows(one)]
        why = self._open.get((kind, unit.service))
        if why is None and not unit.seen:
            why = why_nothing(cluster.looked("Pod"), "its pods could not be read")
        if why is None and missing:
            gaps = cluster.looked(*missing)
            why = f"{', '.join(missing)}: {why_nothing(gaps, 'not asked')}"
        if why is None and LOG in needed:
            logs, why = self._logs(unit)
            looked += logs
        if why is not None or not looked:
            return subject.unknown(kind, looked, rule, why or "nothing was asked")
        return subject.absent(kind, _ABSENT, looked, rule, f"nothing of the kind at {unit.service}")

    def _logs(self, unit: Unit) -> tuple[list[Evidence], str | None]:
        answers = self.scene.world.looked(*_LOG_KINDS)
        broken = [one for one in answers if not complete(one)]
        lines = self.scene.lines(unit)
        if broken:
            return list(answers), f"logs: {why_nothing(broken, 'not read whole')}"
        if not lines:
            return list(answers), "no log lines of it"
        return list({line.evidence.id: line.evidence for line in lines}.values()), None


def _evidence(source: Source) -> Evidence:
    if isinstance(source, Evidence):
        return source
    return source.thing.evidence if isinstance(source, KubeEvent) else source.evidence


def _more(count: int) -> str:
    return f" (and at {count - 1} more)" if count > 1 else ""
