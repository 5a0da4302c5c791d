"""Changes to incidents, their alerts, and what investigations made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Integer, and_, bindparam, func, insert, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.changes import Changes
from adapters.storage.incident_rows import correlation_key
from adapters.storage.tables import alerts, diagnoses, evidence, incidents, members, remediations
from bot.domain.clock import to_rfc3339
from bot.domain.diagnosis import Diagnosis
from bot.domain.errors import StaleWrite
from bot.domain.evidence import Evidence
from bot.domain.ids import AlertId, IncidentId, new_short_id
from bot.domain.incident import LIVE, Incident
from bot.domain.proposal import Remediation

_COLUMNS = (
    "short_id",
    "state",
    "live",
    "mode",
    "source",
    "service",
    "environment",
    "group_key",
    "correlation",
    "opened_at",
    "updated_at",
    "resolved_at",
    "run",
    "version",
    "body",
)
_ADD = (
    upsert(incidents)
    .values({name: bindparam(name) for name in ("id", *_COLUMNS)})
    .on_conflict_do_nothing(index_elements=["short_id"], index_where=text("state <> 'closed'"))
    .returning(incidents.c.id)
)
_SAVE = (
    update(incidents)
    .where(incidents.c.id == bindparam("id"), incidents.c.version == bindparam("expected", type_=Integer))
    .values({name: bindparam(name) for name in _COLUMNS})
    .returning(incidents.c.id)
)

_given = select(func.json_each(bindparam("ids")).table_valued("value").c.value)
_PLACE = (
    update(alerts)
    .where(alerts.c.id.in_(_given), alerts.c.placed == 0)
    .values(placed=1, incident_id=bindparam("incident"))
    .returning(alerts.c.seq)
)
_join = upsert(members).from_select(
    ["incident_id", "source", "fingerprint", "status", "effective_at", "alert_seq"],
    select(
        bindparam("incident"),
        alerts.c.source,
        alerts.c.fingerprint,
        alerts.c.status,
        alerts.c.effective_at,
        alerts.c.seq,
    )
    .where(alerts.c.id.in_(_given))
    .order_by(alerts.c.seq),
)
_new = _join.excluded
_JOIN = _join.on_conflict_do_update(
    index_elements=[members.c.incident_id, members.c.source, members.c.fingerprint],
    set_={"status": _new.status, "effective_at": _new.effective_at, "alert_seq": _new.alert_seq},
    where=or_(
        _new.effective_at > members.c.effective_at,
        and_(
            _new.effective_at == members.c.effective_at,
            or_(_new.status == "resolved", members.c.status == "firing"),
        ),
    ),
)

_ADD_EVIDENCE = insert(evidence).values(
    {name: bindparam(name) for name in ("id", "incident_id", "run", "taken_at", "body")}
)
_ADD_DIAGNOSIS = insert(diagnoses).values(
    {name: bindparam(name) for name in ("id", "incident_id", "run", "band", "body")}
)
_ADD_REMEDIATION = insert(remediations).values(
    {name: bindparam(name) for name in ("incident_id", "run", "body")}
)
_REMEDIATED = (
    update(incidents)
    .where(incidents.c.id == bindparam("incident"))
    .values(remediated_run=func.max(incidents.c.remediated_run, bindparam("of_run", type_=Integer)))
)
_ANNOUNCED = (
    update(incidents)
    .where(incidents.c.id == bindparam("incident"))
    .values(announced=func.max(incidents.c.announced, bindparam("shown", type_=Integer)))
)


class IncidentChanges(Changes):
    """The part of a transaction that is about incidents."""

    async def add_incident(self, incident: Incident) -> Incident:
        # A resolved incident keeps its short id too: it may be opened again. Only closed ones give theirs up.
        while await self._rows.first(_ADD, id=incident.id, **self._columns(incident)) is None:
            incident = replace(incident, short_id=new_short_id(length=len(incident.short_id) + 1))
        self.touch(incident.id)
        return incident

    async def save_incident(self, incident: Incident) -> Incident:
        saved = replace(incident, version=incident.version + 1)
        found = await self._rows.first(
            _SAVE, id=incident.id, expected=incident.version, **self._columns(saved)
        )
        if found is None:
            raise StaleWrite(
                f"incident {incident.short_id}: version {incident.version} is not the stored one"
            )
        self.touch(incident.id)
        return saved

    def _columns(self, incident: Incident) -> dict[str, Any]:
        resolved_at = incident.resolved_at
        return {
            "short_id": incident.short_id,
            "state": incident.state.value,
            "live": int(incident.state in LIVE),
            "mode": incident.route.mode.value,
            "source": incident.source,
            "service": incident.service,
            "environment": incident.environment,
            "group_key": incident.group_key,
            "correlation": correlation_key(self._codec, incident.correlation),
            "opened_at": to_rfc3339(incident.opened_at),
            "updated_at": to_rfc3339(incident.updated_at),
            "resolved_at": None if resolved_at is None else to_rfc3339(resolved_at),
            "run": incident.run,
            "version": incident.version,
            "body": self._codec.encode(incident),
        }

    async def place_alerts(self, alert_ids: Sequence[AlertId], incident_id: IncidentId | None) -> None:
        """Raises StaleWrite when one of them is unknown or was placed before."""
        if not alert_ids:
            return
        ids = self._codec.json_list(alert_ids)
        placed = await self._rows.all(_PLACE, ids=ids, incident=incident_id)
        if missed := len(set(alert_ids)) - len(placed):
            raise StaleWrite(f"{missed} of {len(alert_ids)} alerts are unknown or placed already")
        if incident_id is not None:
            self._rows.later(_JOIN, ids=ids, incident=incident_id)
            self.touch(incident_id)

    async def add_evidence(self, incident_id: IncidentId, run: int, evidence: Sequence[Evidence]) -> None:
        self._rows.many_later(
            _ADD_EVIDENCE,
            [
                {
                    "id": item.id,
                    "incident_id": incident_id,
                    "run": run,
                    "taken_at": to_rfc3339(item.taken_at),
                    "body": self._codec.encode(item),
                }
                for item in evidence
            ],
        )

    async def add_diagnosis(self, diagnosis: Diagnosis) -> None:
        self._rows.later(
            _ADD_DIAGNOSIS,
            id=diagnosis.id,
            incident_id=diagnosis.incident_id,
            run=diagnosis.run,
            band=diagnosis.band.value,
            body=self._codec.encode(diagnosis),
        )
        self.touch(diagnosis.incident_id)

    async def add_remediation(self, remediation: Remediation) -> None:
        incident_id, run = remediation.incident_id, remediation.run
        self._rows.later(
            _ADD_REMEDIATION, incident_id=incident_id, run=run, body=self._codec.encode(remediation)
        )
        self._rows.later(_REMEDIATED, incident=incident_id, of_run=run)
        self.touch(incident_id)

    async def mark_announced(self, incident_id: IncidentId, version: int) -> None:
        self._rows.later(_ANNOUNCED, incident=incident_id, shown=version)
