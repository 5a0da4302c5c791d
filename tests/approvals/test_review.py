from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.model import (
    ApprovalRequest,
    Identity,
    Means,
    Person,
    RequestState,
    Review,
    ReviewVerdict,
    Strength,
)
from approvals.review import Effect, EffectKind, apply_review, counted, expire, may_review, withdraw_review
from bot.domain.ids import PersonId
from tests.approvals import world
from tests.approvals.world import ANA, BEN, CLEO, START, VIEWER

NOW = START + timedelta(minutes=1)


def apply(
    request: ApprovalRequest,
    review: Review,
    *,
    earlier: Sequence[Review] = (),
    reviewer: Person | None = ANA,
    is_bot: bool = False,
    recent: int = 0,
    opened: bool = False,
    after: timedelta = timedelta(minutes=1),
) -> tuple[ApprovalRequest, Effect]:
    return apply_review(
        request,
        review,
        earlier=earlier,
        reviewer=reviewer,
        is_bot=is_bot,
        recent_approvals=recent,
        hourly_limit=5,
        action_class="process",
        opened=opened,
        now=START + after,
        short_id="K7QX",
    )


def no(by: Person = ANA, **changes: object) -> Review:
    return world.review(by, verdict=ReviewVerdict.REJECT, **changes)


def test_one_authorised_approval_is_enough_where_one_is_needed() -> None:
    request, effect = apply(world.request(), world.review())
    assert (request.state, request.ended_at) == (RequestState.APPROVED, NOW)
    assert effect == Effect(kind=EffectKind.APPROVED, approvals=1)


def test_two_are_needed_where_two_are_needed() -> None:
    request = world.request(requirement=world.requirement(2))
    first = world.review(ANA)
    request, effect = apply(request, first)
    assert (request.state, effect.kind, effect.approvals) == (RequestState.PENDING, EffectKind.RECORDED, 1)
    request, effect = apply(request, world.review(BEN), earlier=[first], reviewer=BEN)
    assert (request.state, effect.kind, effect.approvals) == (RequestState.APPROVED, EffectKind.APPROVED, 2)


def test_one_person_on_two_platforms_is_one_person() -> None:
    request = world.request(requirement=world.requirement(2))
    first = world.review(ANA)
    second = world.review(ANA, identity=Identity(platform="console", user_id="ana"))
    after, effect = apply(request, second, earlier=[first])
    assert (after.state, effect.kind, effect.approvals) == (RequestState.PENDING, EffectKind.DUPLICATE, 1)


def test_the_first_decision_of_a_person_stands() -> None:
    request = world.request(requirement=world.requirement(2))
    after, effect = apply(request, no(ANA), earlier=[world.review(ANA)])
    assert (after, effect.kind) == (request, EffectKind.DUPLICATE)
    assert "Take it back" in str(effect.hint)


def test_after_a_withdrawal_the_person_may_decide_again() -> None:
    request = world.request()
    withdrawn = world.review(ANA, withdrawn_at=NOW)
    after, effect = apply(request, no(ANA), earlier=[withdrawn])
    assert (after.state, effect.kind) == (RequestState.REJECTED, EffectKind.REJECTED)


def test_the_same_platform_event_counts_once() -> None:
    request = world.request(requirement=world.requirement(2))
    first = world.review(ANA)
    replayed = world.review(BEN, platform_event_id=first.platform_event_id)
    after, effect = apply(request, replayed, earlier=[first], reviewer=BEN)
    assert (after, effect.kind, effect.reason) == (request, EffectKind.DUPLICATE, "same_event")


def test_a_rejection_wins_over_earlier_approvals() -> None:
    request = world.request(requirement=world.requirement(3))
    earlier = [world.review(ANA), world.review(CLEO)]
    after, effect = apply(request, no(BEN), earlier=earlier, reviewer=BEN)
    assert (after.state, after.ended_reason) == (RequestState.REJECTED, "rejected by ben")
    assert effect.kind is EffectKind.REJECTED


def test_a_rejection_wins_over_an_approval_that_the_gate_has_not_used() -> None:
    first = world.review(ANA)
    request, _ = apply(world.request(), first)
    after, effect = apply(request, no(BEN), earlier=[first], reviewer=BEN)
    assert (after.state, effect.kind) == (RequestState.REJECTED, EffectKind.REJECTED)


