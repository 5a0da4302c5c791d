"""One delivered body of alerts: what could be read of it, and what could not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bot.domain.alert import Alert, IngestResult
from bot.domain.errors import InputError


class BodyProblem(StrEnum):
    """Why nothing of a body could be taken."""

    MALFORMED = "malformed"
    """Not JSON."""
    UNUSABLE = "unusable"
    """JSON, but not what this kind of source sends."""
    TOO_LARGE = "too_large"
    """More alerts than the limit allows."""


class BodyError(InputError):
    """A whole body that cannot be used; the text says where and how to mend it."""

    def __init__(self, problem: BodyProblem, message: str) -> None:
        self.problem = problem
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAlert:
    """``index`` is the position in the body. ``note`` says what was taken differently from how it was
    sent (an implausible time, a link that is no link); the sender is told."""

    index: int
    alert: Alert
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBatch:
    """Every alert of a body is in exactly one of the two. ``truncated`` counts alerts that the sender
    itself left out (Alertmanager's ``max_alerts``). ``note`` tells the sender why a body in order holds
    none."""

    alerts: tuple[ParsedAlert, ...]
    rejected: tuple[IngestResult, ...] = ()
    truncated: int = 0
    note: str | None = None


class ParseAlerts(Protocol):
    """Bytes to alerts, pure. Raises BodyError when nothing of the body can be used."""

    def __call__(self, body: bytes, *, source: str, received_at: datetime) -> ParsedBatch: ...
