"""An incident: what the alerts of one cause become, and the states it may pass through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bot.domain.alert import Criticality, Severity
from bot.domain.errors import InvalidTransition
from bot.domain.ids import IncidentId, ShortId


class IncidentState(StrEnum):
    OPEN = "open"
    INVESTIGATING = "investigating"
    DIAGNOSED = "diagnosed"
    AWAITING_APPROVAL = "awaiting_approval"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    RESOLVED = "resolved"
    INCONCLUSIVE = "inconclusive"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CLOSED = "closed"


_S = IncidentState

TRANSITIONS: Mapping[IncidentState, frozenset[IncidentState]] = {
    _S.OPEN: frozenset({_S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    _S.INVESTIGATING: frozenset({_S.DIAGNOSED, _S.INCONCLUSIVE}),
    _S.DIAGNOSED: frozenset({_S.AWAITING_APPROVAL, _S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    # A person may know what to do where the rules do not, or want another action than was rejected.
    _S.INCONCLUSIVE: frozenset({_S.AWAITING_APPROVAL, _S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    # Back to diagnosed: the gate refused, or the request was superseded or withdrawn.
    _S.AWAITING_APPROVAL: frozenset(
        {_S.EXECUTING, _S.REJECTED, _S.EXPIRED, _S.DIAGNOSED, _S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}
    ),
    _S.EXECUTING: frozenset({_S.VERIFYING, _S.FAILED, _S.OUTCOME_UNKNOWN}),
    _S.VERIFYING: frozenset({_S.RESOLVED, _S.FAILED, _S.OUTCOME_UNKNOWN}),
    _S.REJECTED: frozenset({_S.AWAITING_APPROVAL, _S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    _S.EXPIRED: frozenset({_S.AWAITING_APPROVAL, _S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    # An action that did not help may be offered to be undone.
    _S.FAILED: frozenset({_S.AWAITING_APPROVAL, _S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    # Never run again by itself: only a person's rerun, or the alert's own end, leads out.
    _S.OUTCOME_UNKNOWN: frozenset({_S.INVESTIGATING, _S.RESOLVED, _S.CLOSED}),
    _S.RESOLVED: frozenset({_S.OPEN, _S.CLOSED}),
    _S.CLOSED: frozenset(),
}

IN_FLIGHT = frozenset({_S.INVESTIGATING, _S.EXECUTING, _S.VERIFYING})
"""States in which a resolve is noted and applied afterwards."""

LIVE = frozenset(set(IncidentState) - {_S.RESOLVED, _S.CLOSED})
"""States in which a new alert of the same cause joins the incident."""


class Mode(StrEnum):
    """What a route wants done with an alert."""

    IGNORE = "ignore"
    NOTIFY = "notify"
    INVESTIGATE = "investigate"


class ModelChoice(StrEnum):
    """Which model a route wants asked; ``auto``: by severity and by what the rules found."""

    AUTO = "auto"
    FAST = "fast"
    DEEP = "deep"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The outcome of first-match routing: where an incident goes and how it is treated.

    ``rooms`` holds room names as configured, not platform ids. ``suggested_action`` names a
    catalogue entry and its parameters that the operator declared as the known fix. ``digest``: the sender
    wants it told in a digest, not as it happens.
    """

    name: str
    mode: Mode = Mode.INVESTIGATE
    model: ModelChoice = ModelChoice.AUTO
    category: str = "other"
    emoji: str = "🔔"
    environment: str | None = None
    team: str | None = None
    rooms: tuple[str, ...] = ()
    runbook_url: str | None = None
    suggested_action: str | None = None
    suggested_params: Mapping[str, str] = field(default_factory=dict)
    digest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A group of alerts with one supposed cause.

    ``version`` grows by one with every stored change and is the compare-and-swap token.
    ``run`` counts investigations. ``flaps`` counts how often its alerts went away and came back.
    ``firing`` is the number of member alerts that still fire; ``alerts_total`` counts every firing that
    ever joined.
    ``correlation`` are the labels that group alerts of different names.
    ``entity`` is what it is about where that is no service, such as the pair ``source → target``.
    ``criticality`` is the highest that any of its alerts claimed.
    """

    id: IncidentId
    short_id: ShortId
    state: IncidentState
    severity: Severity
    title: str
    service: str | None
    environment: str | None
    source: str
    group_key: str
    route: Route
    opened_at: datetime
    updated_at: datetime
    correlation: Mapping[str, str] = field(default_factory=dict)
    resolved_at: datetime | None = None
    version: int = 1
    run: int = 0
    firing: int = 0
    alerts_total: int = 0
    flaps: int = 0
    reopened: int = 0
    entity: str | None = None
    criticality: Criticality | None = None

    @property
    def quiet(self) -> bool:
        """Nothing is said of it unasked: it is for the digest, and not critical."""
        return self.route.digest and self.severity is not Severity.CRITICAL

    def moved(self, to: IncidentState, at: datetime) -> Incident:
        """Return this incident in state ``to``.

        Raises InvalidTransition when the state machine has no such step.
        """
        if to not in TRANSITIONS[self.state]:
            raise InvalidTransition(f"incident {self.short_id}: no step from {self.state} to {to}")
        resolved_at = at if to is IncidentState.RESOLVED else self.resolved_at
        if to is IncidentState.OPEN:
            resolved_at = None
        return replace(self, state=to, updated_at=at, resolved_at=resolved_at)
