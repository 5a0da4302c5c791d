"""Webhook bodies to alerts: one pure parser per kind of sender."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.alerts.alertmanager import AlertmanagerParser
from adapters.alerts.generic import GenericParser
from adapters.alerts.grafana import GrafanaParser
from adapters.alerts.normalise import Normaliser
from adapters.alerts.pagerduty import PagerDutyParser
from bot.domain.alert import Severity
from bot.domain.batch import ParseAlerts
from config.schema import Limits

__all__ = ["AlertmanagerParser", "GenericParser", "GrafanaParser", "Normaliser", "PagerDutyParser", "parsers"]


def parsers(limits: Limits, *, missing_severity: str = Severity.UNKNOWN) -> Mapping[str, ParseAlerts]:
    """Return the parser of every ``config.schema.Source.kind``.

    ``missing_severity`` is what an alert gets whose severity is absent or an unknown word.
    """
    normaliser = Normaliser(limits, missing_severity=Severity(missing_severity))
    return {
        "alertmanager": AlertmanagerParser(normaliser),
        "grafana": GrafanaParser(normaliser),
        "pagerduty": PagerDutyParser(normaliser),
        "generic": GenericParser(normaliser),
    }
