"""Which model an incident is worth: a fast one for what is known, a deep one for what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bot.domain.alert import AlertStatus, Severity
from bot.domain.diagnosis import Diagnosis, DiagnosisVerdict
from investigators.analyst.ports import Tier
from investigators.ports import Case


def firing(case: Case) -> bool:
    """Whether it is not over yet: nobody pays to learn why it was."""
    return any(alert.status is AlertStatus.FIRING for alert in case.alerts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """``always`` says what a severity gets whatever the rules found; None: no model. A severity that is not
    in it goes by the rules: critical and unknown to the deep model, others to the fast one, or to the deep
    one where the rules came to nothing. An alert that names no severity has the one that the operator
    declared for it (``grouping.missing_severity``) before it comes here."""

    always: Mapping[Severity, Tier | None] = field(default_factory=lambda: MappingProxyType({}))

    def tier(self, case: Case, rules: Diagnosis) -> Tier | None:
        if not firing(case):
            return None
        severity = case.incident.severity
        if severity in self.always:
            return self.always[severity]
        if (
            severity in (Severity.CRITICAL, Severity.UNKNOWN)
            or rules.verdict is DiagnosisVerdict.INCONCLUSIVE
        ):
            return Tier.DEEP
        return Tier.FAST
