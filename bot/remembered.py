"""What the workflow asks of incidents that are over, and of what an incident has cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain.diagnosis import ModelCost
from bot.domain.ids import IncidentId
from bot.domain.incident import Incident
from bot.domain.past import PastIncident, Recurrence


class RememberedRows(Protocol):
    async def past_incidents(self, limit: int, before: datetime) -> Sequence[PastIncident]:
        """Those resolved before then that others may learn from, newest first. An incident that was opened
        again is not over."""
        ...

    async def past_holding(self, words: Sequence[str], limit: int) -> Sequence[PastIncident]:
        """The newest that are over and whose title, service, cause or resolution hold every word, whatever
        their ASCII case; learnt from or not."""
        ...

    async def recurrence_of(self, incident: Incident, now: datetime) -> Recurrence:
        """How often its service, in its environment and with its mode, has been in trouble."""
        ...

    async def model_cost_of(self, incident_id: IncidentId) -> ModelCost | None:
        """Of all its runs, answers and summaries; None where no model took part."""
        ...
