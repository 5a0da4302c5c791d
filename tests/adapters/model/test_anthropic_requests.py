"""What is sent to the Messages API, and what is made of what comes back."""

from __future__ import annotations

import json
import logging
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapters.model.answers import extracted, told_schema
from adapters.model.anthropic.client import capabilities, open_anthropic
from config.model import ModelSection
from investigators.analyst.ports import Opening, Stop, Tier, ToolResult, ToolSpec
from tests.adapters.model.test_anthropic_failures import CLOCK, FOREVER, model_at
from tests.contracts.model_contract import ANSWER, OPENING, results
from tests.fakes.spending import FakeSpending
from tests.servers.messages_api import KEY, MessagesApi, Says, call, says, text, thinking

EVERYTHING = {"structured_outputs": True, "cache": True, "effort": True, "thinking": True}
LOOK, TOUCH = (
    ToolSpec(name=name, description="", schema={"type": "object", "properties": {}})
    for name in ("look", "touch")
)


async def test_the_conversation_only_grows_and_its_frame_never_changes() -> None:
    script: list[Any] = [
        Says(content=[thinking("Hm."), text("First the disk."), call("look", {"at": "disk"}, "toolu_1")]),
        Says(content=[thinking("So."), text(ANSWER)]),
        says(ANSWER),
    ]
    async with MessagesApi(script) as api, model_at(api.url, capabilities=EVERYTHING) as model:
        talk = model.open(OPENING, FakeSpending(), FOREVER)
        first = await talk.say("What is wrong?")
        await talk.give(results(first.calls), "Go on.")
        await talk.say("Sure?", may_use_tools=False)
        assert api.refused == []
    frames = [
        {name: value for name, value in body.items() if name not in ("messages", "tool_choice")}
        for body in api.requests
    ]
    assert frames[0] == frames[1] == frames[2]
    one, two, three = (body["messages"] for body in api.requests)
    assert two[: len(one)] == one
    assert three[: len(two)] == two
    assert [body.get("tool_choice") for body in api.requests] == [None, None, {"type": "none"}]


async def test_the_frame_asks_for_what_the_provider_can_do() -> None:
    async with MessagesApi([says(ANSWER)]) as api:
        async with model_at(
            api.url, capabilities=EVERYTHING, deep_effort="xhigh", max_output_tokens=900
        ) as model:
            await model.open(OPENING, FakeSpending(), FOREVER).say("What is wrong?")
    (body,) = api.requests
    assert body["model"] == "claude-opus-5-5"
    assert body["max_tokens"] == 900
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"]["effort"] == "xhigh"
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert body["system"] == [
        {"type": "text", "text": OPENING.system, "cache_control": {"type": "ephemeral"}}
    ]
    assert body["cache_control"] == {"type": "ephemeral"}
    assert not {"temperature", "top_p", "top_k", "stream"} & set(body)
    assert "strict" not in json.dumps(body)


async def test_a_server_of_ones_own_gets_plain_messages_and_needs_no_key() -> None:
    words = f"Here it is:\n```json\n{ANSWER}\n```\nAnything else?"
    async with MessagesApi([says(words)], models=("llama",), key=None) as api:
        async with model_at(api.url, api_key=None, fast="llama", deep="llama") as model:
            spending = FakeSpending()
            reply = await model.open(OPENING, spending, FOREVER).say("What is wrong?")
    (body,) = api.requests
    assert set(body) == {"model", "max_tokens", "system", "tools", "messages"}
    assert body["system"] == OPENING.system + told_schema(OPENING.answer_schema or {})
    assert reply.text == ANSWER
    assert reply.usd is None, "unknown is not nothing"
    assert spending.reserved[0][0] is None
    assert spending.settled == [(None, reply.usage)]
    assert KEY not in json.dumps(api.headers)


def test_at_home_everything_is_on_and_elsewhere_what_is_said() -> None:
    home = capabilities(ModelSection.model_validate({"api_key": KEY}))
    assert home == capabilities(
        ModelSection.model_validate({"base_url": "http://127.0.0.1:1", "capabilities": EVERYTHING})
    )
    away = capabilities(
        ModelSection.model_validate({"base_url": "http://127.0.0.1:1", "capabilities": {"cache": True}})
    )
    assert (away.cache, away.structured_outputs, away.effort, away.thinking) == (True, False, False, False)


async def test_tools_are_sorted_and_a_schema_that_changes_later_changes_nothing() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    changing = ToolSpec(name="change", description="", schema=schema)
    opening = Opening(tier=Tier.FAST, system="You look.", tools=(TOUCH, changing, LOOK))
    async with MessagesApi([says("ok"), says("ok")]) as api, model_at(api.url) as model:
        talk = model.open(opening, FakeSpending(), FOREVER)
        await talk.say("One.")
        schema["properties"] = {"more": {"type": "string"}}
        await talk.say("Two.")
    first, second = (body["tools"] for body in api.requests)
    assert [tool["name"] for tool in first] == ["change", "look", "touch"]
    assert first == second


