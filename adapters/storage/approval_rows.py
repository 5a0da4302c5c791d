"""Queries about proposals, requests, reviews, executions and outcomes, and the kill switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select

from adapters.storage.codec import Codec
from adapters.storage.rows import Row, Rows
from adapters.storage.tables import (
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
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.ids import ExecutionId, IncidentId, PersonId, ProposalId, RequestId
from bot.domain.outcome import Execution, Outcome
from bot.domain.proposal import Proposal

_PROPOSAL = select(proposals.c.body, proposals.c.canonical_bytes).where(proposals.c.id == bindparam("id"))
_request_columns = select(requests.c.body, requests.c.envelope)
_REQUEST = _request_columns.where(requests.c.id == bindparam("id"))
_REQUESTS_OF = _request_columns.where(requests.c.incident_id == bindparam("id")).order_by(requests.c.seq)
_review_columns = select(reviews.c.body, reviews.c.envelope)
_REVIEWS_OF = _review_columns.where(reviews.c.request_id == bindparam("id")).order_by(reviews.c.seq)
_REVIEW_BY_EVENT = _review_columns.where(
    reviews.c.platform == bindparam("platform"), reviews.c.platform_event_id == bindparam("event_id")
)
_APPROVALS_BY = (
    select(func.count())
    .select_from(reviews)
    .where(
        reviews.c.reviewer == bindparam("person"),
        reviews.c.verdict == "approve",
        reviews.c.at >= bindparam("since"),
    )
)
_EXECUTION = select(executions.c.body).where(executions.c.id == bindparam("id"))
_EXECUTIONS_OF = (
    select(executions.c.body).where(executions.c.incident_id == bindparam("id")).order_by(executions.c.seq)
)
_RECENT_EXECUTIONS = (
    select(func.count())
    .select_from(executions)
    .where(executions.c.target == bindparam("target"), executions.c.claimed_at >= bindparam("since"))
)
_OUTCOMES = (
    select(outcomes.c.body).where(outcomes.c.execution_id == bindparam("id")).order_by(outcomes.c.attempt)
)
_SWITCH = select(switches.c.paused, switches.c.actor, switches.c.reason)
_HEARTBEATS = select(heartbeats.c.name, heartbeats.c.at)


class ApprovalRows:
    """The part of a reading that is about approvals and what was done with them."""

    _rows: Rows
    _codec: Codec

    async def proposal(self, proposal_id: ProposalId) -> Proposal | None:
        row = await self._rows.first(_PROPOSAL, id=proposal_id)
        return None if row is None else self._codec.decode(Proposal, row[0], canonical_bytes=row[1])

    async def request(self, request_id: RequestId) -> ApprovalRequest | None:
        row = await self._rows.first(_REQUEST, id=request_id)
        return None if row is None else self._request(row)

    async def requests_of(self, incident_id: IncidentId) -> Sequence[ApprovalRequest]:
        found = await self._rows.all(_REQUESTS_OF, id=incident_id)
        return [self._request(row) for row in found]

    async def reviews_of(self, request_id: RequestId) -> Sequence[Review]:
        return [self._review(row) for row in await self._rows.all(_REVIEWS_OF, id=request_id)]

    async def review_by_event(self, platform: str, platform_event_id: str) -> Review | None:
        row = await self._rows.first(_REVIEW_BY_EVENT, platform=platform, event_id=platform_event_id)
        return None if row is None else self._review(row)

    async def approvals_by(self, person: PersonId, since: datetime) -> int:
        return int(await self._rows.value(_APPROVALS_BY, person=person, since=to_rfc3339(since)))

    async def executions_of(self, incident_id: IncidentId) -> Sequence[Execution]:
        found = await self._rows.all(_EXECUTIONS_OF, id=incident_id)
        return [self._codec.decode(Execution, row[0]) for row in found]

    async def execution(self, execution_id: ExecutionId) -> Execution | None:
        body = await self._rows.value(_EXECUTION, id=execution_id)
        return None if body is None else self._codec.decode(Execution, body)

    async def recent_executions(self, target: str, since: datetime) -> int:
        return int(await self._rows.value(_RECENT_EXECUTIONS, target=target, since=to_rfc3339(since)))

    async def outcomes_of(self, execution_id: ExecutionId) -> Sequence[Outcome]:
        found = await self._rows.all(_OUTCOMES, id=execution_id)
        return [self._codec.decode(Outcome, row[0]) for row in found]

    async def heartbeats(self) -> Mapping[str, datetime]:
        return {name: from_rfc3339(at) for name, at in await self._rows.all(_HEARTBEATS)}

    async def switch(self) -> Switch:
        row = await self._rows.first(_SWITCH)
        if row is None:
            # Somebody took the row away: nothing may be executed until a person has turned it again.
            return Switch(paused=True, reason="the kill switch's row is missing from the store")
        return Switch(paused=bool(row[0]), actor=row[1], reason=row[2])

    def _request(self, row: Row) -> ApprovalRequest:
        return self._codec.decode(ApprovalRequest, row[0], envelope=row[1])

    def _review(self, row: Row) -> Review:
        return self._codec.decode(Review, row[0], envelope=row[1])
