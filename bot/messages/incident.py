"""The incident's root card, its diagnosis, and what is said as it moves on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from bot.domain.alert import AlertStatus
from bot.domain.diagnosis import Diagnosis, DiagnosisVerdict, Hypothesis, ModelCost
from bot.domain.evidence import FactVerdict
from bot.domain.incident import Incident, IncidentState, Mode
from bot.domain.message import Block, Bullets, Fields, Message, Paragraph, Span, Tone, paragraph
from bot.domain.past import Recurrence
from bot.domain.proposal import Remediation, RemediationKind
from bot.messages.findings import (
    causes_block,
    changes_block,
    evidence_block,
    footer,
    gaps_block,
    model_block,
    perspectives_block,
    recurrence_text,
    ruled_out_block,
    runbook_block,
    similar_block,
    steps_block,
    tickets_block,
)
from bot.messages.view import IncidentView
from bot.messages.words import (
    CALIBRATION,
    STATE_WORDS,
    clock_time,
    code,
    duration,
    inert,
    outside,
    span,
    strong,
    tone,
)

_MEMBERS_SHOWN = 5
_CENT = Decimal("0.01")

_VERDICTS = {
    DiagnosisVerdict.ACTION_NEEDED: "action needed",
    DiagnosisVerdict.ACTION_SUGGESTED: "action suggested",
    DiagnosisVerdict.NO_ACTION: "no action needed",
    DiagnosisVerdict.INCONCLUSIVE: "inconclusive: manual triage needed",
}

_CALIBRATION = ("Mode", (span(CALIBRATION),))


def root_card(view: IncidentView) -> Message:
    """The message a thread hangs on; edited in place as the incident moves."""
    incident = view.incident
    pairs: list[tuple[str, tuple[Span, ...]]] = [
        ("State", (strong(STATE_WORDS[incident.state]),)),
        ("Severity", (span(incident.severity.value),)),
    ]
    if incident.service:
        pairs.append(("Service", (outside(incident.service),)))
    if incident.environment:
        pairs.append(("Environment", (outside(incident.environment),)))
    if incident.entity:
        pairs.append(("Between", (outside(incident.entity),)))
    if incident.route.team:
        pairs.append(("Team", (outside(incident.route.team),)))
    if incident.criticality is not None:
        pairs.append(("Criticality", (span(incident.criticality.value),)))
    if incident.quiet:
        pairs.append(("Told", (span("in no room: its alert is for the digest"),)))
    pairs.append(("Alerts", (span(_alert_counts(incident)),)))
    pairs += _recurs(view.recurrence)
    pairs.append(("Opened", (span(clock_time(incident.opened_at)),)))
    if incident.resolved_at and incident.state is IncidentState.RESOLVED:
        pairs.append(("Lasted", (span(duration(incident.resolved_at - incident.opened_at)),)))
    if view.diagnosis is not None and view.diagnosis.root_cause:
        cause = view.diagnosis.root_cause
        pairs.append(("Cause", (outside(cause), span(f" (confidence {view.diagnosis.band.value})"))))
    if view.model_cost is not None:
        pairs.append(("Model cost", (span(_money(view.model_cost)),)))
    if view.calibration:
        pairs.append(_CALIBRATION)
    blocks: list[Block] = [Fields(pairs=tuple(pairs))]
    members = _members(view)
    if members is not None:
        blocks.append(members)
    links = _links(view)
    if links:
        blocks.append(Paragraph(spans=links))
    return Message(
        title=f"{incident.route.emoji} {incident.short_id} · {incident.title}",
        blocks=tuple(blocks),
        tone=tone(incident.severity, incident.state),
    )


def _money(cost: ModelCost) -> str:
    """Of every run, answer and summary together."""
    known = "less than 0.01 USD" if 0 < cost.usd < _CENT else f"{cost.usd:.2f} USD"
    if cost.whole:
        return known
    return f"{known}, and more whose price is not known" if cost.usd else "its price is not known"


def _alert_counts(incident: Incident) -> str:
    text = f"{incident.firing} firing of {incident.alerts_total}"
    if incident.flaps:
        text += f" · cycled ×{incident.flaps}"
    if incident.reopened:
        text += f" · reopened ×{incident.reopened}"
    return text


def _members(view: IncidentView) -> Bullets | None:
    if view.incident.alerts_total < 2:
        return None
    items: list[tuple[Span, ...]] = []
    for stored in view.alerts[:_MEMBERS_SHOWN]:
        alert = stored.alert
        mark = "🔴" if alert.status is AlertStatus.FIRING else "⚪"
        items.append((span(f"{mark} "), outside(f"{alert.name}: {alert.summary}")))
    hidden = view.incident.alerts_total - len(items)
    if hidden > 0:
        items.append((span(f"… and {hidden} more"),))
    return Bullets(items=tuple(items))


def _links(view: IncidentView) -> tuple[Span, ...]:
    spans: list[Span] = []
    seen: dict[str, str] = {}
    for stored in view.alerts:
        for kind, url in stored.alert.links.items():
            seen.setdefault(kind, url)
    if view.incident.route.runbook_url:
        seen["runbook"] = view.incident.route.runbook_url
    for kind in ("runbook", "dashboard", "panel", "generator", "silence"):
        if kind in seen:
            if spans:
                spans.append(span(" · "))
            spans.append(Span(text=kind, link=seen[kind]))
    return tuple(spans)


def diagnosis_reply(
    diagnosis: Diagnosis,
    incident: Incident,
    recurrence: Recurrence | None = None,
    *,
    calibration: bool = False,
) -> Message:
    """The diagnosis in the thread: claims with their evidence, what was ruled out, what is not known."""
    pairs: list[tuple[str, tuple[Span, ...]]] = [
        ("Verdict", (span(_VERDICTS[diagnosis.verdict]),)),
        ("Root cause", (outside(diagnosis.root_cause or "not found"),)),
        ("Confidence", (span(diagnosis.band.value),)),
    ]
    pairs += _recurs(recurrence)
    if calibration:
        pairs.append(_CALIBRATION)
    return Message(
        title=f"Diagnosis of {incident.short_id}",
        blocks=(
            Paragraph(spans=(strong("Summary: "), outside(diagnosis.summary))),
            Fields(pairs=tuple(pairs)),
            *model_block(diagnosis),
            *evidence_block(diagnosis),
            *causes_block(diagnosis),
            *perspectives_block(diagnosis),
            *changes_block(diagnosis),
            *similar_block(diagnosis),
            *ruled_out_block(diagnosis),
            *gaps_block(diagnosis),
            *steps_block(diagnosis),
            *runbook_block(diagnosis),
            *tickets_block(diagnosis),
            footer(diagnosis),
        ),
        tone=Tone.MUTED if diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE else Tone.WARNING,
    )


def budget_reply(day: date) -> Message:
    """Said once a day in each room: why diagnoses are shorter from now on."""
    return Message(
        title="The day's money for models is spent",
        blocks=(
            paragraph(
                f"Until the end of {day.isoformat()} (UTC) incidents are investigated by rules only. Nothing "
                "else changes. The limit is in the configuration, under model."
            ),
        ),
        tone=Tone.WARNING,
    )


def _recurs(recurrence: Recurrence | None) -> list[tuple[str, tuple[Span, ...]]]:
    text = None if recurrence is None else recurrence_text(recurrence)
    return [] if text is None else [("Recurs", (span(text),))]


def remediation_reply(remediation: Remediation, incident: Incident) -> Message | None:
    """Why there is no approval card, and what a person can do instead; None where a card follows."""
    reasons = tuple((outside(reason),) for reason in remediation.reasons)
    command = (
        (Paragraph(spans=(span("By hand: "), inert(remediation.command))),) if remediation.command else ()
    )
    match remediation.kind:
        case RemediationKind.NONE | RemediationKind.PROPOSED:
            return None
        case RemediationKind.ADVISORY:
            title = f"Advice for {incident.short_id}: I may not execute anything here"
            return Message(title=title, blocks=(*_bullets("Why", reasons), *command), tone=Tone.INFO)
        case RemediationKind.DENIED:
            rules = ", ".join(remediation.rules)
            blocks = (*_bullets("Policy says", reasons), paragraph(f"rules: {rules}"), *command)
            return Message(title=f"No proposal for {incident.short_id}: policy denies it", blocks=blocks)
        case RemediationKind.UNAVAILABLE:
            title = f"No proposal for {incident.short_id}: the action cannot be prepared"
            return Message(title=title, blocks=(*_bullets("Why", reasons), *command), tone=Tone.WARNING)


def _bullets(title: str, items: tuple[tuple[Span, ...], ...]) -> tuple[Block, ...]:
    return (Bullets(title=title, items=items),) if items else ()


def resolved_reply(incident: Incident) -> Message:
    """Announced in the thread when a critical incident ends; others only change their card."""
    assert incident.resolved_at is not None
    lasted = duration(incident.resolved_at - incident.opened_at)
    return Message(title=f"✔ {incident.short_id} resolved after {lasted}", tone=Tone.GOOD)


def reopened_reply(incident: Incident) -> Message:
    return Message(
        title=f"🔁 {incident.short_id} is firing again",
        blocks=(paragraph(f"This incident has cycled {incident.flaps} times."),),
        tone=Tone.WARNING,
    )


def incident_line(incident: Incident) -> tuple[Span, ...]:
    """One line for lists."""
    return (
        strong(incident.short_id),
        span(f" {STATE_WORDS[incident.state]} · {incident.severity.value} · "),
        outside(incident.title),
        span(f" · {incident.firing} firing" + (" · for the digest" if incident.quiet else "")),
    )


def incident_details(view: IncidentView) -> Message:
    """The answer to ``show``: the card plus every listed member."""
    card = root_card(view)
    items = tuple(
        (span(f"{stored.alert.status.value} "), outside(f"{stored.alert.name}: {stored.alert.summary}"))
        for stored in view.alerts
    )
    blocks: list[Block] = [b for b in card.blocks if not isinstance(b, Bullets)]
    blocks.append(Bullets(title="Members", items=items))
    if view.diagnosis is not None:
        blocks.append(Paragraph(spans=(strong("Diagnosis: "), outside(view.diagnosis.summary))))
    if view.incident.route.mode is Mode.NOTIFY:
        blocks.append(paragraph("This route only notifies; nothing is investigated."))
    return Message(title=card.title, blocks=tuple(blocks), tone=card.tone)


def _lost(hypothesis: Hypothesis) -> str:
    return f" — {hypothesis.lost_to}" if hypothesis.lost_to else ""


def why_reply(view: IncidentView) -> Message:
    """The answer to ``why``: facts with their rules, rejected hypotheses, and policy's reasons."""
    diagnosis = view.diagnosis
    if diagnosis is None:
        return Message(title=f"{view.incident.short_id} has no diagnosis yet")
    facts = tuple(
        (
            strong(fact.verdict.value),
            span(f" {fact.kind} "),
            outside(f"{fact.subject}: {fact.detail}"),
            span(f" ({fact.rule}, {fact.confidence:.2f}) "),
            code(" ".join(evidence_id[-6:] for evidence_id in fact.evidence_ids) or "no evidence"),
        )
        for fact in diagnosis.facts
        if fact.verdict is not FactVerdict.ABSENT or fact.evidence_ids
    )
    hypotheses = tuple(
        (
            strong(f"{item.score:.2f} "),
            outside(item.statement),
            outside(f" — refuted: {item.refuted_by}" if item.refuted_by else _lost(item)),
        )
        for item in diagnosis.hypotheses
    )
    blocks: list[Block] = [*_bullets("Facts", facts), *_bullets("Hypotheses", hypotheses)]
    if view.remediation is not None and view.remediation.reasons:
        blocks += _bullets("Policy and remediation", tuple((outside(r),) for r in view.remediation.reasons))
    if view.remediation is not None and view.remediation.rules:
        blocks.append(paragraph("rules: " + ", ".join(view.remediation.rules)))
    return Message(title=f"Why: {view.incident.short_id}", blocks=tuple(blocks), tone=Tone.MUTED)
