"""From ranked, criticised hypotheses to the diagnosis that people read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from bot.domain.diagnosis import (
    Band,
    Citation,
    Cost,
    Diagnosis,
    DiagnosisVerdict,
    Gap,
    Origin,
    PerspectiveState,
    PerspectiveView,
    Similar,
    SuggestedAction,
    Suspect,
)
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict
from bot.domain.graph import Graph
from bot.domain.ids import DiagnosisId, EvidenceId
from investigators.actions import STEPS, suggest
from investigators.bands import band_of, families_by_id, too_weak
from investigators.critic import Verdict
from investigators.dependents import DEPENDENTS_AFFECTED
from investigators.entities import Entity
from investigators.facts.cluster import KIND as PRESSURE
from investigators.facts.known import FAULTS
from investigators.hypotheses import CONFLICT_CAP, WEIGHTS, Candidate, Conflict
from investigators.pack import Pack
from investigators.ports import Case
from investigators.queries import RunbookQuery, TicketQuery
from investigators.reasons import Second, with_reasons
from investigators.recurrence import comes_back, told
from investigators.ruled_out import answered
from investigators.synthesis import Synthesis
from investigators.texts import answers_of, open_tickets, runbook_steps
from investigators.words import cause_of, sentence, together

_LEAST_SCORE = 0.35
_PLACES = 2
_WORTH_A_LOOK = 0.2
_CITATIONS = 12
_SAID = 4
"""Places among them for what the log says anew or no longer."""
_RULED_OUT = 12
_HYPOTHESES = 20
_SAFE_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that the reasoning came to. ``trouble`` are gaps of our own, such as a rule that failed;
    ``painless``: what the alert is about was looked at and is as it normally is; ``usual`` says that it is so
    at this time of every day; ``said``: what the log of the likeliest cause says anew or no longer;
    ``second``: a fault beside the first; ``objects``: what the incident is about, as the world names it, and
    the nodes that is on."""

    pack: Pack
    facts: tuple[Fact, ...]
    conflicts: tuple[Conflict, ...]
    verdict: Verdict
    trouble: tuple[Gap, ...]
    suspects: tuple[Suspect, ...] = ()
    no_culprit: bool | None = None
    similar: tuple[Similar, ...] = ()
    painless: bool = False
    usual: Fact | None = None
    said: tuple[Citation, ...] = ()
    synthesis: Synthesis = field(default_factory=Synthesis)
    graph: Graph = field(default_factory=Graph)
    perspectives: tuple[PerspectiveView, ...] = ()
    second: Second | None = None
    objects: tuple[str, ...] = ()


def write_diagnosis(findings: Findings, at: datetime, seconds: float, *, more_entities: int) -> Diagnosis:
    """The diagnosis of one run. Every citation names evidence that was taken."""
    case = findings.pack.case
    evidence = {answer.evidence.id: answer.evidence for answer in findings.pack.answers}
    standing = [c for c in findings.verdict.standing if c.hypothesis.score >= _LEAST_SCORE]
    top = standing[0] if standing and not too_weak(standing[0]) else None
    disputed = any(view.against for view in findings.perspectives)
    band = band_of(top, standing, families_by_id(findings.pack), disputed=disputed)
    second = None if findings.second is None else findings.second.candidate
    ranked = with_reasons(findings.verdict.standing, findings.verdict.refuted, second)
    gaps = _gaps(findings, more_entities)
    recurrence = _recurrence(findings.pack.case, top)
    suggestion, refusal = (None, None)
    verdict = _verdict(findings, top, band, weak=top is None and bool(standing))
    if top is not None and verdict in (DiagnosisVerdict.ACTION_NEEDED, DiagnosisVerdict.ACTION_SUGGESTED):
        suggestion, refusal = suggest(case, top, findings.facts, evidence)
    return Diagnosis(
        id=DiagnosisId(_id(findings.pack)),
        incident_id=case.incident.id,
        run=case.run,
        at=at,
        verdict=verdict,
        summary=_summary(findings, top, verdict, recurrence),
        root_cause=None if top is None else cause_of(top),
        band=band,
        origin=Origin.RULES,
        citations=_citations(findings, top, evidence),
        hypotheses=tuple(c.hypothesis for c in ranked)[:_HYPOTHESES],
        ruled_out=_ruled_out(findings),
        gaps=gaps,
        steps=_steps(findings, verdict, top, suggestion, refusal, recurrence, gaps),
        facts=findings.facts,
        suggestion=suggestion,
        cost=Cost(seconds=seconds),
        suspects=findings.suspects,
        no_culprit=findings.no_culprit,
        similar=findings.similar,
        runbook=runbook_steps(answers_of(findings.pack, RunbookQuery)),
        tickets=open_tickets(answers_of(findings.pack, TicketQuery)),
        perspectives=findings.perspectives,
    )


