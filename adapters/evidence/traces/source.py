"""Traces: spans of whole traces from a Tempo or a Jaeger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import aiohttp

from adapters.evidence.asked import Asked
from adapters.evidence.http import Http, Malformed, Refused
from adapters.evidence.quoting import sendable
from adapters.evidence.traces.jaeger import Jaeger
from adapters.evidence.traces.spans import Gathered, Spans, excerpt_of, summary_of
from adapters.evidence.traces.tempo import Tempo
from bot.domain.clock import Clock
from bot.domain.evidence import Evidence, TraceSpan, Window
from config.schema import TraceSource
from investigators.queries import Query, SpanQuery

_TENANT = {"tempo": "X-Scope-OrgID", "jaeger": "x-tenant"}


class Traces:
    """Queries one Tempo or Jaeger. The session belongs to the caller and is not closed here."""

    def __init__(self, config: TraceSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self.answers: frozenset[type[Query]] = frozenset({SpanQuery})
        self._max_spans = config.max_spans
        self._clock = clock
        headers = {} if config.tenant is None else {_TENANT[config.kind]: config.tenant}
        http = Http(config.url, session, timeout=config.timeout, auth=config.auth, headers=headers)
        self._backend = Tempo(config, http) if config.kind == "tempo" else Jaeger(config, http)

    def covers(self, query: Query) -> bool:
        return isinstance(query, SpanQuery) and bool(query.services)

    def command(self, query: Query, window: Window) -> str | None:
        """A curl line."""
        return self._backend.command(_sendable(query), window) if isinstance(query, SpanQuery) else None

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """A sample of the window's traces; asked for a healthy time, of the window given."""
        wanted = _sendable(query) if isinstance(query, SpanQuery) else None
        asked = Asked(
            source=self.name,
            kind=query.kind,
            text=query.kind if wanted is None else self._backend.text(wanted),
            window=window,
            subject=subject,
            clock=self._clock,
            link=None if wanted is None else self._backend.link(wanted, window),
            manual=self.command(query, window),
        )
        if wanted is None:
            return asked.failed(f"{self.name} does not answer {query.kind}")
        if window.length <= timedelta(0):
            return asked.failed("the window is empty")
        spans = Spans()
        found = Gathered(window, max(1, min(wanted.limit, self._max_spans)))
        try:
            await self._backend.gather(wanted, found, spans)
        except (Refused, Malformed) as error:
            return asked.failed(str(error))
        notes = found.all_notes(spans.impossible)
        if not found.spans:
            return asked.failed("; ".join(notes)) if notes else asked.empty("no such traces")
        ordered = await asyncio.to_thread(_ordered, found.spans)
        return asked.found(summary_of(ordered), excerpt_of(ordered), spans=ordered, notes=notes)


def _sendable(query: SpanQuery) -> SpanQuery:
    return replace(query, services=tuple(sendable(service) for service in query.services))


def _ordered(spans: list[TraceSpan]) -> list[TraceSpan]:
    return sorted(spans, key=lambda span: (span.start, span.trace_id, span.span_id))
