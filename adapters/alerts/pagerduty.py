"""PagerDuty's webhooks, version 3: one event about one incident in each body.

https://developer.pagerduty.com/docs/webhooks-overview
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from adapters.alerts.normalise import Normaliser, Refused, complaint, rejection
from adapters.alerts.reading import damaged, load, without_bom
from bot.domain.alert import AlertStatus
from bot.domain.batch import BodyError, BodyProblem, ParsedBatch
from bot.domain.redaction import clean

_STATUS_OF = {
    "incident.triggered": AlertStatus.FIRING,
    "incident.acknowledged": AlertStatus.FIRING,
    "incident.reopened": AlertStatus.FIRING,
    "incident.resolved": AlertStatus.RESOLVED,
}
_PING = "pagey.ping"

_SEVERITY_OF = {"high": "critical", "low": "warning"}
"""PagerDuty has no severity on an incident. A high urgency is what wakes people."""

_HINT = "this source is of kind pagerduty and takes PagerDuty's webhooks of version 3"


class Reference(BaseModel):
    """Another of PagerDuty's resources, by its name."""

    model_config = ConfigDict(extra="ignore")

    summary: str | None = None


class PagerDutyIncident(BaseModel):
    """``event.data`` where its type is ``incident``. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1)
    title: str = Field(min_length=1)
    html_url: str | None = None
    created_at: AwareDatetime | None = None
    urgency: str | None = None
    service: Reference | None = None
    priority: Reference | None = None
    teams: list[Reference] | None = None


class Event(BaseModel):
    """``event``. ``data`` is read once the type says what it is."""

    model_config = ConfigDict(extra="ignore")

    event_type: str = Field(min_length=1)
    occurred_at: AwareDatetime | None = None
    data: Any = None


class PagerDutyParser:
    """``POST`` bodies of a generic webhook subscription."""

    def __init__(self, normaliser: Normaliser) -> None:
        self._normaliser = normaliser

    def __call__(self, body: bytes, *, source: str, received_at: datetime) -> ParsedBatch:
        event = _event(load(without_bom(body)))
        status = _STATUS_OF.get(event.event_type)
        if event.event_type == _PING:
            return ParsedBatch(alerts=(), note="the test event has arrived; nothing is made of it")
        if status is None:
            kind = clean(event.event_type.encode("utf-8", "replace").decode(), limit=60)
            return ParsedBatch(alerts=(), note=f"nothing is made of events of type {kind}")
        try:
            incident = PagerDutyIncident.model_validate(event.data)
        except ValidationError as error:
            return ParsedBatch(alerts=(), rejected=(rejection(0, _named(event.data), complaint(error)),))
        labels, link = _labels(incident), incident.html_url or ""
        if place := damaged({"data": {**labels, "id": incident.id, "html_url": link}}):
            reason = f"{place}: not valid UTF-8 text"
            return ParsedBatch(alerts=(), rejected=(rejection(0, _named(event.data), reason),))
        try:
            alert = self._normaliser.alert(
                index=0,
                source=source,
                received_at=received_at,
                status=status.value,
                labels=labels,
                annotations={"summary": incident.title},
                starts_at=_starts_at(event, incident),
                ends_at=event.occurred_at,
                fingerprint=incident.id,
                links={"generator": link},
                group_key=incident.id,
            )
        except Refused as refusal:
            return ParsedBatch(alerts=(), rejected=(rejection(0, _named(event.data), str(refusal)),))
        return ParsedBatch(alerts=(alert,))


def _event(data: Any) -> Event:
    if isinstance(data, dict) and "messages" in data:
        raise BodyError(
            BodyProblem.UNUSABLE,
            "the body has `messages`, as webhooks of version 1 and 2 have; subscribe to version 3",
        )
    if not isinstance(data, dict) or not isinstance(data.get("event"), dict):
        raise BodyError(BodyProblem.UNUSABLE, f"the body is no object with an object `event`; {_HINT}")
    try:
        return Event.model_validate(data["event"])
    except ValidationError as error:
        raise BodyError(BodyProblem.UNUSABLE, f"event: {complaint(error)}; {_HINT}") from None


def _labels(incident: PagerDutyIncident) -> Mapping[str, str]:
    first_team = next(iter(incident.teams or ()), None)
    labels = {
        "alertname": incident.title,
        "service": _summary(incident.service),
        "urgency": incident.urgency or "",
        "severity": _SEVERITY_OF.get(incident.urgency or "", ""),
        "priority": _summary(incident.priority),
        "team": _summary(first_team),
    }
    return {name: text for name, text in labels.items() if text}


def _summary(reference: Reference | None) -> str:
    return (reference.summary or "") if reference is not None else ""


def _starts_at(event: Event, incident: PagerDutyIncident) -> datetime | None:
    """An incident keeps ``created_at`` however often it is resolved and reopened. Only the time of the event
    tells the second resolve from a repeated delivery of the first."""
    if event.event_type in ("incident.triggered", "incident.acknowledged"):
        return incident.created_at or event.occurred_at
    return event.occurred_at


def _named(data: Any) -> Any:
    """``data`` as :func:`rejection` finds names in it."""
    if not isinstance(data, dict):
        return data
    return {"alertname": data.get("title"), "fingerprint": data.get("id")}
