"""The gathered evidence as rules see it: by meaning and subject, never by source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict, Series
from investigators.entities import Entity
from investigators.gathering import Answer
from investigators.plan import (
    CurveAsk,
    ExpressionAsk,
    HostAsk,
    HostPart,
    InstantAsk,
    RangeAsk,
    RulesAsk,
    SameHourAsk,
    Scope,
    Span,
    TargetsAsk,
)
from investigators.ports import Case
from investigators.queries import Query

_STALE = timedelta(seconds=15)


def answered(evidence: Evidence) -> bool:
    """The source looked and there was something."""
    return evidence.status is EvidenceStatus.OK


def complete(evidence: Evidence) -> bool:
    """Whether absence may be concluded: the source answered, and nothing was cut off."""
    return evidence.status is EvidenceStatus.EMPTY or (answered(evidence) and evidence.reason is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A case, its entities, and every answer."""

    case: Case
    entities: tuple[Entity, ...]
    answers: tuple[Answer, ...]

    @property
    def now(self) -> datetime:
        return self.case.now

    def ranges(self, subject: str, metric: str, span: Span) -> tuple[Evidence, ...]:
        return tuple(
            a.evidence
            for a in self.answers
            if isinstance(a.ask, RangeAsk)
            and a.ask.subject == subject
            and a.ask.query.metric == metric
            and a.ask.span is span
        )

    def instants(self, subject: str, metric: str, scope: Scope) -> tuple[Evidence, ...]:
        return tuple(
            a.evidence
            for a in self.answers
            if isinstance(a.ask, InstantAsk)
            and a.ask.subject == subject
            and a.ask.query.metric == metric
            and a.ask.scope is scope
        )

    def expressions(self, subject: str, *, bare: bool) -> tuple[tuple[str, Evidence], ...]:
        """Each expression's PromQL as it was asked, with its answer."""
        return tuple(
            (a.ask.promql, a.evidence)
            for a in self.answers
            if isinstance(a.ask, ExpressionAsk) and a.ask.subject == subject and a.ask.bare is bare
        )

    def curves(self, subject: str) -> tuple[tuple[str, Evidence], ...]:
        """The quantity behind each alert as it was asked, with its answer over the long look."""
        return tuple(
            (a.ask.promql, a.evidence)
            for a in self.answers
            if isinstance(a.ask, CurveAsk) and a.ask.subject == subject
        )

    def same_hours(self, subject: str) -> tuple[tuple[str, Evidence], ...]:
        """The quantity behind each alert as it was asked, with its answer for this time of earlier days."""
        return tuple(
            (a.ask.promql, a.evidence)
            for a in self.answers
            if isinstance(a.ask, SameHourAsk) and a.ask.subject == subject
        )

    def targets(self, subject: str) -> tuple[Evidence, ...]:
        return self._of(TargetsAsk, subject)

    def rules(self, subject: str) -> tuple[Evidence, ...]:
        return self._of(RulesAsk, subject)

    def host(self, subject: str, part: HostPart) -> tuple[Evidence, ...]:
        return tuple(
            a.evidence
            for a in self.answers
            if isinstance(a.ask, HostAsk) and a.ask.subject == subject and a.ask.part is part
        )

    @property
    def wide(self) -> tuple[tuple[Query, Evidence], ...]:
        """Every question about the whole world, with its answer."""
        return tuple((a.query, a.evidence) for a in self.answers if a.query is not None)

    def _of(self, kind: type[TargetsAsk] | type[RulesAsk], subject: str) -> tuple[Evidence, ...]:
        return tuple(a.evidence for a in self.answers if isinstance(a.ask, kind) and a.ask.subject == subject)


def series_of(evidence: Iterable[Evidence]) -> list[tuple[Evidence, Series]]:
    """Every series of every usable answer, with the evidence it comes from."""
    return [(item, one) for item in evidence if item.usable for one in item.series]


def current(one: Series, now: datetime) -> bool:
    """Whether a series goes on until now. One that ended says how things were, not how they are."""
    if len(one.samples) < 2:
        return bool(one.samples) and now - one.samples[-1].at <= _STALE
    spacing = (one.samples[-1].at - one.samples[0].at) / (len(one.samples) - 1)
    return now - one.samples[-1].at <= max(_STALE, 2 * spacing)


def found(
    kind: str,
    subject: str,
    confidence: float,
    evidence: Sequence[Evidence],
    rule: str,
    detail: str,
    **values: float,
) -> Fact:
    return _fact(kind, FactVerdict.FOUND, confidence, subject, evidence, rule, detail, values)


def absent(
    kind: str, subject: str, confidence: float, evidence: Sequence[Evidence], rule: str, detail: str
) -> Fact:
    """Looked at and not there. Raises ValueError when the evidence cannot carry that: a bug in a rule."""
    if not evidence or not all(complete(item) for item in evidence):
        raise ValueError(f"{rule}: absence of {kind} concluded from incomplete evidence")
    return _fact(kind, FactVerdict.ABSENT, confidence, subject, evidence, rule, detail, {})


def unknown(kind: str, subject: str, evidence: Sequence[Evidence], rule: str, detail: str) -> Fact:
    return _fact(kind, FactVerdict.UNKNOWN, 0.0, subject, evidence, rule, detail, {})


def why_nothing(evidence: Sequence[Evidence], otherwise: str) -> str:
    """Why there was nothing to judge, in the words of the sources."""
    reasons = dict.fromkeys(f"{item.source}: {item.reason}" for item in evidence if item.reason)
    return "; ".join(list(reasons)[:3]) or otherwise


def _fact(
    kind: str,
    verdict: FactVerdict,
    confidence: float,
    subject: str,
    evidence: Sequence[Evidence],
    rule: str,
    detail: str,
    values: dict[str, float],
) -> Fact:
    return Fact(
        kind=kind,
        verdict=verdict,
        confidence=confidence,
        subject=subject,
        evidence_ids=tuple(dict.fromkeys(item.id for item in evidence)),
        rule=rule,
        detail=detail,
        values=values,
    )
