"""An incident that is over → what the next one may learn from it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.alert import Alert
from bot.domain.diagnosis import Band, Diagnosis, DiagnosisVerdict
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import Execution, Outcome, OutcomeVerdict
from bot.domain.past import PastCause, PastIncident, names_of, past_facts
from bot.domain.proposal import Proposal
from bot.ports import Job, JobKind, Transaction

_ALERTS = 50
_RUNS = 10
_BY_BAND = {Band.HIGH: 0.8, Band.MEDIUM: 0.6, Band.LOW: 0.0}
_VERIFIED = 0.2
_DID_NOT_HELP = 0.3
_OTHER_CAUSE = 0.2
_BY_ITSELF = "its alerts resolved without an action of the bot"


async def remember(tx: Transaction, incident: Incident) -> None:
    """Keep a resolved incident for later ones and plan its summary, in the transaction that resolves it. One
    that was never investigated leaves nothing."""
    if incident.state is not IncidentState.RESOLVED:
        return
    diagnoses = await tx.diagnoses_of(incident.id, _RUNS)
    if not diagnoses:
        return
    alerts = [stored.alert for stored in await tx.current_alerts(incident.id, _ALERTS)]
    # What was run for an earlier diagnosis says nothing about this one's cause.
    since = [one for one in await tx.executions_of(incident.id) if one.claimed_at >= diagnoses[0].at]
    last = since[-1] if since else None
    proposal = None if last is None else await tx.proposal(last.proposal_id)
    outcomes = [] if last is None else await tx.outcomes_of(last.id)
    await tx.remember(past_incident(incident, alerts, diagnoses, last, proposal, outcomes))
    await tx.plan_summary(incident.id, incident.reopened)
    await tx.enqueue(Job(kind=JobKind.SUMMARISE, subject=incident.id))


def past_incident(
    incident: Incident,
    alerts: Sequence[Alert],
    diagnoses: Sequence[Diagnosis],
    execution: Execution | None,
    proposal: Proposal | None,
    outcomes: Sequence[Outcome],
) -> PastIncident:
    """``diagnoses`` newest first, at least one; ``execution`` is the last one since then, with its proposal
    and its outcomes."""
    newest = diagnoses[0]
    resolved_at = incident.resolved_at
    assert resolved_at is not None
    verdict = outcomes[-1].verdict if outcomes else None
    return PastIncident(
        id=incident.id,
        short_id=incident.short_id,
        service=incident.service,
        environment=incident.environment,
        title=incident.title,
        alert_names=tuple(sorted({alert.name for alert in alerts})),
        facts=past_facts(newest.facts, names_of(incident.service, alerts)),
        cause=cause_of(newest),
        root_cause=newest.root_cause,
        resolution=_resolution(execution, proposal, verdict),
        opened_at=incident.opened_at,
        resolved_at=resolved_at,
        quality=quality_of(diagnoses, verdict),
    )


def cause_of(diagnosis: Diagnosis) -> PastCause | None:
    """What a diagnosis puts the incident down to; None where it is inconclusive or names nothing."""
    if diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE or diagnosis.root_cause is None:
        return None
    top = next((one for one in diagnosis.hypotheses if one.refuted_by is None), None)
    if top is None:
        return None
    return PastCause(object=top.object, object_kind=top.object_kind, fault=top.fault)


def quality_of(diagnoses: Sequence[Diagnosis], outcome: OutcomeVerdict | None) -> float:
    """How far the newest diagnosis may be trusted, between 0 and 1: by its band, better where the action
    that it led to was seen to help, worse where that did not help or an earlier run found another cause."""
    newest = diagnoses[0]
    cause = cause_of(newest)
    quality = _BY_BAND[newest.band]
    if cause is None or not quality:
        return 0.0
    if outcome is OutcomeVerdict.VERIFIED:
        quality += _VERIFIED
    elif outcome is OutcomeVerdict.FAILED:
        quality -= _DID_NOT_HELP
    earlier = {(one.object, one.fault) for one in map(cause_of, diagnoses[1:]) if one is not None}
    quality -= _OTHER_CAUSE * len(earlier - {(cause.object, cause.fault)})
    return round(min(1.0, max(0.0, quality)), 2)


def _resolution(
    execution: Execution | None, proposal: Proposal | None, verdict: OutcomeVerdict | None
) -> str:
    if execution is None or proposal is None:
        return _BY_ITSELF
    done = f"{proposal.action.name} of {proposal.target.name}"
    if verdict is OutcomeVerdict.VERIFIED:
        return f"{done}, verified: it helped"
    if verdict is OutcomeVerdict.FAILED:
        return f"{done} did not help; later its alerts resolved"
    return f"{done}, whether it helped is not known; its alerts resolved"
