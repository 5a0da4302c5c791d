"""Rows → the story of an incident: what happened when, and what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from approvals.model import RequestState, ReviewVerdict
from bot.domain.alert import Alert, AlertStatus
from bot.domain.clock import Clock
from bot.domain.diagnosis import Diagnosis
from bot.domain.evidence import FactVerdict
from bot.domain.ids import IncidentId
from bot.domain.outcome import ExecutionState, OutcomeVerdict
from bot.domain.summary import RESOLVED, TimelineEntry
from bot.messages.view import RequestView
from bot.ports import Reading
from bot.workflow.announcement import read_view
from investigators.retrospect.story import Deed, Story, line

_DELIVERIES = 500
_ALERTS = 50
_RUNS = 10
_ENTRIES = 40
_CYCLES = 3
"""How often it is told in full that all alerts went away and came back."""

_VERDICTS = {
    OutcomeVerdict.VERIFIED: "it helped",
    OutcomeVerdict.FAILED: "it did not help",
    OutcomeVerdict.PENDING: "not settled",
    OutcomeVerdict.UNKNOWN: "whether it helped is not known",
}
_REVIEWS = {ReviewVerdict.APPROVE: "approved", ReviewVerdict.REJECT: "rejected"}
_UNDECIDED = (RequestState.PENDING, RequestState.APPROVED)


async def read_story(rows: Reading, incident_id: IncidentId, clock: Clock) -> Story | None:
    """Everything stored about a resolved incident; None for one that was never diagnosed."""
    view = await read_view(rows, incident_id)
    diagnoses = await rows.diagnoses_of(incident_id, _RUNS)
    if view is None or not diagnoses:
        return None
    deliveries = [one.alert for one in reversed(await rows.alerts_of(incident_id, _DELIVERIES))]
    current = tuple(one.alert for one in await rows.current_alerts(incident_id, _ALERTS))
    incident = view.incident
    began_at = min([one.starts_at for one in (*deliveries, *current)], default=incident.opened_at)
    entries = sorted(
        [
            TimelineEntry(at=began_at, what=_first(deliveries, began_at)),
            TimelineEntry(at=incident.opened_at, what="the incident opened"),
            *_of_diagnosis(diagnoses[0]),
            *(_diagnosed(one) for one in diagnoses),
            *(entry for request in view.requests for entry in _of_request(request)),
            *_cycles(deliveries),
            *([TimelineEntry(at=incident.resolved_at, what=RESOLVED)] if incident.resolved_at else []),
        ],
        key=lambda entry: entry.at,
    )
    half = _ENTRIES // 2
    shown = entries if len(entries) <= _ENTRIES else [*entries[:half], *entries[-half:]]
    remediation = view.remediation
    return Story(
        incident=incident,
        alerts=current,
        began_at=began_at,
        diagnoses=tuple(diagnoses),
        evidence=tuple(await rows.evidence_of(incident_id, diagnoses[0].run)),
        now=clock.now(),
        deeds=tuple(_deed(request) for request in view.requests),
        advice=() if remediation is None or view.requests else remediation.reasons,
        timeline=tuple(shown),
        earlier=len(entries) - min(len(entries), _ENTRIES),
        recurrence=view.recurrence,
    )


def _first(deliveries: Sequence[Alert], began_at: datetime) -> str:
    first = next((one for one in deliveries if one.starts_at == began_at), None)
    return "the first alert began to fire" + ("" if first is None else f": {line(first.name, 120)}")


def _diagnosed(diagnosis: Diagnosis) -> TimelineEntry:
    found = diagnosis.root_cause or diagnosis.verdict.value.replace("_", " ")
    what = f"diagnosis of run {diagnosis.run} (confidence {diagnosis.band.value}): {line(found, 160)}"
    return TimelineEntry(at=diagnosis.at, what=what)


def _of_diagnosis(diagnosis: Diagnosis) -> Iterator[TimelineEntry]:
    for fact in diagnosis.facts:
        onset = fact.values.get("onset")
        if fact.kind == "alert_onset" and fact.verdict is FactVerdict.FOUND and onset is not None:
            yield TimelineEntry(at=datetime.fromtimestamp(onset, UTC), what="the trouble began to show")
            break
    suspect = next(iter(diagnosis.suspects), None)
    if suspect is not None and suspect.at is not None and not diagnosis.no_culprit:
        of = f" of {suspect.service}" if suspect.service else ""
        what = line(f"{suspect.kind}{of}: {suspect.title or suspect.change_id}", 160)
        yield TimelineEntry(at=suspect.at, what=what)


def _of_request(view: RequestView) -> Iterator[TimelineEntry]:
    proposal, request, execution = view.proposal, view.request, view.execution
    name = line(f"{proposal.action.name} of {proposal.target.name}", 120)
    yield TimelineEntry(at=proposal.created_at, what=f"{name} was proposed (risk {proposal.risk.value})")
    for review in view.reviews:
        yield TimelineEntry(at=review.at, what=f"{review.reviewer} {_REVIEWS[review.verdict]} it")
        if review.withdrawn_at is not None:
            yield TimelineEntry(at=review.withdrawn_at, what=f"{review.reviewer} took that back")
    if execution is None:
        if request.ended_at is not None and request.state not in _UNDECIDED:
            reason = f": {line(request.ended_reason, 120)}" if request.ended_reason else ""
            yield TimelineEntry(at=request.ended_at, what=f"the request was {request.state.value}{reason}")
        return
    if execution.result is None:
        unknown = " and how that ended is not known" if execution.state is ExecutionState.UNKNOWN else ""
        yield TimelineEntry(at=execution.claimed_at, what=f"{name} was begun{unknown}")
        return
    how = "done" if execution.result.ok else "failed"
    what = line(f"{name} was run: {how} ({execution.result.summary})", 200)
    yield TimelineEntry(at=execution.result.finished_at, what=what)
    for outcome in view.outcomes:
        if outcome.last:
            yield TimelineEntry(at=outcome.at, what=f"verification: {_VERDICTS[outcome.verdict]}")


def _cycles(deliveries: Sequence[Alert]) -> Iterator[TimelineEntry]:
    """When all alerts had gone and one came back."""
    firing: set[tuple[str, str]] = set()
    gone_at: datetime | None = None
    seen: list[TimelineEntry] = []
    for alert in deliveries:
        who = (alert.source, alert.fingerprint)
        if alert.status is AlertStatus.RESOLVED:
            firing.discard(who)
            gone_at = alert.received_at if not firing and gone_at is None else gone_at
            continue
        if gone_at is not None and not firing:
            away = (alert.received_at - gone_at).total_seconds()
            what = f"firing again, after no alert had fired for {away:.0f} s"
            seen.append(TimelineEntry(at=alert.received_at, what=what))
        gone_at = None
        firing.add(who)
    yield from seen[:_CYCLES]
    if len(seen) > _CYCLES:
        last = seen[-1]
        yield TimelineEntry(at=last.at, what=f"firing again, for the {len(seen)}th time in all")


def _deed(view: RequestView) -> Deed:
    execution, outcome = view.execution, view.last_outcome
    approved = [review for review in view.standing if review.verdict is ReviewVerdict.APPROVE]
    ended = ""
    if execution is None:
        ended = f"{view.request.state.value}" + (
            f" ({view.request.ended_reason})" if view.request.ended_reason else ""
        )
    return Deed(
        action=view.proposal.action.name,
        target=view.proposal.target.name,
        proposed_at=view.proposal.created_at,
        people=tuple(dict.fromkeys(str(review.reviewer) for review in approved)),
        ended=ended,
        began_at=None if execution is None else execution.claimed_at,
        state=None if execution is None else execution.state,
        result="" if execution is None or execution.result is None else execution.result.summary,
        verdict=None if outcome is None else outcome.verdict,
        evidence_ids=view.proposal.rationale_evidence_ids,
    )
