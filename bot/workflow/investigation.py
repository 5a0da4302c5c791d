"""An incident → evidence → diagnosis, stored with its citations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from approvals.canonical import canonicalize, digest
from approvals.model import RequestState
from bot.domain.audit import EvidenceTaken, IncidentMoved, InvestigationFinished, InvestigationStarted
from bot.domain.clock import Clock
from bot.domain.diagnosis import Band, Cost, Diagnosis, DiagnosisVerdict, Gap, Origin
from bot.domain.evidence import Evidence, kept
from bot.domain.graph import EDGE_LIFE
from bot.domain.ids import DiagnosisId, IncidentId, RandomToken, new_id
from bot.domain.incident import Incident, IncidentState, Mode
from bot.ports import IncidentStore, Job, JobKind, Transaction
from bot.telemetry import Metrics
from bot.workflow.calibration import without_offers
from bot.workflow.memory import remember
from bot.workflow.requests import end_open_requests
from investigators.ports import Case, Investigation, Investigator

_ALERTS_SHOWN = 50
_GRACE = timedelta(seconds=10)
"""Beyond the investigator's own deadline, for a source that ignores cancellation."""

_log = structlog.stdlib.get_logger(__name__)


async def begin_investigation(tx: Transaction, incident: Incident, now: datetime, reason: str) -> Incident:
    """Move the incident to ``investigating`` for a new run, ending what the old run proposed.

    The caller saves the returned incident. Raises InvalidTransition where a run may not begin.
    """
    moved = replace(incident.moved(IncidentState.INVESTIGATING, now), run=incident.run + 1)
    await end_open_requests(
        tx, incident, RequestState.SUPERSEDED, f"a new investigation began: {reason}", now
    )
    await tx.record(
        InvestigationStarted(incident_id=incident.id, run=moved.run),
        IncidentMoved(
            incident_id=incident.id, before=incident.state.value, after=moved.state.value, reason=reason
        ),
    )
    await tx.enqueue(Job(kind=JobKind.INVESTIGATE, subject=incident.id))
    return moved


