"""Answers the question for the service graph from what the store keeps of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from adapters.evidence.build import Record, answered, nothing
from bot.domain.clock import Clock
from bot.domain.errors import IntegrityError, Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.graph import EDGE_LIFE, Edge
from investigators.ports import KnownEdges
from investigators.queries import GraphQuery, Query

_SHOWN = 40
_QUERY = "edges of the service graph that were seen before"


class KnownGraph:
    """An :class:`investigators.queries.EvidenceSource`. It tells what was seen before and how long ago; what
    is declared is told by the configuration itself."""

    name = "known service graph"
    answers: frozenset[type[Query]] = frozenset({GraphQuery})

    def __init__(self, known: KnownEdges, clock: Clock, timeout: timedelta = timedelta(seconds=2)) -> None:
        self._known = known
        self._clock = clock
        self._timeout = timeout

    def command(self, query: Query, window: Window) -> str | None:
        """There is no other place where a person could ask."""
        return None

    def covers(self, query: Query) -> bool:
        return isinstance(query, GraphQuery)

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        if not isinstance(query, GraphQuery):
            return self._nothing(query, window, subject, "it knows nothing but edges", failed=True)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                found = await self._known.edges(window.end - EDGE_LIFE)
        except TimeoutError:
            reason = f"timeout after {self._timeout.total_seconds():g} s"
            return self._nothing(query, window, subject, reason, failed=True)
        except (Unavailable, IntegrityError) as error:
            return self._nothing(query, window, subject, str(error), failed=True)
        seen = [edge for edge in found if edge.seen_at is not None and edge.seen_at <= window.end]
        if not seen:
            reason = "no investigation of the last days saw what depends on what"
            return self._nothing(query, window, subject, reason, failed=False)
        return answered(
            source=self.name,
            kind=query.kind,
            query=_QUERY,
            window=window,
            taken_at=self._clock.now(),
            summary=f"{len(seen)} edges were seen in the last {EDGE_LIFE.days} days",
            subject=subject,
            excerpt=_excerpt(seen, window),
            records=[_record(edge) for edge in seen],
            # Names in spans are what callers sent.
            outsider_writable=True,
        )

    def _nothing(self, query: Query, window: Window, subject: str, reason: str, *, failed: bool) -> Evidence:
        return nothing(
            source=self.name,
            kind=query.kind,
            query=_QUERY,
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=EvidenceStatus.FAILED if failed else EvidenceStatus.EMPTY,
        )


def _excerpt(seen: Sequence[Edge], window: Window) -> str:
    return "\n".join(f"{e.source} {e.kind} {e.target} ({e.told(window.end)})" for e in seen[:_SHOWN])


def _record(edge: Edge) -> Record:
    return {
        "from": edge.source,
        "to": edge.target,
        "kind": edge.kind,
        "from_kind": edge.source_kind,
        "to_kind": edge.target_kind,
        "origin": edge.origin,
        "seen_at": None if edge.seen_at is None else edge.seen_at.timestamp(),
    }
