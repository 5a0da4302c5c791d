"""The body that Alertmanager and Grafana share: an envelope around a list of alerts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from types import GenericAlias
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model

from adapters.alerts.normalise import Normaliser, Refused, complaint, rejection
from adapters.alerts.reading import damaged, load, without_bom
from bot.domain.alert import IngestResult
from bot.domain.batch import BodyError, BodyProblem, ParsedAlert, ParsedBatch


class StatusObject(BaseModel):
    """``status`` as Alertmanager's API v2 gives it: active, suppressed or unprocessed."""

    state: str
    silencedBy: list[str] = Field(default_factory=list)
    inhibitedBy: list[str] = Field(default_factory=list)


class AlertBody(BaseModel):
    """One alert. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    status: str | StatusObject | None = None
    labels: dict[str, str]
    annotations: dict[str, str] | None = None
    startsAt: AwareDatetime | None = None
    endsAt: AwareDatetime | None = None
    generatorURL: str | None = None
    fingerprint: str | None = None


class Envelope(BaseModel):
    """What surrounds the alerts."""

    model_config = ConfigDict(extra="ignore")

    receiver: str | None = None
    status: str | None = None
    groupKey: str | None = None
    truncatedAlerts: int = Field(default=0, ge=0)


EnvelopeT = TypeVar("EnvelopeT", bound=Envelope)
ItemT = TypeVar("ItemT", bound=AlertBody)


class GroupParser(ABC, Generic[EnvelopeT, ItemT]):
    """Validates a body whole in one pass over its bytes. Only when that fails, alert by alert, so that
    one bad alert costs one rejection and not the batch."""

    def __init__(self, normaliser: Normaliser, envelope: type[EnvelopeT], item: type[ItemT]) -> None:
        self._normaliser = normaliser
        self._envelope = envelope
        self._item = item
        listed: Any = GenericAlias(list, (item,))
        limited = Field(..., max_length=normaliser.limits.alerts, fail_fast=True)
        self._whole: type[Any] = create_model("Body", __base__=envelope, alerts=(listed, limited))

    def __call__(self, body: bytes, *, source: str, received_at: datetime) -> ParsedBatch:
        body = without_bom(body)
        envelope: EnvelopeT
        items: list[tuple[int, ItemT, Any]]
        rejected: list[IngestResult] = []
        try:
            whole = self._whole.model_validate_json(body)
        except ValidationError:
            envelope, items, rejected = self._piecewise(body)
        else:
            envelope, items = whole, [(index, item, None) for index, item in enumerate(whole.alerts)]
        self._check(envelope)
        alerts: list[ParsedAlert] = []
        for index, item, raw in items:
            try:
                alerts.append(self._take(index, item, envelope, source, received_at))
            except Refused as refusal:
                rejected.append(rejection(index, item.model_dump() if raw is None else raw, str(refusal)))
        return ParsedBatch(
            alerts=tuple(alerts),
            rejected=tuple(sorted(rejected, key=lambda result: result.index)),
            truncated=envelope.truncatedAlerts,
        )

    def _piecewise(self, body: bytes) -> tuple[EnvelopeT, list[tuple[int, ItemT, Any]], list[IngestResult]]:
        data = load(body)
        raw_items = self._list_of_alerts(data)
        self._normaliser.check_count(len(raw_items))
        try:
            envelope = self._envelope.model_validate(data)
        except ValidationError as error:
            raise BodyError(BodyProblem.UNUSABLE, f"the body around the alerts: {complaint(error)}") from None
        items: list[tuple[int, ItemT, Any]] = []
        rejected: list[IngestResult] = []
        for index, raw in enumerate(raw_items):
            if place := damaged(raw):
                rejected.append(rejection(index, raw, f"{place}: not valid UTF-8 text"))
                continue
            try:
                items.append((index, self._item.model_validate(raw), raw))
            except ValidationError as error:
                rejected.append(rejection(index, raw, complaint(error)))
        return envelope, items, rejected

    def _list_of_alerts(self, data: Any) -> list[Any]:
        if isinstance(data, list):
            self._unusable("the body is a list, an object with a list `alerts` is expected")
        if not isinstance(data, dict):
            self._unusable(f"the body is {_kind(data)}, an object with a list `alerts` is expected")
        if "alerts" not in data:
            self._unusable("the body has no `alerts`")
        alerts = data["alerts"]
        if not isinstance(alerts, list):
            self._unusable(f"`alerts` is {_kind(alerts)}, a list is expected")
        return alerts

    def _unusable(self, what: str) -> NoReturn:
        raise BodyError(BodyProblem.UNUSABLE, f"{what}; {self.hint}")

    def _check(self, envelope: EnvelopeT) -> None:
        self._normaliser.check_envelope(groupKey=envelope.groupKey, receiver=envelope.receiver)

    def _take(
        self, index: int, item: ItemT, envelope: EnvelopeT, source: str, received_at: datetime
    ) -> ParsedAlert:
        annotations = item.annotations or {}
        status = item.status
        if isinstance(status, StatusObject):
            annotations = annotations | suppression(status)
            status = "firing" if status.state in ("active", "suppressed", "unprocessed") else status.state
        return self._normaliser.alert(
            index=index,
            source=source,
            received_at=received_at,
            status=status or envelope.status,
            labels=item.labels,
            annotations=annotations,
            starts_at=item.startsAt,
            ends_at=item.endsAt,
            fingerprint=item.fingerprint or "",
            links=self._links(item, envelope),
            values=self._values(item),
            group_key=envelope.groupKey,
            receiver=envelope.receiver,
        )

    @property
    @abstractmethod
    def hint(self) -> str:
        """What to mend when a body has another shape altogether."""

    @abstractmethod
    def _links(self, item: ItemT, envelope: EnvelopeT) -> Mapping[str, str]: ...

    @abstractmethod
    def _values(self, item: ItemT) -> Mapping[str, float | None]: ...


def suppression(status: StatusObject) -> dict[str, str]:
    """A silenced or inhibited alert still fires; say so where people and routes can see it."""
    told = []
    if status.silencedBy:
        told.append("silenced by " + ", ".join(status.silencedBy))
    if status.inhibitedBy:
        told.append("inhibited by " + ", ".join(status.inhibitedBy))
    return {"suppressed": "; ".join(told)} if told else {}


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null", bool: "a boolean"}.get(
        type(value), "a number"
    )
