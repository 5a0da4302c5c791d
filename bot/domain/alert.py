"""One alert as a monitoring system told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from bot.domain.clock import to_rfc3339
from bot.domain.ids import AlertId


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """Ordered from least to most urgent by :attr:`rank`; ``unknown`` ranks above ``warning``
    because an alert nobody classified must not be treated as harmless."""

    INFO = "info"
    WARNING = "warning"
    UNKNOWN = "unknown"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _SEVERITY_RANK[self]


_SEVERITY_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.UNKNOWN: 2, Severity.CRITICAL: 3}


class Criticality(StrEnum):
    """How much depends on what an alert is about, as its sender says; ordered by :attr:`rank`."""

    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return 2 if self is Criticality.CRITICAL else 1

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Criticality | None:
        """What the label ``criticality`` says; None for any other word, which asks for no more care."""
        word = labels.get("criticality", "").strip().lower()
        return next((known for known in cls if known.value == word), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert. ``fingerprint`` identifies the label set; fingerprint plus ``starts_at`` one firing.

    ``values`` are the numbers the rule saw, by name. ``links`` maps a kind (``generator``,
    ``dashboard``, ``panel``, ``silence``, ``image``, ``runbook``) to a URL. ``group_key`` is the
    sender's own grouping, if it has one.
    """

    source: str
    fingerprint: str
    status: AlertStatus
    name: str
    severity: Severity
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    received_at: datetime
    ends_at: datetime | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    group_key: str | None = None
    receiver: str | None = None

    @property
    def summary(self) -> str:
        return self.annotations.get("summary") or self.annotations.get("description") or self.name

    @property
    def delivery_key(self) -> str:
        """Equal for two deliveries of the same state of the same firing."""
        return delivery_key(self.source, self.fingerprint, self.status, to_rfc3339(self.starts_at))


def delivery_key(source: str, fingerprint: str, status: AlertStatus, starts_at: str) -> str:
    """64 hex digits; ``starts_at`` as RFC 3339 text. Raises ValueError for text that is no Unicode."""
    return sha256(f"{source}\n{fingerprint}\n{status.value}\n{starts_at}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """An alert with the identity the store gave it; ``incident_id`` once intake has placed it."""

    id: AlertId
    alert: Alert
    incident_id: str | None = None


class IngestStatus(StrEnum):
    """What became of one alert of a delivered batch."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """The answer for one alert: its position in the batch, and why it was rejected if it was."""

    index: int
    status: IngestStatus
    fingerprint: str | None = None
    alert_id: AlertId | None = None
    reason: str | None = None
