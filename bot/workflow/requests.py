"""Ending approval requests, wherever in the workflow that becomes necessary."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from approvals.model import RequestState
from bot.domain.audit import RequestEnded
from bot.domain.incident import Incident
from bot.ports import Transaction

UNDECIDED = frozenset({RequestState.PENDING, RequestState.APPROVED})


async def end_open_requests(
    tx: Transaction, incident: Incident, state: RequestState, reason: str, now: datetime
) -> None:
    """End every request of the incident that could still lead to a run.

    Safe against a gate that is open already: its claim compares the request's version.
    """
    claimed = {execution.request_id for execution in await tx.executions_of(incident.id)}
    for request in await tx.requests_of(incident.id):
        if request.state not in UNDECIDED or request.id in claimed:
            continue
        await tx.save_request(replace(request, state=state, ended_at=now, ended_reason=reason))
        await tx.record(
            RequestEnded(incident_id=incident.id, request_id=request.id, state=state.value, reason=reason)
        )
