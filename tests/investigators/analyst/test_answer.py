"""A model's answer is read as strictly as anybody's input."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from investigators.analyst.answer import Malformed, Status, answer_schema, json_object, parse_answer
from tests.investigators.analyst.world import answer, restart

GOOD = answer([("ev_1", "a quote of some length")], actions=[restart()]).text


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(GOOD), **fields})


def test_the_schema_accepts_what_we_accept_and_holds_no_bounds() -> None:
    jsonschema.validate(json.loads(GOOD), dict(answer_schema()))
    jsonschema.Draft202012Validator.check_schema(dict(answer_schema()))
    assert len(json.dumps(answer_schema())) < 4_000
    for word in ("maxLength", "maxItems", "pattern", "minimum"):
        assert word not in json.dumps(answer_schema())


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here it is:\n{GOOD}\nThat is all.",
        f"```\n{GOOD}\n```\nDone {{not json}}",
    ],
)
def test_an_answer_is_found_fenced_or_between_words(text: str) -> None:
    found = parse_answer(text)
    assert found.status is Status.DIAGNOSED
    assert found.cause is not None
    assert found.cause.object == "demo"
    assert found.claims[0].quote == "a quote of some length"
    assert found.actions[0].params == {"process": "demo"}


@pytest.mark.parametrize(
    "text",
    [
        "", "no json", "[]", "null", "{", '{"status": "sure"}', changed(status=7), changed(root_cause=None),
        changed(root_cause="cart"), changed(evidence="x"), changed(actions={"a": 1}),
        changed(root_cause={"object": "a b", "fault": "x_y"}),
        changed(root_cause={"object": "a", "fault": "<b>"}),
        changed(root_cause={"object": "", "fault": "memory"}), "[" * 5_000, "{" * 300_000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_to_be_so(text: str) -> None:
    with pytest.raises(Malformed):
        parse_answer(text)


def test_lengths_and_counts_are_ours() -> None:
    claim = {"evidence_id": "e" * 999, "quote": "q" * 2_000, "finding": "f" * 999}
    many = {"missing_info": ["m" * 999] * 30, "actions": [restart()] * 99}
    found = parse_answer(changed(summary="s" * 9_999, evidence=[claim] * 30, **many))
    assert len(found.summary) <= 1_500
    assert len(found.claims) == 12
    assert max(len(found.claims[0].evidence_id), len(found.claims[0].finding)) <= 300
    assert len(found.claims[0].quote) <= 800
    assert len(found.missing) == 12
    assert len(found.actions) == 5


def test_secrets_and_hidden_letters_do_not_come_out_of_an_answer() -> None:
    found = parse_answer(changed(summary="see \u202epassword=hunter2canary\U000e0041"))
    assert "hunter2canary" not in found.summary
    assert found.summary.isascii()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(sorted(json.loads(GOOD)))


@given(st.dictionaries(_KEYS, _JSON))
def test_any_json_is_an_answer_or_malformed(fields: dict[str, Any]) -> None:
    try:
        found = parse_answer(changed(**fields))
    except Malformed:
        return
    assert (found.status is Status.DIAGNOSED) == (found.cause is not None)


@given(st.text(max_size=400))
def test_any_text_is_an_object_or_malformed(text: str) -> None:
    try:
        assert isinstance(json_object(text), dict)
    except Malformed:
        return


@pytest.mark.parametrize(
    "text", ["```" + "\n" * 199_000, "```\n" * 49_000, "```json\n{" * 18_000, "{```" * 49_000, "\n" * 199_000]
)
def test_reading_takes_no_longer_than_the_answer_is_long(text: str) -> None:
    """It is read where everything else waits."""
    before = time.process_time()
    with pytest.raises(Malformed):
        json_object(text)
    assert time.process_time() - before < 2


def test_an_answer_is_found_whatever_it_quotes() -> None:
    found = parse_answer("So:\n" + changed(summary="it logs ```\n{ and ``` all day"))
    assert found.summary == "it logs ```\n{ and ``` all day"
