"""From what a sender wrote to an alert: limits, times, severity, links, redaction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from bot.domain.alert import Alert, AlertStatus, IngestResult, IngestStatus, Severity
from bot.domain.batch import BodyError, BodyProblem, ParsedAlert
from bot.domain.redaction import clean, may_hold_secret, redact_field
from config.schema import Limits

MAX_CLOCK_SKEW = timedelta(hours=1)
"""A ``startsAt`` further in the future than this says that a clock is wrong, not when the alert began."""

_EPOCH_YEAR = 1970
_MAX_FINGERPRINT = 256
_MAX_REASON = 400

_SEVERITIES = {
    "critical": Severity.CRITICAL,
    "crit": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "fatal": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "error": Severity.CRITICAL,
    "warning": Severity.WARNING,
    "warn": Severity.WARNING,
    "info": Severity.INFO,
    "information": Severity.INFO,
    "informational": Severity.INFO,
    "notice": Severity.INFO,
    "debug": Severity.INFO,
    "none": Severity.INFO,
    "unknown": Severity.UNKNOWN,
}


class Refused(Exception):
    """This one alert cannot be taken; the text is the reason given to the sender."""


class Normaliser:
    """Turns the fields of one alert, already of the right types, into an alert within the limits."""

    def __init__(self, limits: Limits, *, missing_severity: Severity = Severity.UNKNOWN) -> None:
        self.limits = limits
        self.missing_severity = missing_severity

    def alert(
        self,
        *,
        index: int,
        source: str,
        received_at: datetime,
        status: str | None,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        starts_at: datetime | None,
        ends_at: datetime | None,
        fingerprint: str,
        links: Mapping[str, str],
        values: Mapping[str, float | None] | None = None,
        group_key: str | None = None,
        receiver: str | None = None,
    ) -> ParsedAlert:
        """Raises Refused with the reason when the alert is over a limit or makes no sense."""
        if not labels:
            raise Refused("labels: empty; an alert is identified by its labels")
        self._check_map("labels", labels, self.limits.label_value_bytes)
        self._check_map("annotations", annotations, self.limits.annotation_value_bytes)
        self._check_text("fingerprint", fingerprint, _MAX_FINGERPRINT)
        notes: list[str] = []
        state = _status(status)
        begun = _starts_at(starts_at, received_at, notes)
        shown = self._links(links, annotations, notes)
        if may_hold_secret(annotations, shown):
            annotations = {name: redact_field(name, text) for name, text in annotations.items()}
            shown = {kind: redact_field(kind, url) for kind, url in shown.items()}
        return ParsedAlert(
            index=index,
            alert=Alert(
                source=source,
                fingerprint=fingerprint or fingerprint_of(labels),
                status=state,
                name=labels.get("alertname") or "unnamed alert",
                severity=self._severity(labels.get("severity")),
                labels=labels,
                annotations=annotations,
                starts_at=begun,
                received_at=received_at,
                ends_at=_ends_at(ends_at, begun, received_at) if state is AlertStatus.RESOLVED else None,
                values=self._values(values) if values else {},
                links=shown,
                group_key=group_key or None,
                receiver=receiver or None,
            ),
            note="; ".join(notes) or None,
        )

    def check_envelope(self, **texts: str | None) -> None:
        """Raises BodyError when a text that all alerts of a body share cannot be kept."""
        for where, text in texts.items():
            try:
                self._check_text(where, text or "", self.limits.annotation_value_bytes)
                (text or "").encode()
            except UnicodeEncodeError:
                raise BodyError(BodyProblem.UNUSABLE, f"{where}: not valid UTF-8 text") from None
            except Refused as refusal:
                raise BodyError(BodyProblem.UNUSABLE, str(refusal)) from None

    def check_count(self, count: int) -> None:
        """Raises BodyError when a body has more alerts than the limit."""
        if count > self.limits.alerts:
            raise BodyError(
                BodyProblem.TOO_LARGE,
                f"the body has {count} alerts, the limit is {self.limits.alerts} (limits.alerts); "
                "send fewer in one request (Alertmanager: max_alerts, group_by)",
            )

    def _severity(self, word: str | None) -> Severity:
        return _SEVERITIES.get(word.strip().lower(), self.missing_severity) if word else self.missing_severity

    def _check_map(self, where: str, texts: Mapping[str, str], limit: int) -> None:
        if len(texts) > self.limits.labels:
            raise Refused(f"{where}: {len(texts)} of them, the limit is {self.limits.labels} (limits.labels)")
        # Nearly every alert is so small that no single text of it can be too long: one look at all of it.
        everything = "\0".join((*texts, *texts.values()))
        strictest = min(limit, self.limits.label_value_bytes)
        if len(everything) * 4 <= strictest and everything.count("\0") < 2 * len(texts):
            return
        for name, text in texts.items():
            self._check_text(f"a name in {where}", name, self.limits.label_value_bytes)
            self._check_text(f"{where}.{name}", text, limit)

    def _check_text(self, where: str, text: str, limit: int) -> None:
        if "\0" in text:
            raise Refused(f"{where}: holds a NUL character (\\u0000), which cannot be stored; remove it")
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise Refused(f"{where}: {size} bytes, the limit is {limit} bytes")

    def _values(self, values: Mapping[str, float | None]) -> dict[str, float]:
        if len(values) > self.limits.labels:
            raise Refused(f"values: {len(values)} of them, the limit is {self.limits.labels} (limits.labels)")
        for name in values:
            self._check_text("a name in values", name, self.limits.label_value_bytes)
        return {
            name: number for name, number in values.items() if number is not None and math.isfinite(number)
        }

    def _links(
        self, links: Mapping[str, str], annotations: Mapping[str, str], notes: list[str]
    ) -> dict[str, str]:
        kept: dict[str, str] = {}
        for kind, url in (*links.items(), ("runbook", annotations.get("runbook_url", ""))):
            if not url:
                continue
            self._check_text(f"the {kind} link", url, self.limits.annotation_value_bytes)
            if url.startswith(("http://", "https://")):
                kept[kind] = url
            else:
                notes.append(f"the {kind} link does not begin with http:// or https:// and was left out")
        return kept


def _status(word: str | None) -> AlertStatus:
    if word == "firing":
        return AlertStatus.FIRING
    if word == "resolved":
        return AlertStatus.RESOLVED
    if word is None:
        raise Refused("status: missing; send firing or resolved")
    raise Refused(f'status: "{clean(word, limit=60)}" is neither firing nor resolved')


def _starts_at(sent: datetime | None, received_at: datetime, notes: list[str]) -> datetime:
    """Go's zero time and an absent time mean "unknown". An implausible time is replaced by the time of
    receipt: windows of evidence are cut around it, and a window in the future holds nothing."""
    if sent is None or sent.year == 1:
        return received_at
    if sent.year < _EPOCH_YEAR:
        notes.append(f"startsAt lies in the year {sent.year}; the time of receipt was used")
        return received_at
    begun = _to_utc("startsAt", sent)
    if begun > received_at + MAX_CLOCK_SKEW:
        notes.append(
            "startsAt lies more than 1 h in the future; the time of receipt was used, "
            "check the sender's clock"
        )
        return received_at
    return begun


def _ends_at(sent: datetime | None, begun: datetime, received_at: datetime) -> datetime:
    if sent is None or sent.year < _EPOCH_YEAR:
        return received_at
    return max(begun, min(_to_utc("endsAt", sent), received_at))


def _to_utc(where: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Refused(f"{where}: not a time between the years 1 and 9999") from None


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """16 hex digits of the SHA-256 over the sorted labels, for senders that give no fingerprint."""
    digest = sha256()
    for name in sorted(labels):
        for text in (name, labels[name]):
            # U+00FF is no UTF-8 byte, so no label can imitate the boundary between two others.
            digest.update(text.encode() + b"\xff")
    return digest.hexdigest()[:16]


def rejection(index: int, item: Any, reason: str) -> IngestResult:
    """Name the alert that is rejected as well as its position; never repeat what else it holds."""
    fingerprint = item.get("fingerprint") if isinstance(item, dict) else None
    name = _name(item)
    return IngestResult(
        index=index,
        status=IngestStatus.REJECTED,
        fingerprint=_printable(fingerprint)[:_MAX_FINGERPRINT] if isinstance(fingerprint, str) else None,
        reason=_printable(f'alert {index} "{name}": {reason}' if name else f"alert {index}: {reason}")[
            :_MAX_REASON
        ],
    )


def _name(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    labels = item.get("labels")
    name = labels.get("alertname") if isinstance(labels, dict) else None
    name = name or item.get("alertname")
    return clean(_printable(name), limit=120) if isinstance(name, str) else None


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def complaint(error: ValidationError) -> str:
    """The first problems of a failed validation as ``path: what``, without the input: it may be secret."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    told = []
    for problem in problems[:3]:
        where = ".".join(clean(_printable(str(part)), limit=60) for part in problem["loc"]) or "the alert"
        told.append(f"{where}: {problem['msg']}")
    if len(problems) > len(told):
        told.append(f"and {len(problems) - len(told)} more")
    return "; ".join(told)
