"""Whatever a model says, it comes out as a reply within the port or as a failure of it, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.model.answers import parsed
from adapters.model.anthropic.translation import heard
from adapters.model.turns import Failed
from investigators.analyst.ports import ModelFailure, Stop, ToolResult
from tests.adapters.model.test_anthropic_failures import FOREVER, model_at
from tests.contracts.model_contract import OPENING
from tests.fakes.spending import FakeSpending
from tests.servers.messages_api import MessagesApi, Says

TEXTS = st.text(st.characters(codec=None), max_size=30) | st.sampled_from(
    ["look", "\ud800", "\u202e@room", "</system>", '{"calls": []}', "rm -rf /", ""]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS})
    | st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": TEXTS, "name": TEXTS, "input": st.dictionaries(TEXTS, ANYTHING)}
    )
    | st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXTS, "signature": TEXTS})
    | st.fixed_dictionaries({"type": TEXTS, "text": ANYTHING, "id": ANYTHING, "input": ANYTHING}),
    max_size=4,
)
STOPS = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", "novel"]) | ANYTHING
MESSAGES = st.fixed_dictionaries(
    {"type": st.just("message"), "content": BLOCKS, "stop_reason": STOPS, "usage": ANYTHING}
)


@given(MESSAGES | ANYTHING)
def test_an_answer_is_understood_or_malformed(message: Any) -> None:
    try:
        found = heard(json.dumps(message).encode())
    except Failed:
        return
    assert all(isinstance(call.arguments, dict) and call.id for call in found.calls)
    assert len({call.id for call in found.calls}) == len(found.calls)
    json.dumps(found.blocks, ensure_ascii=False, allow_nan=False).encode()
    assert isinstance(found.stop, Stop)
    assert found.usage.total >= 0


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_malformed(body: bytes) -> None:
    with pytest.raises(Failed):
        heard(body)


@pytest.mark.parametrize("text", ['{"a": NaN}', '["\\ud800"]', "[" * 100_000, "Infinity", ""])
def test_what_cannot_be_sent_back_is_not_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(text)


@pytest.mark.parametrize("may_use_tools", [True, False])
async def test_hijacked_turns_in_a_row_end_in_replies_or_failures(may_use_tools: bool) -> None:
    """Over HTTP and through the SDK: no request that the API would refuse for the ids of its calls."""
    found: list[list[Any]] = []

    @given(BLOCKS)
    def collect(blocks: list[Any]) -> None:
        found.append(json.loads(json.dumps(blocks)))

    await asyncio.to_thread(collect)
    answered = 0
    async with MessagesApi() as api, model_at(api.url) as model:
        for blocks in found:
            api.script = [Says(content=blocks)] * 2
            talk = model.open(OPENING, FakeSpending(), FOREVER)
            try:
                reply = await talk.say("\ud800 What is wrong?", may_use_tools=may_use_tools)
                assert may_use_tools or not reply.calls
                results = [ToolResult(call_id=call.id, text="\udfff{}") for call in reply.calls]
                await talk.give(results, "Go on.", may_use_tools=False)
                answered += 1
            except ModelFailure:
                continue
        about_ids = [said for said in api.refused if "tool_use" in said or "tool_result" in said]
    assert about_ids == []
    assert answered > 10