def test_a_rejection_after_the_gate_opened_is_late_and_changes_nothing() -> None:
    first = world.review(ANA)
    request, _ = apply(world.request(), first)
    after, effect = apply(request, no(BEN), earlier=[first], reviewer=BEN, opened=True)
    assert (after, effect.kind, effect.reason) == (request, EffectKind.LATE, "opened")


def test_a_weak_gesture_can_reject_what_only_a_strong_one_can_approve() -> None:
    request = world.request(requirement=world.requirement(1, Strength.SECOND_FACTOR))
    after, _ = apply(request, no(ANA))
    assert after.state is RequestState.REJECTED


@pytest.mark.parametrize(
    ("needed", "means"),
    [
        (Strength.COMMAND, Means.REACTION),
        (Strength.DEVICE_VERIFIED, Means.COMMAND),
        (Strength.SECOND_FACTOR, Means.DEVICE_VERIFIED_COMMAND),
    ],
)
def test_a_gesture_that_is_too_weak_is_refused_and_told_how_to_approve(
    needed: Strength, means: Means
) -> None:
    request = world.request(requirement=world.requirement(1, needed))
    after, effect = apply(request, world.review(means=means))
    assert (after, effect.kind, effect.reason) == (request, EffectKind.REFUSED, "strength_too_low")
    assert "`!assent approve K7QX`" in str(effect.hint)


@pytest.mark.parametrize("means", [Means.BUTTON, Means.COMMAND, Means.DEVICE_VERIFIED_COMMAND])
def test_a_gesture_as_strong_as_needed_or_stronger_counts(means: Means) -> None:
    request = world.request(requirement=world.requirement(1, Strength.COMMAND))
    assert apply(request, world.review(means=means))[0].state is RequestState.APPROVED


@pytest.mark.parametrize("verdict", list(ReviewVerdict))
def test_a_bot_a_stranger_and_a_viewer_decide_nothing(verdict: ReviewVerdict) -> None:
    request = world.request()
    for reviewer, is_bot, by, reason in (
        (ANA, True, ANA, "bot"),
        (None, False, ANA, "unknown_identity"),
        (VIEWER, False, VIEWER, "not_authorised"),
    ):
        review = world.review(by, verdict=verdict)
        after, effect = apply(request, review, reviewer=reviewer, is_bot=is_bot)
        assert (after, effect.kind, effect.reason) == (request, EffectKind.REFUSED, reason)


def test_the_requester_cannot_decide_their_own_request() -> None:
    request = world.request(requested_by=ANA.id)
    after, effect = apply(request, world.review(ANA))
    assert (after, effect.kind, effect.reason) == (request, EffectKind.REFUSED, "own_request")


def test_an_approver_of_another_class_cannot_decide() -> None:
    other = world.person("otto", "approver:kubernetes", "admin")
    after, effect = apply(world.request(), world.review(other), reviewer=other)
    assert (after.state, effect.reason) == (RequestState.PENDING, "not_authorised")


def test_a_review_in_somebody_elses_name_is_refused() -> None:
    borrowed = world.review(ANA, identity=Identity(platform="matrix", user_id="@ben:example.org"))
    assert apply(world.request(), borrowed, reviewer=ANA)[1].reason == "wrong_reviewer"
    assert apply(world.request(), world.review(ANA), reviewer=BEN)[1].reason == "wrong_reviewer"


def test_a_review_of_another_request_is_refused() -> None:
    other = world.request(id="req_2")
    assert apply(other, world.review(ANA))[1].reason == "wrong_request"


def test_roles_that_policy_asks_for_are_needed_besides_the_class() -> None:
    needs_admin = world.requirement(roles=["admin"])
    assert not may_review(ANA, needs_admin, "process")
    assert not may_review(world.person("root", "admin"), needs_admin, "process")
    assert may_review(world.person("root", "admin", "approver:process"), needs_admin, "process")


def test_a_requirement_without_roles_is_met_by_nobody() -> None:
    assert not may_review(CLEO, world.requirement(roles=[]), "process")


