"""What Tempo's and Jaeger's spans have in common: which attributes are taken, and that they are cleaned."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from adapters.evidence.http import Malformed
from bot.domain.evidence import TraceSpan, Window
from bot.domain.redaction import clean

_TAKEN = {
    "http.status_code": "http.status_code",
    "http.response.status_code": "http.status_code",
    "http.route": "http.route",
    "rpc.method": "rpc.method",
    "db.system": "db.system",
    "db.system.name": "db.system",
    "peer.service": "peer.service",
    "server.address": "server.address",
    "net.peer.name": "server.address",
    "k8s.pod.name": "k8s.pod.name",
    "exception.type": "exception.type",
}
"""Attributes that are kept, by their names of today and before; everything else may be anybody's data."""
_PEERS = ("peer.service", "server.address", "db.system")
_KINDS = frozenset({"client", "server", "internal", "producer", "consumer"})
_TEXT = 200
_SHOWN = 40
_HEX = re.compile(r"[0-9a-f]{1,32}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_799_000_000
"""Microseconds until the end of the year 9999."""


@dataclass(slots=True)
class Spans:
    """Makes the spans of one answer. Nearly all of their texts repeat: each is cleaned once.

    ``impossible`` counts spans that end before they begin, or at no time at all; they are left out.
    """

    impossible: int = 0
    _clean: dict[str, str] = field(default_factory=dict)

    def make(
        self,
        *,
        trace_id: Any,
        span_id: Any,
        parent_id: Any,
        service: Any,
        operation: Any,
        kind: str,
        start_us: float,
        duration_us: float,
        error: bool,
        attributes: Mapping[str, Any],
    ) -> TraceSpan | None:
        """None for an impossible one; ids are lower-case hex. Raises Malformed for ids that are not."""
        if not (0 <= duration_us < _LATEST and 0 < start_us < _LATEST):
            self.impossible += 1
            return None
        taken: dict[str, str] = {}
        for name, value in attributes.items():
            known = _TAKEN.get(name)
            if known is not None and isinstance(value, str | int | float) and value != "":
                taken.setdefault(known, self._text(value))
        pod = taken.pop("k8s.pod.name", "")
        calls = kind in ("client", "producer")
        return TraceSpan(
            trace_id=identifier(trace_id),
            span_id=identifier(span_id),
            parent_id=identifier(parent_id) if parent_id else None,
            service=self._text(service),
            operation=self._text(operation),
            kind=kind if kind in _KINDS else "",
            start=_EPOCH + timedelta(microseconds=start_us),
            duration_ms=duration_us / 1000,
            error=error,
            peer=next((taken[name] for name in _PEERS if name in taken), "") if calls else "",
            pod=pod,
            attributes=taken,
        )

    def _text(self, value: Any) -> str:
        text = value if isinstance(value, str) else str(value)
        found = self._clean.get(text)
        if found is None:
            found = self._clean[text] = clean(text[: 2 * _TEXT], limit=_TEXT)
        return found


def identifier(value: Any) -> str:
    """An id as hex. Raises Malformed: ids go into paths and are shown."""
    if not isinstance(value, str) or not _HEX.fullmatch(value.lower()):
        raise Malformed("an id that is not hexadecimal")
    return value.lower()


@dataclass(slots=True)
class Gathered:
    """Whole traces until ``limit`` spans are there; ``notes`` say what is missing. ``turn`` is held while a
    thread makes spans: they share what was cleaned and counted."""

    window: Window
    limit: int
    spans: list[TraceSpan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: set[str] = field(default_factory=set)
    _full: int = 0
    _elsewhere: int = 0

    @property
    def full(self) -> bool:
        return len(self.spans) >= self.limit

    def add(self, trace_id: str, spans: Sequence[TraceSpan]) -> None:
        """A trace, once. One that has nothing in the window is the server's mistake."""
        if not spans or trace_id in self._seen:
            return
        self._seen.add(trace_id)
        if not any(_overlaps(span, self.window) for span in spans):
            self._elsewhere += 1
        elif len(self.spans) + len(spans) > self.limit:
            self._full += 1
        else:
            self.spans += spans

    def skip(self, reason: str | None = None) -> None:
        """A trace that was not read: because of ``reason``, or because there was no more room."""
        if reason is None:
            self._full += 1
        else:
            self.unread[reason] = self.unread.get(reason, 0) + 1

    def all_notes(self, impossible: int) -> list[str]:
        """Everything that an incomplete answer has to say of itself."""
        notes = list(self.notes)
        if self._full:
            notes.append(f"{self._full} traces left out beyond {self.limit} spans")
        if self._elsewhere:
            notes.append(f"{self._elsewhere} traces of another time than asked for left out")
        if impossible:
            notes.append(f"{impossible} spans with impossible times left out")
        notes += [f"{count} traces not read: {reason}" for reason, count in self.unread.items()]
        return notes


def _overlaps(span: TraceSpan, window: Window) -> bool:
    if span.start >= window.end:
        return False
    # A span that began before is compared by its length: its end may be beyond all calendars.
    return span.duration_ms >= (window.start - span.start) / timedelta(milliseconds=1)


def summary_of(spans: Sequence[TraceSpan]) -> str:
    traces = len({span.trace_id for span in spans})
    services = len({span.service for span in spans})
    errors = sum(span.error for span in spans)
    return f"{len(spans)} spans of {traces} traces through {services} services, {errors} with errors"


def excerpt_of(spans: Sequence[TraceSpan]) -> str:
    """One line for each operation of each service, those with the most errors and the slowest first."""
    groups: dict[tuple[str, str, str], list[TraceSpan]] = {}
    for span in spans:
        groups.setdefault((span.service, span.operation, span.kind), []).append(span)
    told = []
    for (service, operation, kind), group in groups.items():
        durations = [span.duration_ms for span in group]
        errors = sum(span.error for span in group)
        line = (
            f"{service} {operation}{f' ({kind})' if kind else ''}: {len(group)} spans, {errors} errors, "
            f"median {median(durations):.4g} ms, max {max(durations):.4g} ms"
        )
        told.append((-errors, -max(durations), line))
    told.sort()
    lines = [line for *_, line in told[:_SHOWN]]
    if len(told) > _SHOWN:
        lines.append(f"… and {len(told) - _SHOWN} more operations")
    return "\n".join(lines)
