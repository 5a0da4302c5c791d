"""Alertmanager's webhook body, version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config; the fields are those of
``webhook.Message`` and ``template.Data`` in prometheus/alertmanager.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.alerts.group import AlertBody, Envelope, GroupParser
from adapters.alerts.normalise import Normaliser


class AlertmanagerParser(GroupParser[Envelope, AlertBody]):
    """``POST`` bodies of an Alertmanager webhook receiver."""

    def __init__(self, normaliser: Normaliser) -> None:
        super().__init__(normaliser, Envelope, AlertBody)

    @property
    def hint(self) -> str:
        return (
            "this source is of kind alertmanager and takes the body of Alertmanager's webhook_configs; "
            "for a flat alert of your own configure the source as kind: generic"
        )

    def _links(self, item: AlertBody, envelope: Envelope) -> Mapping[str, str]:
        return {"generator": item.generatorURL or ""}

    def _values(self, item: AlertBody) -> Mapping[str, float | None]:
        return {}