def test_the_sixth_approval_within_an_hour_is_refused_and_a_rejection_is_not() -> None:
    request = world.request()
    assert apply(request, world.review(), recent=4)[0].state is RequestState.APPROVED
    after, effect = apply(request, world.review(), recent=5)
    assert (after, effect.kind, effect.reason) == (request, EffectKind.REFUSED, "rate_limited")
    assert apply(request, no(), recent=5)[0].state is RequestState.REJECTED


def test_a_review_at_the_expiry_is_late() -> None:
    request = world.request()
    before = apply(request, world.review(), after=timedelta(minutes=30) - timedelta(microseconds=1))
    assert before[0].state is RequestState.APPROVED
    after, effect = apply(request, world.review(), after=timedelta(minutes=30))
    assert (after, effect.kind, effect.reason) == (request, EffectKind.LATE, "expired")


def test_a_clock_that_was_set_back_gives_nobody_more_time() -> None:
    late = world.review(BEN, at=START + timedelta(minutes=31))
    after, effect = apply(world.request(), world.review(ANA), earlier=[late], after=timedelta(minutes=2))
    assert (after.state, effect.kind) == (RequestState.PENDING, EffectKind.LATE)


@pytest.mark.parametrize(
    "state", [s for s in RequestState if s not in (RequestState.PENDING, RequestState.APPROVED)]
)
@pytest.mark.parametrize("verdict", list(ReviewVerdict))
def test_a_request_that_has_ended_takes_no_review(state: RequestState, verdict: ReviewVerdict) -> None:
    request = world.request(state=state)
    after, effect = apply(request, world.review(verdict=verdict))
    assert (after, effect.kind, effect.reason) == (request, EffectKind.LATE, state.value)


def test_withdrawing_takes_an_approved_request_back_to_pending() -> None:
    first = world.review(ANA)
    approved, _ = apply(world.request(), first)
    after, effect = withdraw_review(approved, first, remaining=[], opened=False, now=NOW)
    assert after == world.request()
    assert effect == Effect(kind=EffectKind.WITHDRAWN, approvals=0)


def test_withdrawing_after_the_gate_opened_changes_nothing() -> None:
    first = world.review(ANA)
    approved, _ = apply(world.request(), first)
    after, effect = withdraw_review(approved, first, remaining=[], opened=True, now=NOW)
    assert (after, effect.kind) == (approved, EffectKind.LATE)


def test_a_rejection_cannot_be_withdrawn() -> None:
    refusal = no(ANA)
    rejected, _ = apply(world.request(), refusal)
    after, effect = withdraw_review(rejected, refusal, remaining=[], opened=False, now=NOW)
    assert (after, effect.kind) == (rejected, EffectKind.LATE)


def test_withdrawing_twice_is_a_duplicate() -> None:
    gone = world.review(ANA, withdrawn_at=NOW)
    after, effect = withdraw_review(world.request(), gone, remaining=[], opened=False, now=NOW)
    assert (after, effect.kind) == (world.request(), EffectKind.DUPLICATE)


def test_withdrawing_one_of_two_leaves_the_other_counted() -> None:
    request = world.request(requirement=world.requirement(3))
    first, second = world.review(ANA), world.review(BEN)
    _, effect = withdraw_review(request, first, remaining=[second], opened=False, now=NOW)
    assert (effect.kind, effect.approvals) == (EffectKind.WITHDRAWN, 1)


def test_only_a_pending_request_expires_and_not_a_moment_early() -> None:
    request = world.request()
    assert expire(request, request.expires_at - timedelta(microseconds=1)) is None
    expired = expire(request, request.expires_at)
    assert expired is not None
    assert (expired.state, expired.ended_at) == (RequestState.EXPIRED, request.expires_at)
    assert expire(replace(request, state=RequestState.APPROVED), request.expires_at) is None


PEOPLE = [world.person(f"p{number}") for number in range(5)]
DECISIONS = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(list(ReviewVerdict)),
        st.sampled_from(list(Means)),
        st.sampled_from(["matrix", "console"]),
    ),
    max_size=8,
)
REQUIREMENTS = st.builds(
    world.requirement, st.integers(1, 4), st.sampled_from([Strength.REACTION, Strength.COMMAND])
)


