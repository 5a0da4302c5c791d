"""Moving an incident from one state to the next, with its trace in the ledger."""

from __future__ import annotations

from datetime import datetime

from bot.domain.audit import IncidentMoved
from bot.domain.incident import Incident, IncidentState
from bot.ports import Transaction


async def move(
    tx: Transaction, incident: Incident, to: IncidentState, reason: str, now: datetime
) -> Incident:
    """Store the incident in state ``to`` and record why; return it with its next version.

    Raises InvalidTransition for a step the state machine does not know, StaleWrite when somebody was first.
    """
    moved = await tx.save_incident(incident.moved(to, now))
    await tx.record(
        IncidentMoved(incident_id=incident.id, before=incident.state.value, after=to.value, reason=reason)
    )
    return moved