def _id(pack: Pack) -> str:
    text = "\n".join((pack.case.incident.id, str(pack.case.run), pack.case.now.isoformat()))
    return f"dia_{sha256(text.encode()).hexdigest()[:24]}"


def _verdict(findings: Findings, top: Candidate | None, band: Band, *, weak: bool) -> DiagnosisVerdict:
    """``weak``: something was found that is not sure enough to be called a cause, nor to be passed over."""
    pack = findings.pack
    if not pack.entities:
        return DiagnosisVerdict.INCONCLUSIVE
    firing = any(entity.firing for entity in pack.entities)
    if not firing:
        return (
            DiagnosisVerdict.NO_ACTION if top is not None or _looked(pack) else DiagnosisVerdict.INCONCLUSIVE
        )
    if top is None:
        over = not weak and (findings.painless or findings.usual is not None or _passed(findings))
        return DiagnosisVerdict.NO_ACTION if over else DiagnosisVerdict.INCONCLUSIVE
    return DiagnosisVerdict.ACTION_SUGGESTED if band is Band.LOW else DiagnosisVerdict.ACTION_NEEDED


def _looked(pack: Pack) -> bool:
    return any(answer.evidence.usable for answer in pack.answers)


def _passed(findings: Findings) -> bool:
    """The alert's own condition was looked at for every entity and holds for none."""
    conditions = [fact for fact in findings.facts if fact.kind == "alert_condition"]
    return bool(conditions) and all(fact.verdict is FactVerdict.ABSENT for fact in conditions)


def _summary(
    findings: Findings, top: Candidate | None, verdict: DiagnosisVerdict, recurrence: str | None
) -> str:
    parts: list[str] = []
    if top is None:
        if verdict is DiagnosisVerdict.NO_ACTION and findings.usual is not None:
            usual = findings.usual
            parts.append(f"Nothing unusual was found: {sentence(usual.detail, usual.subject)}")
        elif verdict is DiagnosisVerdict.NO_ACTION:
            parts.append("Nothing is wrong any more: what the alert complains about does not hold now.")
        else:
            parts.append(
                "Inconclusive: no cause stands up to the evidence at hand. Triage by hand is needed."
            )
    else:
        parts.append(f"{cause_of(top)}. {sentence(top.hypothesis.statement, top.entity.subject)}")
        parts += together(findings.synthesis)
        if verdict is DiagnosisVerdict.NO_ACTION:
            parts.append("Every alert has resolved.")
        parts += [whose for whose in (_whose(findings, top),) if whose is not None]
        parts += [sentence(fact.detail, fact.subject) for fact in _scope(findings, top)[:1]]
        touching = [c for c in findings.conflicts if top.hypothesis.fault in (c.one.kind, c.other.kind)]
        if top.conflicted and touching:
            parts.append(f"The evidence disagrees, so this counts for at most {CONFLICT_CAP:.2f}.")
        parts += _beside(findings)
    if recurrence is not None:
        parts.append(recurrence)
    return " ".join(parts)


