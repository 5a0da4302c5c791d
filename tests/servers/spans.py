"""Spans as the stand-ins of tracing systems hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Span:
    trace: str
    id: str
    service: str
    operation: str
    start: datetime
    ms: float
    parent: str | None = None
    kind: str = "server"
    error: bool = False
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    exception: str | None = None

    @property
    def start_us(self) -> int:
        return round(self.start.timestamp() * 1_000_000)
