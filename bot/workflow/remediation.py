"""A diagnosis with a known fix → a typed proposal → policy → an approval request.

Nothing here can run anything: it holds inspectors, which only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from approvals.ports import Inspector
from bot.domain.diagnosis import Diagnosis, SuggestedAction
from bot.domain.ids import IncidentId, PersonId
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import ExecutionResult
from bot.domain.proposal import (
    ActionSpec,
    Proposal,
    Remediation,
    RemediationKind,
)
from bot.messages.words import CALIBRATION
from bot.ports import IncidentStore, Reading
from bot.workflow.own_alerts import MANUAL_SOURCE, REQUESTED_BY
from bot.workflow.proposing import Proposing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Something to decide about; without a suggestion the decision is that there is nothing to propose."""

    suggestion: SuggestedAction | None


class Remediating:
    """Turns the suggestion of a diagnosis into a proposal, once per run; and offers to undo an action that
    verification found not to have helped."""

    def __init__(
        self,
        store: IncidentStore,
        proposing: Proposing,
        catalogue: Mapping[str, ActionSpec],
        inspectors: Mapping[str, Inspector],
        *,
        calibration: bool = False,
    ) -> None:
        self._store = store
        self._proposing = proposing
        self._catalogue = catalogue
        self._inspectors = inspectors
        self._calibration = calibration

    async def run(self, subject: str) -> None:
        if self._calibration:
            await self._offer_nothing(IncidentId(subject))
            return
        async with self._store.reading() as rows:
            incident = await rows.incident(IncidentId(subject))
            diagnosis = await rows.latest_diagnosis(IncidentId(subject))
            if incident is None or diagnosis is None:
                return
            wanted = await self._wanted(rows, incident, diagnosis)
            if wanted is None:
                return
            evidence = tuple(await rows.evidence_of(incident.id, incident.run))
            requester = await _requester(rows, incident)
        prepared = await self._proposing.prepare(incident, diagnosis, wanted.suggestion, evidence, requester)
        async with self._store.transaction() as tx:
            current = await tx.incident(incident.id)
            if current is None or current.state is not incident.state or current.run != incident.run:
                return
            if not isinstance(prepared, Remediation):
                prepared = await self._proposing.store(tx, current, prepared)
            await tx.add_remediation(prepared)

    async def _offer_nothing(self, incident_id: IncidentId) -> None:
        """Settle the run's remediation without looking at what it would be. An action of before that failed
        stays as it is: what would undo it may be offered once calibration is over."""
        async with self._store.transaction() as tx:
            incident = await tx.incident(incident_id)
            if incident is None or incident.state is not IncidentState.DIAGNOSED:
                return
            done = await tx.remediation_of(incident_id)
            if done is None or done.run < incident.run:
                await tx.add_remediation(
                    self._proposing.remediation(incident, RemediationKind.NONE, CALIBRATION)
                )

    async def _wanted(self, rows: Reading, incident: Incident, diagnosis: Diagnosis) -> _Wanted | None:
        """What this incident wants done that no remediation has dealt with; None where that is nothing."""
        done = await rows.remediation_of(incident.id)
        if incident.state is IncidentState.DIAGNOSED:
            if done is not None and done.run == incident.run:
                return None
            return _Wanted(suggestion=diagnosis.suggestion)
        if incident.state is not IncidentState.FAILED:
            return None
        executions = await rows.executions_of(incident.id)
        if not executions or executions[-1].result is None:
            return None
        last, result = executions[-1], executions[-1].result
        outcomes = await rows.outcomes_of(last.id)
        proposal = await rows.proposal(last.proposal_id)
        if not outcomes or proposal is None or (done is not None and done.at > outcomes[-1].at):
            return None
        undo = self._undo(proposal, result)
        return None if undo is None else _Wanted(suggestion=undo)

    def _undo(self, proposal: Proposal, result: ExecutionResult) -> SuggestedAction | None:
        inspector = self._inspectors.get(proposal.action.executor)
        action = inspector.compensation(proposal.action, result) if inspector is not None else None
        if action is None or action.name != self._catalogue[proposal.action.name].compensating:
            return None
        return SuggestedAction(
            action=action.name,
            params=action.params,
            target=proposal.target.name,
            why=f"{proposal.action.name} did not help ({result.summary}); this undoes it",
            evidence_ids=proposal.rationale_evidence_ids,
        )


async def _requester(rows: Reading, incident: Incident) -> PersonId | None:
    """Who asked for the investigation by hand: that person may not approve what comes of it."""
    if incident.source != MANUAL_SOURCE:
        return None
    alerts = await rows.current_alerts(incident.id, 1)
    return PersonId(alerts[0].alert.labels[REQUESTED_BY]) if alerts else None