async def test_every_block_of_an_answer_goes_back_as_it_came() -> None:
    blocks = [
        thinking("Hm."),
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "novelty", "nested": {"a": [1, None, {"b": "ü"}]}},
        {"type": "text", "text": "First ", "citations": None},
        call("look", {"at": "disk", "n": 1.50, "deep": {"x": None}}, "toolu_1"),
        text("then that."),
    ]
    async with MessagesApi([Says(content=blocks), says("ok")]) as api, model_at(api.url) as model:
        talk = model.open(OPENING, FakeSpending(), FOREVER)
        reply = await talk.say("What is wrong?")
        await talk.give([ToolResult(call_id="toolu_1", text="{}", failed=True)])
    sent = api.requests[1]["messages"]
    assert [{**block, "signature": None} for block in sent[1]["content"]] == [
        {**block, "signature": None} for block in blocks
    ]
    assert sent[1]["content"][0]["signature"].startswith("sig_")
    assert sent[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "{}", "is_error": True}
    ]
    assert reply.text == "First then that."
    assert (reply.stop, len(reply.calls)) == (Stop.TOOLS, 1)


async def test_calls_that_were_not_allowed_are_answered_for_the_api_only() -> None:
    hijacked = Says(content=[text("I insist."), call("rm", {"path": "/"}, "toolu_x")])
    async with MessagesApi([hijacked, says(ANSWER)]) as api, model_at(api.url) as model:
        talk = model.open(OPENING, FakeSpending(), FOREVER)
        assert (await talk.say("Answer.", may_use_tools=False)).calls == ()
        assert (await talk.say("In JSON.", may_use_tools=False)).text == ANSWER
        assert api.refused == []
    last = api.requests[1]["messages"][-1]["content"]
    assert [block["type"] for block in last] == ["tool_result", "text"]


async def test_later_turns_read_the_beginning_from_the_cache_and_cost_less() -> None:
    long = Opening(tier=Tier.FAST, system="You look. " * 400)
    async with MessagesApi([says("ok")] * 2) as api, model_at(api.url, capabilities=EVERYTHING) as model:
        first = await model.open(long, FakeSpending(), FOREVER).say("One incident.")
        second = await model.open(long, FakeSpending(), FOREVER).say("Another one.")
    assert first.usage.cache_write > 500
    assert second.usage.cache_read > 500
    assert first.usd is not None
    assert second.usd is not None
    assert second.usd < first.usd


async def test_the_environment_neither_redirects_nor_unlocks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with MessagesApi() as elsewhere, MessagesApi([says("ok")], key=None) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", elsewhere.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-of-the-environment")
        monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
        async with model_at(api.url, api_key=None) as model:
            await model.open(OPENING, FakeSpending(), FOREVER).say("What is wrong?")
        assert elsewhere.requests == []
        assert "canary-of-the-environment" not in json.dumps(api.headers)
        home = ModelSection.model_validate({"api_key": KEY})
        async with open_anthropic(home, CLOCK) as model:
            assert str(model._client.base_url) == "https://api.anthropic.com"


async def test_not_even_at_debug_are_requests_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with MessagesApi([says("ok")]) as api, model_at(api.url) as model:
        await model.open(OPENING, FakeSpending(), FOREVER).say("A line of a log.")
    written = "".join(record.getMessage() for record in caplog.records)
    for secret in (KEY, "A line of a log", OPENING.system):
        assert secret not in written


async def test_an_empty_answer_is_no_message_that_goes_back() -> None:
    async with MessagesApi([Says(content=[]), says("ok")]) as api, model_at(api.url) as model:
        talk = model.open(OPENING, FakeSpending(), FOREVER)
        assert (await talk.say("?")).text == ""
        assert (await talk.say("Well?")).text == "ok"
        assert api.refused == []


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('Sure: {"a": {"b": "}"}} and so on', '{"a": {"b": "}"}}'),
        ("```json\n{\n}\n```", "{\n}"),
        ('{not json} {"a": 1}', '{"a": 1}'),
        ("no object", "no object"),
        ("{" * 5_000, "{" * 5_000),
        ('{"a": ' * 5_000, '{"a": ' * 5_000),
        ('{"a": 1, "b" {"c": 2}', '{"c": 2}'),
        ('{"a": ' + "9" * 5_000 + "}", '{"a": ' + "9" * 5_000 + "}"),
    ],
)
def test_an_answer_is_found_among_words(said: str, taken: str) -> None:
    assert extracted(said) == taken


@pytest.mark.parametrize(
    "said",
    [
        '{"x":' * 63 + '{"a":1,' + '"b":[1,2,3],' * 200_000,
        "{" * 2_000_000,
        '{"' * 1_000_000,
        '{"\\"' * 500_000,
    ],
)
def test_looking_for_an_answer_takes_no_longer_than_what_was_said_is_long(said: str) -> None:
    before = time.process_time()
    assert extracted(said) == said
    assert time.process_time() - before < 2


async def test_what_is_reserved_covers_any_text() -> None:
    """More is reserved than the longest answer in the language with the most tokens a character takes."""
    spending = FakeSpending()
    async with MessagesApi([says("ok")]) as api, model_at(api.url, max_output_tokens=500) as model:
        await model.open(Opening(tier=Tier.FAST, system="s"), spending, timedelta(seconds=60)).say(
            "漢" * 3_000
        )
    ((usd, tokens),) = spending.reserved
    assert tokens >= 3_000 + 500
    assert usd is not None
    assert usd >= (3_000 * Decimal("0.1") + 500 * Decimal("0.5")) / 1_000_000
