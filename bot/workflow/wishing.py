"""An action that a person asks for → the same proposal, policy and request as one of a diagnosis.

Whoever asked is the requester: others approve. What waits for approval already is replaced only once policy
has allowed the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from approvals.canonical import canonicalize, digest
from approvals.model import RequestState
from bot.domain.audit import ActionWished, WishEnded
from bot.domain.clock import Clock
from bot.domain.diagnosis import Band, SuggestedAction
from bot.domain.errors import StaleWrite
from bot.domain.ids import IncidentId, PersonId
from bot.domain.incident import Incident, IncidentState
from bot.domain.proposal import Remediation
from bot.domain.question import Wish, WishOrigin, WishState
from bot.messages.answers import not_now, wish_declined
from bot.messages.words import CALIBRATION
from bot.ports import IncidentStore, Job, JobKind, Reading, Transaction
from bot.workflow.moving import move
from bot.workflow.places import answer_at
from bot.workflow.proposing import Prepared, Proposing
from bot.workflow.requests import UNDECIDED, end_open_requests

WISHABLE = frozenset(
    {
        IncidentState.DIAGNOSED,
        IncidentState.INCONCLUSIVE,
        IncidentState.AWAITING_APPROVAL,
        IncidentState.REJECTED,
        IncidentState.EXPIRED,
        IncidentState.FAILED,
    }
)
"""States in which a person may ask for an action. Not after an unknown outcome: look first."""

WISHES_PER_HOUR = 10
"""Of one person, those that come of answers to their questions included."""

_SAME = "the card that waits for approval asks for exactly this"
_OTHER_TARGET = "its parameters are about something else than what was checked for it"
_OTHER_WAITS = "another action waits for approval, and only a person's own propose takes its place"


MayPropose = Callable[[PersonId], bool]
"""Whether somebody may ask for actions now."""


async def may_wish(rows: Reading, incident: Incident, *, calibration: bool) -> str | None:
    """Why nothing may be proposed for it now; None where something may."""
    if calibration:
        return CALIBRATION
    if incident.state not in WISHABLE:
        return not_now(incident)
    if await rows.latest_diagnosis(incident.id) is None:
        return f"{incident.short_id} has no diagnosis; write rerun first"
    return None


async def add_wish(tx: Transaction, wish: Wish) -> None:
    """Store it, once for each event, and wake who works on it."""
    if not await tx.add_wish(wish):
        return
    await tx.record(
        ActionWished(
            incident_id=wish.incident_id,
            wish_id=wish.id,
            person=wish.requested_by,
            origin=wish.origin.value,
            action=wish.action,
            params_digest=digest(canonicalize(dict(wish.params))),
            causation_id=wish.event_id,
        )
    )
    await tx.enqueue(Job(kind=JobKind.REMEDIATE, subject=wish.incident_id))


class Wishing:
    """Works on the open wishes of an incident, oldest first; each ends once, and its end is told."""

    def __init__(
        self,
        store: IncidentStore,
        proposing: Proposing,
        clock: Clock,
        may_propose: MayPropose,
        *,
        calibration: bool = False,
    ) -> None:
        self._store = store
        self._proposing = proposing
        self._clock = clock
        self._may_propose = may_propose
        self._calibration = calibration

    async def run(self, subject: str) -> None:
        async with self._store.reading() as rows:
            wishes = await rows.open_wishes(IncidentId(subject))
        for wish in wishes:
            await self._work(wish)

    async def _work(self, wish: Wish) -> None:
        async with self._store.reading() as rows:
            incident = await rows.incident(wish.incident_id)
            diagnosis = await rows.latest_diagnosis(wish.incident_id)
            if incident is None:
                return
            refusal = await self._refusal(rows, incident, wish)
            evidence = () if diagnosis is None else tuple(await rows.evidence_of(incident.id, diagnosis.run))
        if refusal is not None or diagnosis is None:
            async with self._store.transaction() as tx:
                await self._decline(tx, incident, wish, (refusal or "there is no diagnosis",))
            return
        known = {item.id for item in evidence}
        suggestion = SuggestedAction(
            action=wish.action,
            params=wish.params,
            target=wish.target,
            why=_why(wish),
            evidence_ids=tuple(one for one in wish.evidence_ids if one in known),
        )
        if wish.origin is WishOrigin.ANSWER:
            # Policy judges what is wanted here, and that no investigation came to: nobody is sure of it.
            diagnosis = replace(diagnosis, band=Band.LOW)
        prepared = await self._proposing.prepare(incident, diagnosis, suggestion, evidence, wish.requested_by)
        async with self._store.transaction() as tx:
            current = await tx.incident(incident.id)
            if current is None or current.state is not incident.state or current.run != incident.run:
                # What it was prepared for has changed meanwhile: once more, from the beginning.
                raise StaleWrite(f"incident {incident.short_id} moved on while {wish.id} was prepared")
            await self._settle(tx, current, wish, prepared)

    async def _refusal(self, rows: Reading, incident: Incident, wish: Wish) -> str | None:
        reason = await may_wish(rows, incident, calibration=self._calibration)
        if reason is not None:
            return reason
        if not self._may_propose(wish.requested_by):
            return f"{wish.requested_by} may no longer ask for actions"
        waits = incident.state is IncidentState.AWAITING_APPROVAL
        return _OTHER_WAITS if waits and wish.origin is WishOrigin.ANSWER else None

    async def _settle(
        self, tx: Transaction, incident: Incident, wish: Wish, prepared: Prepared | Remediation
    ) -> None:
        if isinstance(prepared, Remediation):
            await self._decline(tx, incident, wish, prepared.reasons, command=prepared.command)
            return
        if wish.target and not _same_target(wish.target, prepared.proposal.target.name):
            await self._decline(tx, incident, wish, (_OTHER_TARGET,))
            return
        waiting = [one for one in await tx.requests_of(incident.id) if one.state in UNDECIDED]
        if any(one.proposal_digest == prepared.proposal.digest for one in waiting):
            await self._decline(tx, incident, wish, (_SAME,))
            return
        if not prepared.allowed:
            denied = await self._proposing.store(tx, incident, prepared)
            await self._decline(
                tx, incident, wish, denied.reasons, rules=denied.rules, command=denied.command
            )
            return
        now = prepared.proposal.created_at
        if incident.state is IncidentState.AWAITING_APPROVAL:
            reason = f"{wish.requested_by} asked for {wish.action} instead"
            await end_open_requests(tx, incident, RequestState.SUPERSEDED, reason, now)
            incident = await move(tx, incident, IncidentState.DIAGNOSED, reason, now)
        await self._proposing.store(tx, incident, prepared)
        await self._end(
            tx,
            replace(
                wish, state=WishState.PROPOSED, proposal_id=prepared.proposal.id, ended_at=self._clock.now()
            ),
        )

    async def _decline(
        self,
        tx: Transaction,
        incident: Incident,
        wish: Wish,
        reasons: Sequence[str],
        *,
        rules: Sequence[str] = (),
        command: str | None = None,
    ) -> None:
        await self._end(
            tx,
            replace(wish, state=WishState.DECLINED, reasons=tuple(reasons), ended_at=self._clock.now()),
        )
        message = wish_declined(incident, wish, reasons, rules=rules, command=command)
        await tx.put(answer_at(wish.place, f"wish:{wish.id}", message))

    async def _end(self, tx: Transaction, wish: Wish) -> None:
        await tx.end_wish(wish)
        await tx.record(
            WishEnded(
                incident_id=wish.incident_id,
                wish_id=wish.id,
                state=wish.state.value,
                proposal_id=wish.proposal_id or "",
            )
        )


def _same_target(checked: str, located: str) -> bool:
    """The labels of a silence may stand in another order."""
    return sorted(checked.split(",")) == sorted(located.split(","))


def _why(wish: Wish) -> str:
    """Said by us: the card holds nobody's prose."""
    if wish.origin is WishOrigin.ANSWER:
        return f"a model named it in answer to a question of {wish.requested_by}"
    return f"{wish.requested_by} asks for it"
