"""Summaries of incidents that are over: a row is planned with the resolve and filled later."""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, delete, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.changes import Changes
from adapters.storage.codec import Codec
from adapters.storage.rows import Rows
from adapters.storage.tables import summaries
from bot.domain.ids import IncidentId
from bot.domain.summary import Summary

_OF_INCIDENT = summaries.c.incident_id == bindparam("incident")
_UNWRITTEN = text("summaries.body IS NULL")

_WRITTEN = (
    select(summaries.c.body)
    .where(_OF_INCIDENT, summaries.c.body.is_not(None))
    .order_by(summaries.c.reopened.desc())
    .limit(1)
)
_WANTED = (
    select(summaries.c.reopened)
    .where(_OF_INCIDENT, _UNWRITTEN)
    .order_by(summaries.c.reopened.desc())
    .limit(1)
)
_PLAN = (
    upsert(summaries)
    .values(incident_id=bindparam("incident"), reopened=bindparam("of_reopened", type_=Integer))
    .on_conflict_do_nothing(index_elements=[summaries.c.incident_id, summaries.c.reopened])
)
_WRITE = (
    update(summaries)
    .where(_OF_INCIDENT, summaries.c.reopened == bindparam("of_reopened", type_=Integer), _UNWRITTEN)
    .values(body=bindparam("written"))
    .returning(summaries.c.reopened)
)
_DROP = delete(summaries).where(
    _OF_INCIDENT, summaries.c.reopened <= bindparam("upto", type_=Integer), _UNWRITTEN
)


class SummaryRows:
    """The part of a reading that is about summaries."""

    _rows: Rows
    _codec: Codec

    async def summary_of(self, incident_id: IncidentId) -> Summary | None:
        found = await self._rows.first(_WRITTEN, incident=incident_id)
        return None if found is None else self._codec.decode(Summary, found[0])

    async def summary_wanted(self, incident_id: IncidentId) -> int | None:
        found = await self._rows.first(_WANTED, incident=incident_id)
        return None if found is None else int(found[0])


class SummaryChanges(Changes):
    """The part of a transaction that is about summaries."""

    async def plan_summary(self, incident_id: IncidentId, reopened: int) -> None:
        self._rows.later(_PLAN, incident=incident_id, of_reopened=reopened)

    async def add_summary(self, summary: Summary) -> bool:
        written = await self._rows.first(
            _WRITE,
            incident=summary.incident_id,
            of_reopened=summary.reopened,
            written=self._codec.encode(summary),
        )
        if written is None:
            return False
        self.touch(summary.incident_id)
        return True

    async def drop_summaries(self, incident_id: IncidentId, upto: int) -> None:
        self._rows.later(_DROP, incident=incident_id, upto=upto)