def _beside(findings: Findings) -> list[str]:
    """A second fault of its own, and whether the perspectives agree on the first."""
    parts = []
    if findings.second is not None and not findings.synthesis.apart:
        names = ", ".join(dict.fromkeys(entity.subject for entity in findings.second.explains))
        second = findings.second.candidate
        parts.append(
            f"There is a second, independent fault, which explains the alerts of {names}: "
            f"{cause_of(second)}. " + sentence(second.hypothesis.statement, second.hypothesis.object)
        )
    at_odds = [view for view in findings.perspectives if view.against]
    if at_odds:
        said = ", ".join(f"{view.name} sees {view.fault} at {view.object}" for view in at_odds)
        parts.append(f"Perspectives disagree, so this is less sure: {said}.")
    return parts


def _scope(findings: Findings, top: Candidate) -> list[Fact]:
    """What the alert's own peers show goes before what the cluster does."""
    names = (top.entity.subject, top.hypothesis.object)
    found = [
        fact
        for fact in findings.facts
        if fact.verdict is FactVerdict.FOUND and (fact.kind.startswith("scope_") or fact.kind == PRESSURE)
    ]
    return [
        *(fact for fact in found if fact.subject in names),
        *(fact for fact in found if fact.subject not in names and fact.subject_kind == "namespace"),
    ]


def _spread(findings: Findings, top: Candidate) -> list[Fact]:
    return [
        fact
        for fact in findings.facts
        if fact.kind == DEPENDENTS_AFFECTED and fact.subject == top.hypothesis.object
    ]


def _whose(findings: Findings, top: Candidate) -> str | None:
    """Whose the cause is, where it is declared and is not what the alerts are about."""
    name = top.hypothesis.object
    owner = findings.graph.owners.get(name)
    if owner is None or name in _alerted(findings.pack):
        return None
    return f"{name} belongs to {owner} (declared)."


def _alerted(pack: Pack) -> set[str]:
    subjects = {entity.subject for entity in pack.entities}
    return subjects if pack.case.incident.service is None else {*subjects, pack.case.incident.service}


def _recurrence(case: Case, top: Candidate | None) -> str | None:
    incident = case.incident
    parts = []
    if incident.flaps:
        parts.append(f"its alerts have gone away and come back {_times(incident.flaps)}")
    if incident.reopened:
        parts.append(f"the incident was resolved and opened again {_times(incident.reopened)}")
    if comes_back(case.recurrence, None if top is None else top.hypothesis):
        parts.append(told(case.recurrence))
    return None if not parts else f"This keeps coming back: {' and '.join(parts)}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _citations(
    findings: Findings, top: Candidate | None, evidence: Mapping[EvidenceId, Evidence]
) -> tuple[Citation, ...]:
    """One line per fact: first what speaks for the cause, then its scope, what its log says anew, then the
    other findings."""
    first: list[Fact] = []
    if top is not None:
        first += [*top.direct, *top.supporting, *_scope(findings, top), *_spread(findings, top)]
    others = [fact for fact in findings.facts if fact.verdict is FactVerdict.FOUND]
    if top is None:
        others += [fact for fact in findings.facts if fact.verdict is FactVerdict.ABSENT]
    citations = _cited(first, evidence)[: _CITATIONS - _SAID]
    if top is not None:
        citations += [one for one in findings.said if one.evidence_id in evidence][:_SAID]
    citations += _cited(others, evidence)
    return tuple({(one.evidence_id, one.finding): one for one in citations[::-1]}.values())[::-1][:_CITATIONS]


def _cited(facts: Sequence[Fact], evidence: Mapping[EvidenceId, Evidence]) -> list[Citation]:
    found = []
    for fact in facts:
        cited = next((evidence[i] for i in fact.evidence_ids if i in evidence), None)
        if cited is not None:
            found.append(
                Citation(evidence_id=cited.id, source=cited.source, finding=fact.detail, link=cited.link)
            )
    return found


