"""Which model an incident is worth: a fast one for what is known, a deep one for what is not."""

from __future__ import annotations

from bot.domain.alert import AlertStatus, Severity
from bot.domain.diagnosis import Diagnosis
from bot.domain.incident import ModelChoice
from investigators.analyst.ports import Tier
from investigators.ports import Case


def firing(case: Case) -> bool:
    """Whether it is not over yet: nobody pays to learn why it was."""
    return any(alert.status is AlertStatus.FIRING for alert in case.alerts)


def tier_of(case: Case, rules: Diagnosis) -> Tier | None:
    """What the incident's route wants, else critical and unknown to the deep model, others to the fast one,
    or to the deep one where the rules found no cause. None: no model. An alert that names no severity has the
    one that the operator declared for it (``grouping.missing_severity``) before it comes here."""
    if not firing(case):
        return None
    incident = case.incident
    match incident.route.model:
        case ModelChoice.OFF:
            return None
        case ModelChoice.FAST:
            return Tier.FAST
        case ModelChoice.DEEP:
            return Tier.DEEP
    if incident.severity in (Severity.CRITICAL, Severity.UNKNOWN) or rules.root_cause is None:
        return Tier.DEEP
    return Tier.FAST