def play(
    request: ApprovalRequest, decisions: Sequence[tuple[Person, ReviewVerdict, Means, str]]
) -> tuple[ApprovalRequest, list[Review], list[RequestState]]:
    """Give the decisions in turn, storing what a caller stores; return the states passed through."""
    stored: list[Review] = []
    states = [request.state]
    for by, verdict, means, platform in decisions:
        identity = next(found for found in by.identities if found.platform == platform)
        review = world.review(by, verdict=verdict, means=means, identity=identity)
        request, effect = apply(request, review, earlier=stored, reviewer=by)
        if effect.kind in (EffectKind.APPROVED, EffectKind.REJECTED, EffectKind.RECORDED):
            stored.append(review)
        states.append(request.state)
    return request, stored, states


@given(DECISIONS, REQUIREMENTS)
def test_a_quorum_is_always_made_of_distinct_people(
    decisions: list[tuple[Person, ReviewVerdict, Means, str]], needed: object
) -> None:
    request, stored, _ = play(world.request(requirement=needed), decisions)
    if request.state is RequestState.APPROVED:
        strong = {
            review.reviewer
            for review in stored
            if review.verdict is ReviewVerdict.APPROVE and review.strength >= request.requirement.strength
        }
        assert len(strong) >= request.requirement.count
        assert len({by.id for by, verdict, *_ in decisions if verdict is ReviewVerdict.APPROVE}) >= (
            request.requirement.count
        )


@given(DECISIONS, REQUIREMENTS)
def test_a_rejection_is_never_overturned(
    decisions: list[tuple[Person, ReviewVerdict, Means, str]], needed: object
) -> None:
    _, _, states = play(world.request(requirement=needed), decisions)
    if RequestState.REJECTED in states:
        assert set(states[states.index(RequestState.REJECTED) :]) == {RequestState.REJECTED}


@given(DECISIONS, REQUIREMENTS, st.randoms())
def test_the_order_in_which_different_people_decide_makes_no_difference(
    decisions: list[tuple[Person, ReviewVerdict, Means, str]], needed: object, random: object
) -> None:
    once = list({by.id: (by, *rest) for by, *rest in decisions}.values())
    shuffled = list(once)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, *_ = play(world.request(requirement=needed), once)
    second, *_ = play(world.request(requirement=needed), shuffled)
    assert first.state is second.state


@given(DECISIONS, REQUIREMENTS)
def test_approving_and_withdrawing_leaves_the_request_as_it_was(
    decisions: list[tuple[Person, ReviewVerdict, Means, str]], needed: object
) -> None:
    approving = [decision for decision in decisions if decision[1] is ReviewVerdict.APPROVE]
    request, stored, _ = play(world.request(requirement=needed), approving)
    for review in list(stored):
        stored.remove(review)
        request, effect = withdraw_review(request, review, remaining=stored, opened=False, now=NOW)
        assert effect.kind is EffectKind.WITHDRAWN
    assert request == world.request(requirement=needed)


@given(DECISIONS, REQUIREMENTS)
def test_the_tally_of_the_stored_reviews_agrees_with_the_state(
    decisions: list[tuple[Person, ReviewVerdict, Means, str]], needed: object
) -> None:
    request, stored, _ = play(world.request(requirement=needed), decisions)
    tally = counted(stored, request.requirement)
    if request.state is RequestState.REJECTED:
        assert len(tally.rejections) == 1
    else:
        assert not tally.rejections
        assert (tally.count >= request.requirement.count) == (request.state is RequestState.APPROVED)


def test_only_the_first_standing_decision_of_a_person_is_counted() -> None:
    reviews = [world.review(ANA, withdrawn_at=NOW), world.review(ANA), world.review(ANA), no(ANA)]
    tally = counted(reviews, world.requirement(2))
    assert [review.id for review in tally.approvals] == [reviews[1].id]
    assert tally.rejections == ()


def test_reviews_of_the_requester_and_after_the_expiry_are_not_counted() -> None:
    request = world.request()
    reviews = [world.review(ANA), world.review(BEN, at=request.expires_at), world.review(CLEO)]
    tally = counted(reviews, request.requirement, requested_by=PersonId("ana"), expires_at=request.expires_at)
    assert [review.reviewer for review in tally.approvals] == ["cleo"]
