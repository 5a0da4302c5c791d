"""What a message is made from: one incident with everything stored about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from approvals.model import ApprovalRequest, Review
from bot.domain.alert import StoredAlert
from bot.domain.diagnosis import Diagnosis, ModelCost
from bot.domain.incident import Incident
from bot.domain.outcome import Execution, Outcome
from bot.domain.past import Recurrence
from bot.domain.proposal import Proposal, Remediation
from bot.domain.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """One approval request with what was proposed, who reviewed it and what became of it."""

    request: ApprovalRequest
    proposal: Proposal
    reviews: tuple[Review, ...]
    execution: Execution | None
    outcomes: tuple[Outcome, ...]

    @property
    def standing(self) -> tuple[Review, ...]:
        return tuple(review for review in self.reviews if review.withdrawn_at is None)

    @property
    def last_outcome(self) -> Outcome | None:
        return self.outcomes[-1] if self.outcomes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """One consistent snapshot. ``change`` is the change counter the snapshot was taken at.

    ``alerts`` holds the last known state of at most a few members; ``incident.firing`` and
    ``incident.alerts_total`` count all of them. ``requests`` are oldest first. ``recurrence`` is as it was
    when the incident opened. ``calibration``: nothing is offered here. ``model_cost`` is None where no model
    took part.
    """

    incident: Incident
    change: int
    alerts: tuple[StoredAlert, ...]
    diagnosis: Diagnosis | None
    remediation: Remediation | None
    requests: tuple[RequestView, ...]
    recurrence: Recurrence = field(default_factory=Recurrence)
    calibration: bool = False
    summary: Summary | None = None
    model_cost: ModelCost | None = None
