"""A flat alert for scripts and senders that are neither Alertmanager nor Grafana.

``{alertname, instance, severity="warning", summary, description, runbook_url, labels{}, annotations{},
status="firing", startsAt, endsAt, fingerprint, generatorURL}``, one or a list of them. Only
``alertname`` is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from adapters.alerts.normalise import Normaliser, Refused, complaint, rejection
from adapters.alerts.reading import damaged, load, without_bom
from bot.domain.alert import IngestResult
from bot.domain.batch import BodyError, BodyProblem, ParsedAlert, ParsedBatch


class GenericAlert(BaseModel):
    """Numbers are taken where text is expected: ``{"port": 8080}`` is a fair label in hand-written JSON."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    alertname: str = Field(min_length=1)
    instance: str = ""
    severity: str = ""
    summary: str = ""
    description: str = ""
    runbook_url: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    status: str = "firing"
    startsAt: AwareDatetime | None = None
    endsAt: AwareDatetime | None = None
    fingerprint: str = ""
    generatorURL: str = ""


class GenericParser:
    """One flat alert or a list of them."""

    def __init__(self, normaliser: Normaliser) -> None:
        self._normaliser = normaliser
        self._listed: TypeAdapter[list[GenericAlert]] = TypeAdapter(
            Annotated[list[GenericAlert], Field(max_length=normaliser.limits.alerts), FailFast()]
        )

    def __call__(self, body: bytes, *, source: str, received_at: datetime) -> ParsedBatch:
        body = without_bom(body)
        items: Sequence[tuple[int, GenericAlert]]
        rejected: list[IngestResult] = []
        try:
            if body.lstrip()[:1] == b"[":
                items = list(enumerate(self._listed.validate_json(body)))
            else:
                items = [(0, GenericAlert.model_validate_json(body))]
        except ValidationError:
            items, rejected = self._piecewise(body)
        alerts: list[ParsedAlert] = []
        for index, item in items:
            try:
                alerts.append(self._take(index, item, source, received_at))
            except Refused as refusal:
                rejected.append(rejection(index, {"alertname": item.alertname}, str(refusal)))
        return ParsedBatch(
            alerts=tuple(alerts), rejected=tuple(sorted(rejected, key=lambda result: result.index))
        )

    def _piecewise(self, body: bytes) -> tuple[list[tuple[int, GenericAlert]], list[IngestResult]]:
        data = load(body)
        if isinstance(data, dict) and "alerts" in data and "alertname" not in data:
            raise BodyError(
                BodyProblem.UNUSABLE,
                "the body has `alerts` as Alertmanager and Grafana send them; "
                "configure this source as kind: alertmanager or kind: grafana",
            )
        raw_items: list[Any] = data if isinstance(data, list) else [data]
        self._normaliser.check_count(len(raw_items))
        items: list[tuple[int, GenericAlert]] = []
        rejected: list[IngestResult] = []
        for index, raw in enumerate(raw_items):
            if place := damaged(raw):
                rejected.append(rejection(index, raw, f"{place}: not valid UTF-8 text"))
                continue
            try:
                items.append((index, GenericAlert.model_validate(raw)))
            except ValidationError as error:
                rejected.append(rejection(index, raw, complaint(error)))
        return items, rejected

    def _take(self, index: int, item: GenericAlert, source: str, received_at: datetime) -> ParsedAlert:
        own = {
            "alertname": item.alertname,
            "instance": item.instance,
            "severity": item.severity or item.labels.get("severity") or "warning",
        }
        told = {
            "summary": item.summary,
            "description": item.description,
            "runbook_url": item.runbook_url,
        }
        return self._normaliser.alert(
            index=index,
            source=source,
            received_at=received_at,
            status=item.status,
            labels=item.labels | {name: text for name, text in own.items() if text},
            annotations=item.annotations | {name: text for name, text in told.items() if text},
            starts_at=item.startsAt,
            ends_at=item.endsAt,
            fingerprint=item.fingerprint,
            links={"generator": item.generatorURL},
        )
