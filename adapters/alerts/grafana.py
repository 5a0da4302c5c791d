"""Grafana's webhook contact point: Alertmanager's body and more.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from adapters.alerts.group import AlertBody, Envelope, GroupParser
from adapters.alerts.normalise import Normaliser

_VALUE_BYTES = 16_384
"""How much of ``valueString`` is read when ``values`` is null."""


class GrafanaAlert(AlertBody):
    """One alert of Grafana's; every URL may be absent or empty."""

    values: dict[str, float | None] | None = None
    valueString: str | None = None
    dashboardURL: str | None = None
    panelURL: str | None = None
    silenceURL: str | None = None
    imageURL: str | None = None
    orgId: int | None = None


class GrafanaEnvelope(Envelope):
    """``externalURL`` and ``orgId`` complete links that an alert only names by uid."""

    externalURL: str | None = None
    orgId: int | None = None


class GrafanaParser(GroupParser[GrafanaEnvelope, GrafanaAlert]):
    """``POST`` or ``PUT`` bodies of a Grafana webhook contact point."""

    def __init__(self, normaliser: Normaliser) -> None:
        super().__init__(normaliser, GrafanaEnvelope, GrafanaAlert)

    @property
    def hint(self) -> str:
        return (
            "if the contact point has a custom payload, remove it: "
            "this source is of kind grafana and takes Grafana's default webhook body"
        )

    def _check(self, envelope: GrafanaEnvelope) -> None:
        super()._check(envelope)
        self._normaliser.check_envelope(externalURL=envelope.externalURL)

    def _links(self, item: GrafanaAlert, envelope: GrafanaEnvelope) -> Mapping[str, str]:
        links = {
            "generator": item.generatorURL or "",
            "silence": item.silenceURL or "",
            "image": item.imageURL or "",
            "dashboard": item.dashboardURL or "",
            "panel": item.panelURL or "",
        }
        named = self._links_by_uid(item, envelope)
        return links | {kind: url for kind, url in named.items() if not links[kind]}

    def _links_by_uid(self, item: GrafanaAlert, envelope: GrafanaEnvelope) -> Mapping[str, str]:
        annotations = item.annotations or {}
        uid = annotations.get("__dashboardUid__")
        if not uid or not envelope.externalURL:
            return {}
        organisation = item.orgId or envelope.orgId
        query = {"orgId": str(organisation)} if organisation else {}
        address = f"{envelope.externalURL.rstrip('/')}/d/{quote(uid, safe='')}"
        links = {"dashboard": _with_query(address, query)}
        if panel := annotations.get("__panelId__"):
            links["panel"] = _with_query(address, query | {"viewPanel": panel})
        return links

    def _values(self, item: GrafanaAlert) -> Mapping[str, float | None]:
        if item.values is not None:
            return item.values
        return values_from_text(item.valueString or "")


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}?{urlencode(query)}" if query else address


def values_from_text(text: str) -> dict[str, float | None]:
    """Read ``[ var='A' labels={…} value=0.21 ], [ … ]``; what is not a number becomes None.

    A reference that occurs for several label sets keeps its first value: the alert's own comes first.
    """
    values: dict[str, float | None] = {}
    for part in text[:_VALUE_BYTES].split("[ var='")[1:]:
        name, quote_mark, rest = part.partition("'")
        _, found, number = rest.rpartition(" value=")
        if quote_mark and found:
            values.setdefault(name, _number(number))
    return values


def _number(text: str) -> float | None:
    words = text.split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None
