from __future__ import annotations

import base64
import json
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial

import pytest

from approvals.canonical import canonicalize, digest
from approvals.ledger import Head
from approvals.model import Identity, Means, RequestState, Requirement, ReviewVerdict, Strength
from approvals.statement import (
    PAYLOAD_TYPE,
    check_request,
    parse_approval,
    parse_checkpoint,
    parse_review,
    sign_approval,
    sign_checkpoint,
    sign_request,
    sign_review,
)
from bot.domain.errors import IntegrityError
from bot.domain.ids import Digest, PersonId
from tests.approvals import world
from tests.approvals.world import ANA, BEN, START, Keyring


@pytest.fixture(scope="module")
def keys() -> Keyring:
    return Keyring()


def payload(envelope: bytes) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return decoded


def resigned(keys: Keyring, envelope: bytes, **changes: object) -> bytes:
    """The same statement with another predicate, signed by the right key: a bug or a newer version."""
    statement = payload(envelope)
    statement["predicate"] = {**statement["predicate"], **changes}  # type: ignore[dict-item]
    return keys.signer.sign(PAYLOAD_TYPE, canonicalize(statement))


def test_a_review_says_who_where_by_what_means_and_about_what(keys: Keyring) -> None:
    request = world.request()
    review = world.review(ANA, means=Means.COMMAND, reason="known leak")
    envelope = sign_review(keys.signer, review, request)
    statement = payload(envelope)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "proposal:pro_1", "digest": {"sha256": request.proposal_digest}}]
    read = parse_review(keys.trusted, envelope)
    assert read.matches(review, request)
    assert (read.reviewer, read.identity, read.means) == (ANA.id, review.identity, Means.COMMAND)
    assert (read.nonce, read.expires_at, read.at) == (request.nonce, request.expires_at, review.at)
    assert read.reason == "known leak"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "rev_x"},
        {"reviewer": BEN.id},
        {"identity": Identity(platform="matrix", user_id="@ben:example.org")},
        {"verdict": ReviewVerdict.REJECT},
        {"means": Means.SECOND_FACTOR},
        {"platform_event_id": "$other"},
        {"at": START},
        {"reason": "other"},
        {"request_id": "req_2"},
    ],
)
def test_a_row_that_says_anything_else_is_not_the_signed_review(
    keys: Keyring, change: dict[str, object]
) -> None:
    request, review = world.request(), world.review(ANA)
    read = parse_review(keys.trusted, sign_review(keys.signer, review, request))
    assert read.matches(review, request)
    assert not read.matches(replace(review, **change), request)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "req_2"},
        {"proposal_digest": digest(b"other")},
        {"proposal_id": "pro_2"},
        {"incident_id": "inc_2"},
        {"nonce": "other"},
        {"policy_hash": "other"},
        {"evidence_digest": "other"},
        {"target_uid": "other"},
        {"expires_at": START + timedelta(days=1)},
    ],
)
def test_a_signed_review_is_of_no_use_for_another_request(keys: Keyring, change: dict[str, object]) -> None:
    request, review = world.request(), world.review(ANA)
    other = replace(request, **change)  # type: ignore[arg-type]
    assert not parse_review(keys.trusted, sign_review(keys.signer, review, request)).matches(review, other)


def test_an_approval_holds_the_request_and_every_review_that_counted(keys: Keyring) -> None:
    made = world.proposal()
    request = world.request(made, requirement=world.requirement(2, Strength.COMMAND))
    reviews = [keys.signed(world.review(by, means=Means.COMMAND), request) for by in (ANA, BEN)]
    read = parse_approval(keys.trusted, sign_approval(keys.signer, request, made, reviews, START))
    assert read.digest == made.digest
    assert read.requirement == request.requirement
    assert read.proposal_expires_at == made.created_at + made.max_age
    assert [counted.reviewer for counted in read.reviews] == [ANA.id, BEN.id]
    assert [counted.envelope_digest for counted in read.reviews] == [digest(r.envelope) for r in reviews]
    assert read.matches(request)


@pytest.mark.parametrize(
    "change",
    [
        {"requirement": world.requirement(1, Strength.REACTION, ["approver:*"])},
        {"requested_by": BEN.id},
        {"created_at": START + timedelta(seconds=1)},
        {"expires_at": START + timedelta(days=1)},
        {"nonce": "other"},
        {"proposal_digest": digest(b"other")},
    ],
)
def test_a_changed_request_is_not_the_approved_one(keys: Keyring, change: dict[str, object]) -> None:
    made = world.proposal()
    request = world.request(made)
    read = parse_approval(keys.trusted, sign_approval(keys.signer, request, made, [], START))
    assert not read.matches(replace(request, **change))  # type: ignore[arg-type]


def test_a_checkpoint_says_size_and_head(keys: Keyring) -> None:
    head = Head(size=7, hash=bytes(range(32)))
    checkpoint = sign_checkpoint(keys.signer, head, START)
    read = parse_checkpoint(keys.trusted, checkpoint.envelope)
    assert (read.size, read.head_hash, read.at) == (7, head.hash, START)
    assert (checkpoint.size, checkpoint.head_hash, checkpoint.at) == (7, head.hash, START)


