"""The incident's state machine."""

from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.alert import Severity
from bot.domain.errors import InvalidTransition
from bot.domain.ids import (
    SHORT_ID_ALPHABET,
    SHORT_ID_LENGTH,
    IncidentId,
    ShortId,
    new_short_id,
)
from bot.domain.incident import IN_FLIGHT, LIVE, TRANSITIONS, Incident, IncidentState, Route

START = datetime(2026, 11, 21, tzinfo=UTC)
STATES = st.sampled_from(list(IncidentState))


def incident(state: IncidentState = IncidentState.OPEN) -> Incident:
    return Incident(
        id=IncidentId("inc_1"),
        short_id=ShortId("K7QX"),
        state=state,
        severity=Severity.WARNING,
        title="t",
        service=None,
        environment=None,
        source="s",
        group_key="g",
        route=Route(name="default"),
        opened_at=START,
        updated_at=START,
    )


@given(st.lists(STATES, max_size=30))
def test_an_incident_only_ever_takes_steps_the_table_knows(wanted: list[IncidentState]) -> None:
    current = incident()
    for number, state in enumerate(wanted):
        at = START + timedelta(seconds=number)
        if state in TRANSITIONS[current.state]:
            current = current.moved(state, at)
            assert (current.state, current.updated_at) == (state, at)
        else:
            with pytest.raises(InvalidTransition, match="K7QX"):
                current.moved(state, at)
        assert (current.resolved_at is not None) or current.state is not IncidentState.RESOLVED


@given(st.lists(STATES, max_size=30))
def test_nothing_is_verified_that_was_not_executed_and_nothing_executed_that_did_not_wait(
    wanted: list[IncidentState],
) -> None:
    current, passed = incident(), [IncidentState.OPEN]
    for state in wanted:
        if state in TRANSITIONS[current.state]:
            current = current.moved(state, START)
            passed.append(state)
    for before, after in pairwise(passed):
        if after is IncidentState.EXECUTING:
            assert before is IncidentState.AWAITING_APPROVAL
        if after is IncidentState.VERIFYING:
            assert before is IncidentState.EXECUTING


def test_every_state_can_be_reached_and_every_one_but_closed_can_be_left() -> None:
    seen, waiting = {IncidentState.OPEN}, deque([IncidentState.OPEN])
    while waiting:
        for state in TRANSITIONS[waiting.popleft()] - seen:
            seen.add(state)
            waiting.append(state)
    assert seen == set(IncidentState)
    assert [state for state in IncidentState if not TRANSITIONS[state]] == [IncidentState.CLOSED]


def test_work_in_flight_is_never_ended_by_a_resolve() -> None:
    for state in IN_FLIGHT:
        assert state in LIVE
        assert IncidentState.CLOSED not in TRANSITIONS[state]


def test_reopening_forgets_when_it_was_resolved() -> None:
    resolved = incident().moved(IncidentState.RESOLVED, START)
    assert resolved.resolved_at == START
    assert resolved.moved(IncidentState.OPEN, START).resolved_at is None


@given(st.integers(min_value=4, max_value=8))
def test_a_short_id_has_no_letters_that_sound_or_look_alike(length: int) -> None:
    short_id = new_short_id(length=length)
    assert len(short_id) == length >= SHORT_ID_LENGTH
    assert set(short_id) <= set(SHORT_ID_ALPHABET)
    assert not set("01OI") & set(SHORT_ID_ALPHABET)