class Investigating:
    """Runs the investigator on incidents that are open, and again on those a crash interrupted."""

    def __init__(
        self,
        store: IncidentStore,
        investigator: Investigator,
        clock: Clock,
        token: RandomToken,
        metrics: Metrics,
        deadline: timedelta,
        on_error: Callable[[Exception], None],
        *,
        calibration: bool = False,
    ) -> None:
        self._store = store
        self._investigator = investigator
        self._clock = clock
        self._token = token
        self._metrics = metrics
        self._deadline = deadline + _GRACE
        self._on_error = on_error
        self._calibration = calibration

    async def run(self, subject: str) -> None:
        incident = await self._begin(IncidentId(subject))
        if incident is None:
            return
        async with self._store.reading() as rows:
            alerts = tuple(stored.alert for stored in await rows.current_alerts(incident.id, _ALERTS_SHOWN))
            now = self._clock.now()
            recurrence = await rows.recurrence_of(incident, now)
        case = Case(incident=incident, alerts=alerts, run=incident.run, now=now, recurrence=recurrence)
        with structlog.contextvars.bound_contextvars(incident=incident.short_id, run=incident.run):
            investigation = await self._investigate(case)
        if self._calibration:
            investigation = replace(investigation, diagnosis=without_offers(investigation.diagnosis))
        try:
            await self._finish(incident, investigation)
        except (TypeError, ValueError) as error:
            # What a source answered has no place in a row, and would have none the next time either.
            _log.exception("investigation_not_stored", incident=incident.short_id)
            self._on_error(error)
            await self._finish(incident, self._failed(case, type(error).__name__))

    async def _begin(self, incident_id: IncidentId) -> Incident | None:
        async with self._store.transaction() as tx:
            incident = await tx.incident(incident_id)
            if incident is None or incident.route.mode is not Mode.INVESTIGATE:
                return None
            if incident.state is IncidentState.INVESTIGATING:
                return incident
            if incident.state is not IncidentState.OPEN:
                return None
            reason = "alerts are firing" if incident.run == 0 else f"cycled {incident.flaps} times"
            return await tx.save_incident(await begin_investigation(tx, incident, self._clock.now(), reason))

    async def _investigate(self, case: Case) -> Investigation:
        # The boundary between reasoning and the incident's life: whatever goes wrong inside, people
        # get a message that says so.
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                return await self._investigator.investigate(case)
        except Exception as error:  # noqa: BLE001
            _log.exception("investigation_failed", incident=case.incident.short_id)
            self._on_error(error)
            return self._failed(case, type(error).__name__)

    def _failed(self, case: Case, reason: str) -> Investigation:
        now = self._clock.now()
        diagnosis = Diagnosis(
            id=DiagnosisId(new_id("dia", self._token)),
            incident_id=case.incident.id,
            run=case.run,
            at=now,
            verdict=DiagnosisVerdict.INCONCLUSIVE,
            summary="The investigation itself failed; nothing is known beyond the alert.",
            root_cause=None,
            band=Band.LOW,
            origin=Origin.RULES,
            citations=(),
            gaps=(Gap(what="the whole investigation", reason=f"internal error ({reason}), see the log"),),
            cost=Cost(seconds=(now - case.now).total_seconds()),
        )
        return Investigation(evidence=(), diagnosis=diagnosis)

    async def _finish(self, before: Incident, investigation: Investigation) -> None:
        diagnosis = investigation.diagnosis
        now = self._clock.now()
        async with self._store.transaction() as tx:
            incident = await tx.incident(before.id)
            if (
                incident is None
                or incident.state is not IncidentState.INVESTIGATING
                or incident.run != before.run
            ):
                return
            await tx.add_evidence(incident.id, incident.run, [kept(item) for item in investigation.evidence])
            await tx.add_diagnosis(diagnosis)
            if investigation.edges:
                await tx.keep_edges(investigation.edges, now - EDGE_LIFE)
            await tx.record(*self._events(incident, investigation))
            to = _state_after(diagnosis)
            moved = incident.moved(to, now)
            await tx.record(_moved(incident, moved, f"diagnosis: {diagnosis.verdict.value}"))
            if moved.firing == 0:
                # The alert went away while we looked; now that the run is over it counts.
                resolved = moved.moved(IncidentState.RESOLVED, now)
                await tx.record(_moved(moved, resolved, "every alert resolved during the investigation"))
                moved = resolved
            elif to is IncidentState.DIAGNOSED:
                await tx.enqueue(Job(kind=JobKind.REMEDIATE, subject=incident.id))
            await remember(tx, await tx.save_incident(moved))
        self._metrics.investigations.labels(result=diagnosis.verdict.value).inc()
        self._metrics.investigation_seconds.observe(diagnosis.cost.seconds)
        for item in investigation.evidence:
            self._metrics.tool_calls.labels(tool=item.kind, result=item.status.value).inc()

    def _events(
        self, incident: Incident, investigation: Investigation
    ) -> list[EvidenceTaken | InvestigationFinished]:
        diagnosis = investigation.diagnosis
        return [
            EvidenceTaken(
                incident_id=incident.id,
                run=incident.run,
                items=tuple(evidence_entry(item) for item in investigation.evidence),
            ),
            InvestigationFinished(
                incident_id=incident.id,
                run=incident.run,
                verdict=diagnosis.verdict.value,
                band=diagnosis.band.value,
                origin=diagnosis.origin.value,
                root_cause=diagnosis.root_cause,
                diagnosis_digest=digest(
                    canonicalize(
                        {
                            "summary": diagnosis.summary,
                            "root_cause": diagnosis.root_cause,
                            "citations": [[c.evidence_id, c.finding] for c in diagnosis.citations],
                        }
                    )
                ),
            ),
        ]


def _state_after(diagnosis: Diagnosis) -> IncidentState:
    if diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE:
        return IncidentState.INCONCLUSIVE
    return IncidentState.DIAGNOSED


def _moved(before: Incident, after: Incident, reason: str) -> IncidentMoved:
    return IncidentMoved(
        incident_id=before.id, before=before.state.value, after=after.state.value, reason=reason
    )


def evidence_entry(item: Evidence) -> dict[str, str]:
    """What the ledger holds of one answer of a source."""
    return {
        "id": item.id,
        "source": item.source,
        "query": item.query,
        "status": item.status.value,
        "digest": item.content_digest or "",
    }


def evidence_digest(evidence: tuple[Evidence, ...]) -> str:
    """One digest over what an investigation saw: changes when any of its evidence does."""
    return digest(canonicalize(sorted(f"{item.id}:{item.content_digest or ''}" for item in evidence)))
