"""Rows → what chat should show. Chat is a projection: nothing is said that the rows do not say.

Editable slots (the root card, approval cards) are brought to the wanted content; replies have keys
made from what they tell, so telling the same thing twice is impossible.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from approvals.model import RequestState
from bot.domain.alert import Severity
from bot.domain.chat import ROOT_SLOT, Delivery, DeliveryOp
from bot.domain.clock import Clock
from bot.domain.diagnosis import Diagnosis
from bot.domain.evidence import Evidence
from bot.domain.ids import IncidentId
from bot.domain.incident import IncidentState
from bot.domain.message import Message
from bot.domain.outcome import ExecutionState
from bot.messages.approval import (
    approval_card,
    ended_reply,
    execution_reply,
    outcome_reply,
    reminder_reply,
)
from bot.messages.incident import (
    budget_reply,
    diagnosis_reply,
    remediation_reply,
    reopened_reply,
    resolved_reply,
    root_card,
)
from bot.messages.summary import summary_reply
from bot.messages.view import IncidentView, RequestView
from bot.ports import IncidentStore, Reading

_MEMBERS = 20
DAILY_BUDGET = "daily_budget"
"""The kind of failure of a model that means: no more money today."""

_Evidence = tuple[Evidence, ...]


async def read_view(
    rows: Reading, incident_id: IncidentId, *, calibration: bool = False
) -> IncidentView | None:
    """Everything stored about one incident, in one snapshot."""
    incident = await rows.incident(incident_id)
    if incident is None:
        return None
    executions = {execution.request_id: execution for execution in await rows.executions_of(incident_id)}
    requests = []
    for request in await rows.requests_of(incident_id):
        proposal = await rows.proposal(request.proposal_id)
        if proposal is None:
            continue
        execution = executions.get(request.id)
        requests.append(
            RequestView(
                request=request,
                proposal=proposal,
                reviews=tuple(await rows.reviews_of(request.id)),
                execution=execution,
                outcomes=tuple(await rows.outcomes_of(execution.id)) if execution is not None else (),
            )
        )
    return IncidentView(
        incident=incident,
        change=await rows.change_of(incident_id),
        alerts=tuple(await rows.current_alerts(incident_id, _MEMBERS)),
        diagnosis=await rows.latest_diagnosis(incident_id),
        remediation=await rows.remediation_of(incident_id),
        requests=tuple(requests),
        recurrence=await rows.recurrence_of(incident, incident.opened_at),
        calibration=calibration,
        summary=await rows.summary_of(incident_id),
        model_cost=await rows.model_cost_of(incident_id),
    )


class Announcing:
    """Brings an incident's threads up to date with its rows."""

    def __init__(self, store: IncidentStore, clock: Clock, *, calibration: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._calibration = calibration

    async def run(self, subject: str) -> None:
        incident_id = IncidentId(subject)
        async with self._store.reading() as rows:
            view = await read_view(rows, incident_id, calibration=self._calibration)
            if view is None:
                return
            evidence = tuple(await rows.evidence_of(incident_id, view.incident.run))
        async with self._store.transaction() as tx:
            for room in () if view.incident.quiet else view.incident.route.rooms:
                opening = self._opening(view, room)
                await tx.put(opening)
                for delivery in self._replies(view, room, evidence):
                    await tx.put(delivery)
                await tx.project([self._root_update(view, room), *self._cards(view, room, evidence)])
            await tx.mark_announced(incident_id, view.change)

    def _opening(self, view: IncidentView, room: str) -> Delivery:
        return Delivery(
            key=f"{view.incident.id}:{room}:root",
            op=DeliveryOp.OPEN_THREAD,
            room=room,
            slot=ROOT_SLOT,
            message=root_card(view),
            incident_id=view.incident.id,
        )

    def _root_update(self, view: IncidentView, room: str) -> Delivery:
        return Delivery(
            key=f"{view.incident.id}:{room}:root:{view.change}",
            op=DeliveryOp.UPDATE_ROOT,
            room=room,
            slot=ROOT_SLOT,
            message=root_card(view),
            incident_id=view.incident.id,
        )

    def _cards(self, view: IncidentView, room: str, evidence: _Evidence) -> Iterator[Delivery]:
        for item in view.requests:
            yield self._card(view, room, item, evidence, posting=False)

    def _card(
        self, view: IncidentView, room: str, item: RequestView, evidence: _Evidence, *, posting: bool
    ) -> Delivery:
        cited = set(item.proposal.rationale_evidence_ids)
        outsider = tuple(e for e in evidence if e.outsider_writable and e.id in cited)
        request = item.request
        edit = DeliveryOp.SETTLE_CARD if _settled(item) else DeliveryOp.UPDATE_CARD
        return Delivery(
            key=f"{request.id}:{room}:card" + ("" if posting else f":{view.change}"),
            op=DeliveryOp.POST_CARD if posting else edit,
            room=room,
            slot=f"card:{request.id}",
            message=approval_card(view.incident, item, outsider),
            incident_id=view.incident.id,
        )

    def _replies(self, view: IncidentView, room: str, evidence: _Evidence) -> Iterator[Delivery]:
        incident = view.incident
        if view.diagnosis is not None:
            run = view.diagnosis.run
            message = diagnosis_reply(view.diagnosis, incident, view.recurrence, calibration=view.calibration)
            yield self._reply(view, room, f"diagnosis:{run}", message)
            yield from _budget(view, room, view.diagnosis)
        if view.remediation is not None:
            advice = remediation_reply(view.remediation, incident)
            if advice is not None:
                yield self._reply(view, room, f"remediation:{view.remediation.run}", advice)
        for item in view.requests:
            yield from self._request_replies(view, room, item, evidence)
        if incident.reopened and incident.state is not IncidentState.RESOLVED:
            yield self._reply(view, room, f"reopened:{incident.reopened}", reopened_reply(incident))
        if incident.state is IncidentState.RESOLVED and (
            incident.severity is Severity.CRITICAL or view.requests
        ):
            yield self._reply(view, room, f"resolved:{incident.reopened}", resolved_reply(incident))
        if view.summary is not None:
            told = summary_reply(view.summary, incident)
            yield self._reply(view, room, f"summary:{view.summary.reopened}", told)

    def _request_replies(
        self, view: IncidentView, room: str, item: RequestView, evidence: _Evidence
    ) -> Iterator[Delivery]:
        incident, request = view.incident, item.request
        yield self._card(view, room, item, evidence, posting=True)
        if request.state is RequestState.PENDING and request.reminded:
            message = reminder_reply(incident, request, self._clock.now())
            yield self._reply(view, room, f"{request.id}:reminder:{request.reminded}", message)
        ended = ended_reply(incident, item)
        if ended is not None:
            yield self._reply(view, room, f"{request.id}:ended", ended)
        ran = execution_reply(incident, item)
        if ran is not None and item.execution is not None:
            yield self._reply(view, room, f"{item.execution.id}:{item.execution.state.value}", ran)
        if item.execution is not None:
            for outcome in item.outcomes:
                if not outcome.last:
                    continue
                yield self._reply(
                    view,
                    room,
                    f"{item.execution.id}:outcome:{outcome.attempt}",
                    outcome_reply(incident, item.execution, outcome),
                )

    def _reply(self, view: IncidentView, room: str, what: str, message: Message) -> Delivery:
        key = f"{view.incident.id}:{room}:{what}"
        return Delivery(
            key=key,
            op=DeliveryOp.REPLY,
            room=room,
            slot=key,
            message=message,
            incident_id=view.incident.id,
        )


def _budget(view: IncidentView, room: str, diagnosis: Diagnosis) -> Iterator[Delivery]:
    """That the day's money is gone, told by the first incident that met it: the key is the day's and the
    room's, and the outbox takes each key once."""
    if diagnosis.model is None or diagnosis.model.kind != DAILY_BUDGET:
        return
    day = diagnosis.at.astimezone(UTC).date()
    key = f"budget:{day.isoformat()}:{room}"
    yield Delivery(
        key=key,
        op=DeliveryOp.REPLY,
        room=room,
        slot=key,
        message=budget_reply(day),
        incident_id=view.incident.id,
    )


def _settled(item: RequestView) -> bool:
    """No gesture can change anything any more: the bot takes its seeds away."""
    if item.execution is not None:
        return item.execution.state is not ExecutionState.CLAIMED
    return item.request.state not in (RequestState.PENDING, RequestState.APPROVED)
