"""What is kept of incidents that are over, and how often a service has been in trouble."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Integer, bindparam, case, func, select, text
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.codec import Codec
from adapters.storage.rows import Rows
from adapters.storage.tables import incidents, past
from bot.domain.clock import to_rfc3339
from bot.domain.incident import Incident
from bot.domain.past import PastIncident, Recurrence

_DAY = timedelta(hours=24)
_WEEK = timedelta(days=7)

_OFFERED = (
    select(past.c.body)
    .join_from(past, incidents, incidents.c.id == past.c.incident_id)
    .where(
        # Written out, not bound: SQLite uses a partial index only when it can read its condition.
        text("past.offered = 1"),
        past.c.resolved_at < bindparam("before"),
        incidents.c.live == 0,
    )
    .order_by(past.c.resolved_at.desc(), past.c.incident_id)
    .limit(bindparam("limit", type_=Integer))
)
_SEARCHED = 5_000
"""Incidents that a search looks through, the newest."""
_WORDS = tuple(f"word{number}" for number in range(8))
_newest_over = (
    select(past.c.body, past.c.resolved_at, past.c.incident_id)
    .join_from(past, incidents, incidents.c.id == past.c.incident_id)
    # The plus keeps SQLite from beginning with ``live``: the newest are found by their index.
    .where(past.c.resolved_at > "", text("+incidents.live = 0"))
    .order_by(past.c.resolved_at.desc(), past.c.incident_id)
    .limit(_SEARCHED)
    .subquery()
)
_TEXT = func.lower(
    func.printf(
        "%s\n%s\n%s\n%s\n%s\n%s",
        *(
            func.json_extract(_newest_over.c.body, f"$.{name}")
            for name in ("title", "service", "root_cause", "cause.object", "cause.fault", "resolution")
        ),
    )
)
_HOLDING = (
    select(_newest_over.c.body)
    # An empty word is in every text: so are those that were not given.
    .where(*(func.instr(_TEXT, func.lower(bindparam(word))) > 0 for word in _WORDS))
    .order_by(_newest_over.c.resolved_at.desc(), _newest_over.c.incident_id)
    .limit(bindparam("limit", type_=Integer))
)
_SAME_SERVICE = (
    (incidents.c.service == bindparam("service"))
    & incidents.c.environment.is_not_distinct_from(bindparam("environment"))
    & (incidents.c.mode == bindparam("mode"))
)
_COUNTS = (
    select(func.count(case((incidents.c.opened_at > bindparam("day"), 1))), func.count())
    .select_from(incidents)
    .where(
        _SAME_SERVICE,
        incidents.c.opened_at > bindparam("week"),
        incidents.c.opened_at <= bindparam("until"),
    )
)
_LATELY_RESOLVED = (
    select(past.c.body)
    .select_from(incidents)
    .outerjoin(past, past.c.incident_id == incidents.c.id)
    .where(
        _SAME_SERVICE,
        incidents.c.resolved_at > bindparam("after"),
        incidents.c.id != bindparam("id"),
        # One that went away before anybody looked says nothing about what helps.
        incidents.c.run > 0,
    )
    .order_by(incidents.c.resolved_at.desc())
    .limit(10)
)
_insert = upsert(past).values(
    {name: bindparam(name) for name in ("incident_id", "resolved_at", "offered", "body")}
)
_REMEMBER = _insert.on_conflict_do_update(
    index_elements=[past.c.incident_id],
    set_={name: _insert.excluded[name] for name in ("resolved_at", "offered", "body")},
)


class MemoryRows:
    """The part of a reading that is about incidents that are over."""

    _rows: Rows
    _codec: Codec

    async def past_incidents(self, limit: int, before: datetime) -> Sequence[PastIncident]:
        found = await self._rows.all(_OFFERED, limit=limit, before=to_rfc3339(before))
        return [self._codec.decode(PastIncident, row[0]) for row in found]

    async def past_holding(self, words: Sequence[str], limit: int) -> Sequence[PastIncident]:
        wanted = dict.fromkeys(_WORDS, "") | dict(zip(_WORDS, words, strict=False))
        found = await self._rows.all(_HOLDING, limit=limit, **wanted)
        return [self._codec.decode(PastIncident, row[0]) for row in found]

    async def recurrence_of(self, incident: Incident, now: datetime) -> Recurrence:
        if incident.service is None:
            return Recurrence()
        same = {
            "service": incident.service,
            "environment": incident.environment,
            "mode": incident.route.mode.value,
        }
        opened = incident.opened_at
        counts = await self._rows.first(
            _COUNTS,
            **same,
            day=to_rfc3339(opened - _DAY),
            week=to_rfc3339(opened - _WEEK),
            until=to_rfc3339(opened),
        )
        day, week = counts or (0, 0)
        resolved = await self._rows.all(
            _LATELY_RESOLVED, **same, after=to_rfc3339(now - _WEEK), id=incident.id
        )
        causes = [
            None if body is None else self._codec.decode(PastIncident, body).cause for (body,) in resolved
        ]
        return Recurrence(
            day=day,
            week=week,
            resolved_within_week=bool(causes),
            last_cause=causes[0] if causes else None,
            earlier_causes=tuple(cause for cause in causes[1:] if cause is not None),
        )


class MemoryChanges:
    """The part of a transaction that is about incidents that are over."""

    _rows: Rows
    _codec: Codec

    async def remember(self, incident: PastIncident) -> None:
        self._rows.later(
            _REMEMBER,
            incident_id=incident.id,
            resolved_at=to_rfc3339(incident.resolved_at),
            offered=int(incident.offered),
            body=self._codec.encode(incident),
        )
