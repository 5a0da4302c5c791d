"""Answers the question for past incidents from what the store keeps of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from adapters.evidence.build import answered, nothing
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.errors import IntegrityError, Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.past import PastIncident
from investigators.ports import PastMemory
from investigators.queries import PastQuery, Query

_SHOWN = 20


class PastIncidents:
    """An :class:`investigators.queries.EvidenceSource`. Only incidents resolved before the end of the window
    are offered; how long before does not matter."""

    name = "past incidents"
    answers: frozenset[type[Query]] = frozenset({PastQuery})

    def __init__(self, memory: PastMemory, clock: Clock, timeout: timedelta = timedelta(seconds=2)) -> None:
        self._memory = memory
        self._clock = clock
        self._timeout = timeout

    def command(self, query: Query, window: Window) -> str | None:
        """There is no other place where a person could ask."""
        return None

    def covers(self, query: Query) -> bool:
        return isinstance(query, PastQuery)

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        if not isinstance(query, PastQuery):
            return self._nothing(query, window, subject, "it knows nothing but past incidents", failed=True)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                found = await self._memory.past_incidents(query.limit, window.end)
        except TimeoutError:
            reason = f"timeout after {self._timeout.total_seconds():g} s"
            return self._nothing(query, window, subject, reason, failed=True)
        except (Unavailable, IntegrityError) as error:
            return self._nothing(query, window, subject, str(error), failed=True)
        if not found:
            reason = "no past incident is known that was understood well enough"
            return self._nothing(query, window, subject, reason, failed=False)
        return answered(
            source=self.name,
            kind=query.kind,
            query=self._text(query),
            window=window,
            taken_at=self._clock.now(),
            summary=f"{len(found)} past incidents to compare with",
            subject=subject,
            excerpt="\n".join(_line(one) for one in found[:_SHOWN]),
            objects=[_object(one) for one in found],
            reason=f"only the newest {len(found)}" if len(found) >= query.limit else None,
            # Titles are what alerts said.
            outsider_writable=True,
        )

    def _nothing(self, query: Query, window: Window, subject: str, reason: str, *, failed: bool) -> Evidence:
        return nothing(
            source=self.name,
            kind=query.kind,
            query=self._text(query),
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=EvidenceStatus.FAILED if failed else EvidenceStatus.EMPTY,
        )

    def _text(self, query: Query) -> str:
        return f"at most {query.limit} past incidents" if isinstance(query, PastQuery) else query.kind


def _line(one: PastIncident) -> str:
    return f"{one.short_id} {one.resolved_at:%Y-%m-%d} {one.title}: {one.root_cause}; {one.resolution}"


def _object(one: PastIncident) -> Mapping[str, Any]:
    cause = one.cause
    return {
        "id": one.id,
        "short_id": one.short_id,
        "service": one.service,
        "environment": one.environment,
        "title": one.title,
        "alert_names": list(one.alert_names),
        "facts": [[fact.kind, fact.subject_kind, fact.role.value] for fact in one.facts],
        "cause": None
        if cause is None
        else {"object": cause.object, "object_kind": cause.object_kind, "fault": cause.fault},
        "root_cause": one.root_cause,
        "resolution": one.resolution,
        "opened_at": to_rfc3339(one.opened_at),
        "resolved_at": to_rfc3339(one.resolved_at),
        "quality": one.quality,
    }