def test_one_kind_of_statement_never_passes_for_another(keys: Keyring) -> None:
    made = world.proposal()
    request = world.request(made)
    review = sign_review(keys.signer, world.review(), request)
    approval = sign_approval(keys.signer, request, made, [], START)
    checkpoint = sign_checkpoint(keys.signer, Head(), START).envelope
    for parse, envelopes in (
        (partial(parse_review, keys.trusted), (approval, checkpoint)),
        (partial(parse_approval, keys.trusted), (review, checkpoint)),
        (partial(parse_checkpoint, keys.trusted), (review, approval)),
    ):
        for envelope in envelopes:
            with pytest.raises(IntegrityError, match="predicateType"):
                parse(envelope)


def test_a_statement_signed_by_a_stranger_is_worth_nothing(keys: Keyring) -> None:
    forged = sign_review(keys.stranger, world.review(), world.request())
    with pytest.raises(IntegrityError, match="not signed by a trusted key"):
        parse_review(keys.trusted, forged)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"surprise": 1}, "surprise"),
        ({"at": "yesterday"}, "RFC 3339"),
        ({"at": "2026-11-03T09:00:00"}, "RFC 3339"),
        ({"verdict": "maybe"}, "verdict"),
        ({"strength": "second_factor"}, "strength"),
        ({"reviewer": None}, "reviewer"),
    ],
)
def test_a_review_of_another_shape_is_refused(
    keys: Keyring, change: dict[str, object], complaint: str
) -> None:
    envelope = sign_review(keys.signer, world.review(), world.request())
    with pytest.raises(IntegrityError, match=complaint):
        parse_review(keys.trusted, resigned(keys, envelope, **change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"requirement": {"count": 0, "roles": [], "strength": "reaction"}}, "count"),
        ({"requirement": {"count": 1, "roles": [1], "strength": "reaction"}}, "roles"),
        ({"requirement": {"count": 1, "roles": ["a"], "strength": "shout"}}, "strength"),
        ({"requirement": 1}, "requirement"),
        ({"reviews": {}}, "reviews"),
        ({"reviews": [{}]}, "reviews"),
    ],
)
def test_an_approval_of_another_shape_is_refused(
    keys: Keyring, change: dict[str, object], complaint: str
) -> None:
    made = world.proposal()
    envelope = sign_approval(keys.signer, world.request(made), made, [], START)
    with pytest.raises(IntegrityError, match=complaint):
        parse_approval(keys.trusted, resigned(keys, envelope, **change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "_type"),
        ({"subject": []}, "exactly one"),
        ({"subject": [{"name": "a", "digest": {"sha256": "A" * 64}}]}, "64 lower-case hex"),
        ({"subject": [{"name": "a", "digest": {"sha512": "a" * 64}}]}, "sha512"),
        ({"predicate": []}, "predicate"),
    ],
)
def test_a_payload_that_is_no_statement_of_ours_is_refused(
    keys: Keyring, change: dict[str, object], complaint: str
) -> None:
    statement = payload(sign_review(keys.signer, world.review(), world.request())) | change
    with pytest.raises(IntegrityError, match=complaint):
        parse_review(keys.trusted, keys.signer.sign(PAYLOAD_TYPE, canonicalize(statement)))


def test_every_field_of_a_request_that_matters_is_in_its_reviews(keys: Keyring) -> None:
    """A field added to the request must be signed, or be named here as one that may change."""
    may_change = {"state", "ended_at", "ended_reason", "reminded", "version", "envelope"}
    in_approval_only = {"requirement", "created_at", "requested_by"}
    envelope = sign_review(keys.signer, world.review(), world.request())
    predicate = payload(envelope)["predicate"]
    signed = {"id", "proposal_digest"} | set(predicate)  # type: ignore[attr-defined]
    named = {field.name for field in fields(world.request())}
    assert named <= signed | may_change | in_approval_only


def test_a_request_is_what_was_signed_when_it_was_opened(keys: Keyring) -> None:
    request = world.request()
    opened = replace(request, envelope=sign_request(keys.signer, request))
    check_request(keys.trusted, opened)
    check_request(keys.trusted, replace(opened, state=RequestState.APPROVED, version=7, reminded=80))


@pytest.mark.parametrize(
    "change",
    [
        {"proposal_digest": Digest("f" * 64)},
        {"nonce": "another"},
        {"expires_at": world.START + timedelta(days=9)},
        {"requirement": Requirement(count=1, roles=("viewer",), strength=Strength.REACTION)},
        {"requested_by": PersonId("eve")},
        {"target_uid": "another"},
        {"envelope": b""},
    ],
)
def test_a_request_changed_after_it_was_opened_is_found_out(keys: Keyring, change: dict[str, object]) -> None:
    request = world.request()
    opened = replace(request, envelope=sign_request(keys.signer, request))
    with pytest.raises(IntegrityError):
        check_request(keys.trusted, replace(opened, **change))  # type: ignore[arg-type]