def _ruled_out(findings: Findings) -> tuple[str, ...]:
    lines = [
        f"{c.hypothesis.fault} at {c.hypothesis.object}: {c.hypothesis.refuted_by}"
        for c in findings.verdict.refuted
    ]
    lines += [f"the evidence disagrees: {conflict.text}" for conflict in findings.conflicts]
    claimed = {(c.hypothesis.object, c.hypothesis.fault) for c in findings.verdict.standing}
    for fact in findings.facts:
        looked = fact.verdict is FactVerdict.ABSENT and fact.kind in WEIGHTS and not fact.subject_kind
        if looked and (fact.subject, fact.kind) not in claimed:
            lines.append(f"{fact.kind} at {fact.subject}: {fact.detail}")
    lines += answered(findings.facts, findings.objects)
    return tuple(dict.fromkeys(lines))[:_RULED_OUT]


def _gaps(findings: Findings, more_entities: int) -> tuple[Gap, ...]:
    """What could not be looked at, one line per source and reason, and what nobody was asked about."""
    pack = findings.pack
    gaps = list(findings.trouble)
    grouped: dict[tuple[str, str], list[Evidence]] = {}
    for answer in pack.answers:
        item = answer.evidence
        if item.status is EvidenceStatus.FAILED:
            grouped.setdefault((item.source, item.reason or "no reason given"), []).append(item)
    for (source, reason), items in grouped.items():
        what = f"{source}: {items[0].query}"
        if len(items) > 1:
            what += f" and {len(items) - 1} more questions"
        manual = next((item.manual for item in items if item.manual), None)
        gaps.append(Gap(what=what, reason=reason, manual=manual))
    if not any(answer.evidence.kind.startswith("metric.") for answer in pack.answers):
        gaps.append(Gap(what="metrics", reason="no metric source is configured"))
    for entity in pack.entities:
        if not entity.host_queries and entity.host is not None:
            gaps.append(_uncovered(entity))
    if more_entities:
        gaps.append(
            Gap(what=f"{more_entities} further objects of these alerts", reason="too many to look at each")
        )
    return tuple(dict.fromkeys(gaps))


def _uncovered(entity: Entity) -> Gap:
    host = entity.host or ""
    manual = None
    if _SAFE_HOST.fullmatch(host):
        manual = f"ssh {shlex.quote(host)} 'ps aux --sort=-rss | head -20; df -h; uptime'"
    return Gap(what=f"the inside of {host}", reason="no host source covers this machine", manual=manual)


def _steps(
    findings: Findings,
    verdict: DiagnosisVerdict,
    top: Candidate | None,
    suggestion: SuggestedAction | None,
    refusal: str | None,
    recurrence: str | None,
    gaps: Sequence[Gap],
) -> tuple[str, ...]:
    steps: list[str] = []
    if top is not None:
        fault = top.hypothesis.fault
        steps += STEPS.get(fault) or (FAULTS[fault].steps if fault in FAULTS else ())
    if refusal is not None:
        steps.append(refusal)
    if recurrence is not None and suggestion is not None:
        steps.append(f"{recurrence} {suggestion.action} helps for now; find what makes it come back.")
    if top is None and verdict is DiagnosisVerdict.NO_ACTION and findings.usual is not None:
        steps.append("Raise the alert's limit or mute it at this time of day, if nobody has to act on it.")
    if top is None and verdict is DiagnosisVerdict.INCONCLUSIVE:
        steps += _triage(findings)
        steps += [f"Run: {gap.manual}" for gap in gaps if gap.manual][:3]
    return tuple(dict.fromkeys(steps))


def _triage(findings: Findings) -> list[str]:
    """Where a person looks first when nothing is sure: the likeliest places, then what nobody looked at."""
    likeliest = [c.hypothesis for c in findings.verdict.standing if c.hypothesis.score >= _WORTH_A_LOOK]
    steps = [f"Look first at {one.object}, which is not sure: {one.statement}" for one in likeliest[:_PLACES]]
    blind = [view for view in findings.perspectives if view.state is PerspectiveState.BLIND]
    return steps + [f"Look by hand from the side of {view.name}: {view.reason}." for view in blind]
