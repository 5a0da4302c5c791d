from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.canonical import action_bytes, canonicalize, digest, parse_action_bytes
from bot.domain.errors import InputError, IntegrityError
from bot.domain.ids import IncidentId
from bot.domain.proposal import Action, Target

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PARAMS = st.dictionaries(TEXT, TEXT | st.integers(-(2**53) + 1, 2**53 - 1), max_size=5)
ACTIONS = st.builds(Action, name=TEXT, executor=TEXT, params=PARAMS)
TARGETS = st.builds(Target, kind=TEXT, name=TEXT, uid=TEXT)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(TEXT, ACTIONS, TARGETS)
def test_what_is_written_is_what_is_read(incident_id: str, action: Action, target: Target) -> None:
    bound = parse_action_bytes(action_bytes(IncidentId(incident_id), action, target))
    assert (bound.incident_id, bound.action) == (incident_id, action)
    assert (bound.target_kind, bound.target_name, bound.target_uid) == (target.kind, target.name, target.uid)


@given(st.dictionaries(TEXT, JSON, max_size=6), st.randoms())
def test_the_order_of_names_makes_no_difference(value: dict[str, object], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert canonicalize(dict(items)) == canonicalize(value)


@given(JSON)
def test_canonical_bytes_are_the_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonicalize(value)) == value


@given(TEXT, ACTIONS, TARGETS, st.data())
def test_one_changed_byte_never_reads_as_the_same_action(
    incident_id: str, action: Action, target: Target, data: st.DataObject
) -> None:
    original = action_bytes(IncidentId(incident_id), action, target)
    index = data.draw(st.integers(0, len(original) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != original[index]))
    changed = original[:index] + bytes([byte]) + original[index + 1 :]
    assert digest(changed) != digest(original)
    try:
        read = parse_action_bytes(changed)
    except IntegrityError:
        return
    assert read != parse_action_bytes(original)


def test_the_rfc_8785_example_comes_out_as_in_the_rfc() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
        "literals": [None, True, False],
    }
    assert canonicalize(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize("value", [float("nan"), {"a": object()}, "\ud800", 2**53, {1: "a"}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="canonical JSON"):
        canonicalize(value)


GOOD = {
    "action": {"executor": "process", "name": "process.restart", "params": {"process": "web"}},
    "incident": "inc_1",
    "schema": "assent/action/v1",
    "target": {"kind": "process", "name": "web", "uid": "1"},
}


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b'{"a":1,"a":1}', "occurs twice"),
        (b'{"a":NaN}', "NaN"),
        (b"[" * 100_000, "not valid JSON"),
        (json.dumps(GOOD, indent=1).encode(), "not canonical"),
        (canonicalize([]), "must be an object"),
        (canonicalize({**GOOD, "more": 1}), "more"),
        (canonicalize({**GOOD, "schema": "assent/action/v2"}), "schema"),
        (canonicalize({**GOOD, "incident": 5}), "action.incident"),
        (canonicalize({**GOOD, "target": {"kind": "process", "name": "web"}}), "uid"),
        (canonicalize({**GOOD, "target": {"kind": "process", "name": "web", "uid": None}}), "target.uid"),
        (canonicalize({**GOOD, "action": {**GOOD["action"], "params": {"x": True}}}), "params.x"),  # type: ignore[dict-item]
        (canonicalize({**GOOD, "action": {**GOOD["action"], "params": {"x": [1]}}}), "params.x"),  # type: ignore[dict-item]
    ],
)
def test_bytes_that_are_not_exactly_one_action_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(IntegrityError, match=complaint):
        parse_action_bytes(data)
