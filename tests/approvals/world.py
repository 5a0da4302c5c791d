"""One small world for the approval tests: an incident, people, keys, a proposal, a request, reviews."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.keys import Ed25519Signer, TrustedKeys, generate_signing_key, load_signer, load_trusted
from approvals.catalogue import build_proposal, builtin_catalogue
from approvals.document import PolicyQuestion
from approvals.model import (
    ApprovalRequest,
    Directory,
    Identity,
    Means,
    Person,
    RequestState,
    Requirement,
    Review,
    ReviewVerdict,
    Strength,
)
from approvals.statement import sign_approval, sign_review
from bot.domain.alert import Severity
from bot.domain.ids import Digest, IncidentId, PersonId, ProposalId, RequestId, ReviewId, ShortId
from bot.domain.incident import Incident, IncidentState, Route
from bot.domain.proposal import DryRun, Proposal, Risk, Target

START = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
EVIDENCE = Digest("e" * 64)
POLICY = "p" * 64


class HandClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


def person(name: str, *roles: str) -> Person:
    return Person(
        id=PersonId(name),
        identities=frozenset(
            {
                Identity(platform="matrix", user_id=f"@{name}:example.org"),
                Identity(platform="console", user_id=name),
            }
        ),
        roles=frozenset(roles or ("approver:process",)),
    )


ANA, BEN, CLEO = person("ana"), person("ben"), person("cleo", "approver:*")
VIEWER = person("vera", "viewer")
DIRECTORY = Directory(
    people=(ANA, BEN, CLEO, VIEWER),
    bots=frozenset({Identity(platform="matrix", user_id="@assent:example.org")}),
)


def incident(**changes: Any) -> Incident:
    base = Incident(
        id=IncidentId("inc_1"),
        short_id=ShortId("K7QX"),
        state=IncidentState.AWAITING_APPROVAL,
        severity=Severity.WARNING,
        title="Memory grows",
        service="web",
        environment="staging",
        source="alertmanager",
        group_key="{}",
        route=Route(name="default"),
        opened_at=START - timedelta(minutes=10),
        updated_at=START,
        firing=1,
    )
    return replace(base, **changes)


def target(**changes: Any) -> Target:
    base = Target(kind="process", name="web", uid="4242@1000", blast_radius=1)
    return replace(base, **changes)


def proposal(of: Incident | None = None, on: Target | None = None, **changes: Any) -> Proposal:
    on = on or target()
    made = build_proposal(
        spec=builtin_catalogue()["process.restart"],
        params={"process": on.name},
        target=on,
        dry_run=DryRun(ok=True, summary="would restart web", at=START),
        incident=of or incident(),
        rationale="it leaks",
        evidence_ids=[],
        evidence_digest=EVIDENCE,
        requested_by=None,
        risk=Risk.LOW,
        now=START,
        max_age=timedelta(hours=1),
        id=ProposalId("pro_1"),
    )
    return replace(made, **changes)


def requirement(
    count: int = 1, strength: Strength = Strength.REACTION, roles: Sequence[str] = ("approver:process",)
) -> Requirement:
    return Requirement(count=count, roles=tuple(roles), strength=strength)


def request(of: Proposal | None = None, **changes: Any) -> ApprovalRequest:
    of = of or proposal()
    base = ApprovalRequest(
        id=RequestId("req_1"),
        incident_id=of.incident_id,
        proposal_id=of.id,
        proposal_digest=of.digest,
        state=RequestState.PENDING,
        requirement=requirement(),
        created_at=START,
        expires_at=START + timedelta(minutes=30),
        nonce="0123456789abcdef",
        policy_hash=POLICY,
        evidence_digest=EVIDENCE,
        target_uid=of.target.uid,
    )
    return replace(base, **changes)


_serial = itertools.count(1).__next__


def review(by: Person = ANA, **changes: Any) -> Review:
    number = _serial()
    base = Review(
        id=ReviewId(f"rev_{number}"),
        request_id=RequestId("req_1"),
        reviewer=by.id,
        identity=Identity(platform="matrix", user_id=f"@{by.id}:example.org"),
        verdict=ReviewVerdict.APPROVE,
        means=Means.REACTION,
        platform_event_id=f"$event{number}",
        at=START + timedelta(minutes=1),
    )
    return replace(base, **changes)


def question(**changes: Any) -> PolicyQuestion:
    made = proposal()
    base = PolicyQuestion(
        spec=builtin_catalogue()["process.restart"],
        action=made.action,
        target=made.target,
        incident=incident(),
        risk=Risk.LOW,
        band="high",
        evidence_age=30.0,
        recent_executions=0,
        requester=None,
        stage="proposal",
        at=START,
    )
    return replace(base, **changes)


@dataclass
class Keyring:
    """The bot's key, and another one that nobody trusts."""

    signer: Ed25519Signer = field(default_factory=lambda: load_signer(generate_signing_key()))
    stranger: Ed25519Signer = field(default_factory=lambda: load_signer(generate_signing_key()))

    @property
    def trusted(self) -> TrustedKeys:
        return load_trusted([], signer=self.signer)

    def signed(self, of: Review, on: ApprovalRequest) -> Review:
        return replace(of, envelope=sign_review(self.signer, of, on))

    def approval(self, on: ApprovalRequest, made: Proposal, reviews: Sequence[Review]) -> bytes:
        return sign_approval(self.signer, on, made, reviews, START + timedelta(minutes=1))
