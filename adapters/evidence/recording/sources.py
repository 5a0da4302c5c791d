"""The sources of one investigation."""

from __future__ import annotations

from dataclasses import dataclass

from investigators.ports import HostSource, MetricSource
from investigators.queries import EvidenceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSet:
    """In the order in which they are asked."""

    metrics: tuple[MetricSource, ...]
    hosts: tuple[HostSource, ...]
    wide: tuple[EvidenceSource, ...]
