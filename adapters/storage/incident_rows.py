"""Queries about incidents, their alerts, and what investigations made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Integer, bindparam, case, func, literal, or_, select, text, union_all

from adapters.storage.codec import Codec
from adapters.storage.rows import Row, Rows
from adapters.storage.tables import (
    alerts,
    diagnoses,
    evidence,
    incidents,
    members,
    remediations,
)
from bot.domain.alert import Alert, StoredAlert
from bot.domain.clock import to_rfc3339
from bot.domain.diagnosis import Diagnosis
from bot.domain.evidence import Evidence
from bot.domain.ids import AlertId, IncidentId
from bot.domain.incident import IN_FLIGHT, LIVE, Incident, IncidentState
from bot.domain.proposal import Remediation

_LIVE_ROW = text("incidents.live = 1")
"""Written out, not bound: SQLite uses a partial index only when it can read its condition."""

_INCIDENT = select(incidents.c.body).where(incidents.c.id == bindparam("id"))
_BY_SHORT_ID = (
    select(incidents.c.body)
    .where(incidents.c.short_id == bindparam("short_id"))
    .order_by(incidents.c.seq.desc())
    .limit(1)
)
_NEWEST = select(incidents.c.body).order_by(incidents.c.seq.desc()).limit(bindparam("limit", type_=Integer))
_NEWEST_LIVE = _NEWEST.where(_LIVE_ROW)
_UNDER_WAY = IN_FLIGHT | {IncidentState.AWAITING_APPROVAL}
_STALE = (
    select(incidents.c.body)
    .where(
        text("incidents.state <> 'closed'"),
        incidents.c.updated_at < bindparam("before"),
        *(incidents.c.state != state.value for state in sorted(_UNDER_WAY)),
    )
    .order_by(incidents.c.updated_at, incidents.c.seq)
    .limit(bindparam("limit", type_=Integer))
)
_CHANGE = select(incidents.c.change).where(incidents.c.id == bindparam("id"))

_LIVE_STATES = or_(*(incidents.c.state == state.value for state in sorted(LIVE)))
_SAME_GROUP = (incidents.c.source == bindparam("source")) & (incidents.c.group_key == bindparam("group_key"))
_SAME_CORRELATION = incidents.c.correlation == bindparam("correlation")
_RECENTLY_RESOLVED = (incidents.c.state == IncidentState.RESOLVED.value) & (
    incidents.c.resolved_at > bindparam("resolved_after")
)
_candidates = union_all(
    *(
        select(literal(rank, Integer).label("rank"), incidents.c.seq, incidents.c.body).where(cause, state)
        for rank, (cause, state) in enumerate(
            (
                (_SAME_GROUP, _LIVE_STATES),
                (_SAME_CORRELATION, _LIVE_STATES),
                (_SAME_GROUP, _RECENTLY_RESOLVED),
                (_SAME_CORRELATION, _RECENTLY_RESOLVED),
            )
        )
    )
).subquery()
_JOINABLE = select(_candidates.c.body).order_by(_candidates.c.rank, _candidates.c.seq.desc()).limit(1)

_OF_FIRING = (
    select(incidents.c.body)
    .join_from(members, incidents, members.c.incident_id == incidents.c.id)
    .where(
        members.c.source == bindparam("source"),
        members.c.fingerprint == bindparam("fingerprint"),
        members.c.status == "firing",
        incidents.c.live == 1,
    )
    .order_by(incidents.c.seq.desc())
    .limit(1)
)
_WITH_FINGERPRINT = (
    select(incidents.c.body)
    .join_from(members, incidents, members.c.incident_id == incidents.c.id)
    .where(members.c.fingerprint == bindparam("fingerprint"))
    .order_by(incidents.c.seq.desc())
    .limit(1)
)

_alert_columns = select(alerts.c.id, alerts.c.incident_id, alerts.c.body).limit(
    bindparam("limit", type_=Integer)
)
_PENDING = _alert_columns.where(text("alerts.placed = 0")).order_by(alerts.c.seq)
_OF_INCIDENT = _alert_columns.where(alerts.c.incident_id == bindparam("id")).order_by(alerts.c.seq.desc())
_CURRENT = (
    _alert_columns.join_from(members, alerts, members.c.alert_seq == alerts.c.seq)
    .where(members.c.incident_id == bindparam("id"))
    .order_by(case((members.c.status == "firing", 0), else_=1), members.c.alert_seq.desc())
)
_FIRING_MEMBERS = (
    select(func.count())
    .select_from(members)
    .where(members.c.incident_id == bindparam("id"), members.c.status == "firing")
)

_EVIDENCE = (
    select(evidence.c.body)
    .where(evidence.c.incident_id == bindparam("id"), evidence.c.run == bindparam("run"))
    .order_by(evidence.c.seq)
)
_DIAGNOSES = (
    select(diagnoses.c.body)
    .where(diagnoses.c.incident_id == bindparam("id"))
    .order_by(diagnoses.c.seq.desc())
    .limit(bindparam("limit", type_=Integer))
)
_REMEDIATION = (
    select(remediations.c.body)
    .where(remediations.c.incident_id == bindparam("id"))
    .order_by(remediations.c.seq.desc())
    .limit(1)
)


def correlation_key(codec: Codec, correlation: Mapping[str, str]) -> str | None:
    """One text for equal correlations, whatever their order; None for an empty one, which equals nothing."""
    return codec.sorted_json(correlation) if correlation else None


class IncidentRows:
    """The part of a reading that is about incidents."""

    _rows: Rows
    _codec: Codec

    async def incident(self, incident_id: IncidentId) -> Incident | None:
        return self._incident(await self._rows.value(_INCIDENT, id=incident_id))

    async def incident_by_short_id(self, short_id: str) -> Incident | None:
        return self._incident(await self._rows.value(_BY_SHORT_ID, short_id=short_id.upper()))

    async def incidents(self, *, live_only: bool, limit: int) -> Sequence[Incident]:
        found = await self._rows.all(_NEWEST_LIVE if live_only else _NEWEST, limit=limit)
        return [self._codec.decode(Incident, row[0]) for row in found]

    async def stale_incidents(self, before: datetime, limit: int) -> Sequence[Incident]:
        found = await self._rows.all(_STALE, before=to_rfc3339(before), limit=limit)
        return [self._codec.decode(Incident, row[0]) for row in found]

    async def joinable_incident(
        self, *, source: str, group_key: str, correlation: Mapping[str, str], resolved_after: datetime
    ) -> Incident | None:
        body = await self._rows.value(
            _JOINABLE,
            source=source,
            group_key=group_key,
            correlation=correlation_key(self._codec, correlation),
            resolved_after=to_rfc3339(resolved_after),
        )
        return self._incident(body)

    async def incident_of_firing(self, source: str, fingerprint: str) -> Incident | None:
        return self._incident(await self._rows.value(_OF_FIRING, source=source, fingerprint=fingerprint))

    async def incident_with_fingerprint(self, fingerprint: str) -> Incident | None:
        return self._incident(await self._rows.value(_WITH_FINGERPRINT, fingerprint=fingerprint))

    async def change_of(self, incident_id: IncidentId) -> int:
        return int(await self._rows.value(_CHANGE, id=incident_id) or 0)

    async def pending_alerts(self, limit: int) -> Sequence[StoredAlert]:
        return [self._alert(row) for row in await self._rows.all(_PENDING, limit=limit)]

    async def alerts_of(self, incident_id: IncidentId, limit: int) -> Sequence[StoredAlert]:
        return [self._alert(row) for row in await self._rows.all(_OF_INCIDENT, id=incident_id, limit=limit)]

    async def current_alerts(self, incident_id: IncidentId, limit: int) -> Sequence[StoredAlert]:
        return [self._alert(row) for row in await self._rows.all(_CURRENT, id=incident_id, limit=limit)]

    async def firing_members(self, incident_id: IncidentId) -> int:
        return int(await self._rows.value(_FIRING_MEMBERS, id=incident_id))

    async def evidence_of(self, incident_id: IncidentId, run: int) -> Sequence[Evidence]:
        found = await self._rows.all(_EVIDENCE, id=incident_id, run=run)
        return [self._codec.decode(Evidence, row[0]) for row in found]

    async def latest_diagnosis(self, incident_id: IncidentId) -> Diagnosis | None:
        return next(iter(await self.diagnoses_of(incident_id, 1)), None)

    async def diagnoses_of(self, incident_id: IncidentId, limit: int) -> Sequence[Diagnosis]:
        found = await self._rows.all(_DIAGNOSES, id=incident_id, limit=limit)
        return [self._codec.decode(Diagnosis, row[0]) for row in found]

    async def remediation_of(self, incident_id: IncidentId) -> Remediation | None:
        body = await self._rows.value(_REMEDIATION, id=incident_id)
        return None if body is None else self._codec.decode(Remediation, body)

    def _incident(self, body: str | None) -> Incident | None:
        return None if body is None else self._codec.decode(Incident, body)

    def _alert(self, row: Row) -> StoredAlert:
        identity, incident_id, body = row
        return StoredAlert(
            id=AlertId(identity), alert=self._codec.decode(Alert, body), incident_id=incident_id
        )
