"""Changes to proposals, requests, reviews, approvals, executions, the kill switch and heartbeats."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.storage.changes import Changes
from adapters.storage.tables import (
    approvals,
    executions,
    heartbeats,
    outcomes,
    proposals,
    requests,
    reviews,
    switches,
)
from approvals.model import ApprovalRequest, Review
from approvals.ports import Switch
from bot.domain.clock import to_rfc3339
from bot.domain.errors import IntegrityError, StaleWrite
from bot.domain.ids import IncidentId, RequestId, ReviewId
from bot.domain.outcome import Execution, Outcome
from bot.domain.proposal import Proposal


def _values(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_ADD_PROPOSAL = insert(proposals).values(
    _values("id", "incident_id", "target", "digest", "canonical_bytes", "body")
)
_ADD_REQUEST = insert(requests).values(
    _values("id", "incident_id", "proposal_id", "state", "expires_at", "version", "envelope", "body")
)
_SAVE_REQUEST = (
    update(requests)
    .where(
        requests.c.id == bindparam("id"),
        requests.c.version == bindparam("expected", type_=Integer),
        requests.c.envelope == bindparam("envelope"),
    )
    .values(_values("state", "expires_at", "version", "body"))
    .returning(requests.c.incident_id)
)
_INCIDENT_OF_REQUEST = select(requests.c.incident_id).where(requests.c.id == bindparam("id"))
_ADD_REVIEW = (
    upsert(reviews)
    .values(
        _values(
            "id",
            "request_id",
            "reviewer",
            "verdict",
            "platform",
            "platform_event_id",
            "at",
            "withdrawn_at",
            "envelope",
            "body",
        )
    )
    .on_conflict_do_nothing(index_elements=[reviews.c.platform, reviews.c.platform_event_id])
    .returning(reviews.c.id)
)
_REVIEW = (
    select(reviews.c.body, reviews.c.envelope, requests.c.incident_id)
    .join_from(reviews, requests, reviews.c.request_id == requests.c.id)
    .where(reviews.c.id == bindparam("id"))
)
_WITHDRAW = update(reviews).where(reviews.c.id == bindparam("review")).values(_values("withdrawn_at", "body"))
_ADD_APPROVAL = insert(approvals).values(_values("request_id", "added_at", "envelope"))
_REMOVE_APPROVAL = delete(approvals).where(approvals.c.request_id == bindparam("id"))
_USED = select(executions.c.id).where(executions.c.request_id == bindparam("id"))
_TARGET = select(proposals.c.target).where(proposals.c.id == bindparam("id"))
_ADD_EXECUTION = insert(executions).values(
    _values(
        "id",
        "incident_id",
        "proposal_id",
        "request_id",
        "idempotency_key",
        "state",
        "target",
        "claimed_at",
        "body",
    )
)
_SAVE_EXECUTION = (
    update(executions)
    .where(
        executions.c.id == bindparam("id"),
        executions.c.request_id == bindparam("request"),
        executions.c.idempotency_key == bindparam("key"),
        or_(
            executions.c.state == "claimed",
            (executions.c.state == "unknown") & (bindparam("state") != "claimed"),
            executions.c.state == bindparam("state"),
        ),
    )
    .values(_values("state", "body"))
    .returning(executions.c.incident_id)
)
_INCIDENT_OF_EXECUTION = select(executions.c.incident_id).where(executions.c.id == bindparam("id"))
_ADD_OUTCOME = insert(outcomes).values(_values("execution_id", "attempt", "body"))
_switch = upsert(switches).values(_values("id", "paused", "actor", "reason", "at"))
_SET_SWITCH = _switch.on_conflict_do_update(
    index_elements=[switches.c.id],
    set_={name: _switch.excluded[name] for name in ("paused", "actor", "reason", "at")},
)
_beat = upsert(heartbeats).values(_values("name", "at"))
_BEAT = _beat.on_conflict_do_update(
    index_elements=[heartbeats.c.name], set_={"at": func.max(heartbeats.c.at, _beat.excluded.at)}
)


class ApprovalChanges(Changes):
    """The part of a transaction that is about approvals and what is done with them."""

    async def add_proposal(self, proposal: Proposal) -> None:
        await self._rows.all(
            _ADD_PROPOSAL,
            id=proposal.id,
            incident_id=proposal.incident_id,
            target=proposal.target.name,
            digest=proposal.digest,
            canonical_bytes=proposal.canonical_bytes,
            body=self._codec.encode(proposal),
        )
        self.touch(proposal.incident_id)

    async def add_request(self, request: ApprovalRequest) -> None:
        await self._rows.all(
            _ADD_REQUEST,
            id=request.id,
            incident_id=request.incident_id,
            proposal_id=request.proposal_id,
            **self._request_columns(request),
        )
        self.touch(request.incident_id)

    async def save_request(self, request: ApprovalRequest) -> ApprovalRequest:
        """What people were asked stays as it was signed: another envelope is a stale write too."""
        saved = replace(request, version=request.version + 1)
        found = await self._rows.first(
            _SAVE_REQUEST, id=request.id, expected=request.version, **self._request_columns(saved)
        )
        if found is None:
            raise StaleWrite(
                f"request {request.id}: version {request.version} with this envelope is not the stored one"
            )
        self.touch(IncidentId(found[0]))
        return saved

    def _request_columns(self, request: ApprovalRequest) -> dict[str, Any]:
        return {
            "state": request.state.value,
            "expires_at": to_rfc3339(request.expires_at),
            "version": request.version,
            "envelope": request.envelope,
            "body": self._codec.encode(request),
        }

    async def add_review(self, review: Review) -> bool:
        added = await self._rows.first(
            _ADD_REVIEW,
            id=review.id,
            request_id=review.request_id,
            reviewer=review.reviewer,
            verdict=review.verdict.value,
            platform=review.identity.platform,
            platform_event_id=review.platform_event_id,
            at=to_rfc3339(review.at),
            withdrawn_at=None if review.withdrawn_at is None else to_rfc3339(review.withdrawn_at),
            envelope=review.envelope,
            body=self._codec.encode(review),
        )
        if added is None:
            return False
        self.touch(await self._incident_of_request(review.request_id))
        return True

    async def withdraw_review(self, review_id: ReviewId, at: datetime) -> None:
        """A review withdrawn before keeps its first time. Raises StaleWrite when there is none."""
        row = await self._rows.first(_REVIEW, id=review_id)
        if row is None:
            raise StaleWrite(f"review {review_id} is not stored")
        review = self._codec.decode(Review, row[0], envelope=row[1])
        if review.withdrawn_at is not None:
            return
        withdrawn = replace(review, withdrawn_at=at)
        self._rows.later(
            _WITHDRAW, review=review_id, withdrawn_at=to_rfc3339(at), body=self._codec.encode(withdrawn)
        )
        self.touch(IncidentId(row[2]))

    async def add_approval(self, request_id: RequestId, envelope: bytes) -> None:
        await self._rows.all(
            _ADD_APPROVAL,
            request_id=request_id,
            added_at=to_rfc3339(self._clock.now()),
            envelope=envelope,
        )

    async def remove_approval(self, request_id: RequestId) -> None:
        """Raises StaleWrite when a gate has used it."""
        if await self._rows.value(_USED, id=request_id) is not None:
            raise StaleWrite(f"request {request_id}: its approval has been used")
        self._rows.later(_REMOVE_APPROVAL, id=request_id)

    async def add_execution(self, execution: Execution) -> None:
        """Raises StaleWrite when its idempotency key or its request has an execution."""
        target = await self._rows.value(_TARGET, id=execution.proposal_id)
        if target is None:
            raise IntegrityError(
                f"execution {execution.id} names proposal {execution.proposal_id}: not stored"
            )
        await self._rows.all(
            _ADD_EXECUTION,
            id=execution.id,
            incident_id=execution.incident_id,
            proposal_id=execution.proposal_id,
            request_id=execution.request_id,
            idempotency_key=execution.idempotency_key,
            state=execution.state.value,
            target=target,
            claimed_at=to_rfc3339(execution.claimed_at),
            body=self._codec.encode(execution),
        )
        self.touch(execution.incident_id)

    async def save_execution(self, execution: Execution) -> None:
        """Change the state of a stored execution. Raises StaleWrite where that would take back an end:
        what has succeeded or failed stays so, and nothing is claimed again."""
        found = await self._rows.first(
            _SAVE_EXECUTION,
            id=execution.id,
            request=execution.request_id,
            key=execution.idempotency_key,
            state=execution.state.value,
            body=self._codec.encode(execution),
        )
        if found is None:
            raise StaleWrite(f"execution {execution.id} cannot become {execution.state.value} any more")
        self.touch(IncidentId(found[0]))

    async def add_outcome(self, outcome: Outcome) -> None:
        incident_id = await self._rows.value(_INCIDENT_OF_EXECUTION, id=outcome.execution_id)
        if incident_id is None:
            raise IntegrityError(f"an outcome names execution {outcome.execution_id}: not stored")
        await self._rows.all(
            _ADD_OUTCOME,
            execution_id=outcome.execution_id,
            attempt=outcome.attempt,
            body=self._codec.encode(outcome),
        )
        self.touch(IncidentId(incident_id))

    async def set_switch(self, switch: Switch, at: datetime) -> None:
        self._rows.later(
            _SET_SWITCH,
            id=1,
            paused=int(switch.paused),
            actor=switch.actor,
            reason=switch.reason,
            at=to_rfc3339(at),
        )

    async def beat(self, name: str, at: datetime) -> None:
        self._rows.later(_BEAT, name=name, at=to_rfc3339(at))

    async def _incident_of_request(self, request_id: RequestId) -> IncidentId:
        return IncidentId(await self._rows.value(_INCIDENT_OF_REQUEST, id=request_id))
