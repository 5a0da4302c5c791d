"""The local Messages API keeps to the rules of the real one: asked over raw HTTP, without the SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.servers.messages_api import (
    FAULTS,
    KEY,
    VERSION,
    Fault,
    MessagesApi,
    Says,
    call,
    says,
    text,
    thinking,
)

HEADERS = {"x-api-key": KEY, "anthropic-version": VERSION}
TOOL = {"name": "look", "description": "", "input_schema": {"type": "object", "properties": {}}}


def request(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "claude-opus-5-5",
        "max_tokens": 100,
        "system": "You look.",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": "What is wrong?"}],
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(name: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name, "content": "nothing"}


@pytest.fixture
async def api() -> AsyncIterator[MessagesApi]:
    async with MessagesApi(lambda body, number: says("Nothing.")) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def asked(
    api: MessagesApi, http: aiohttp.ClientSession, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    address = f"{api.url}/v1/messages"
    async with http.post(address, json=body, headers=HEADERS if headers is None else headers) as answer:
        return answer.status, json.loads(await answer.text())


async def test_a_sound_request_gets_a_message(api: MessagesApi, http: aiohttp.ClientSession) -> None:
    status, message = await asked(api, http, request())
    assert status == 200
    assert (message["type"], message["role"], message["stop_reason"]) == ("message", "assistant", "end_turn")
    assert message["content"] == [text("Nothing.")]
    assert message["usage"]["input_tokens"] > 0
    assert api.refused == []


FIRST = {"role": "user", "content": "What is wrong?"}
CALLED = assistant(call("look", {}, "toolu_1"))
FIVE = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}} for _ in range(5)]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
FORMAT = {"type": "json_schema", "schema": SCHEMA}
BIG = {f"key_{n}": {"type": "string", "description": "x" * 50} for n in range(400)}
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "temperature": (request(temperature=0), 400, "temperature: Extra inputs"),
    "top_p": (request(top_p=1), 400, "top_p: Extra inputs"),
    "unknown field": (request(betas=[]), 400, "betas: Extra inputs"),
    "no model": (request(model=None), 400, "model: Field required"),
    "unknown model": (request(model="claude-nobody"), 404, "claude-nobody"),
    "no output": (request(max_tokens=0), 400, "max_tokens"),
    "too much output": (request(max_tokens=200_000), 400, "maximum allowed"),
    "forced tool": (request(tool_choice={"type": "any"}), 400, "forced tool use"),
    "choice without tools": (request(tools=None, tool_choice={"type": "none"}), 400, "only be specified"),
    "tool name": (request(tools=[{**TOOL, "name": "a.b"}]), 400, "should match pattern"),
    "tool twice": (request(tools=[TOOL, TOOL]), 400, "must be unique"),
    "tool without schema": (request(tools=[{"name": "a"}]), 400, "input_schema"),
    "no messages": (request(messages=[]), 400, "at least one"),
    "assistant first": (request(messages=[assistant(text("Hm."))]), 400, "first message"),
    "prefill": (request(messages=[FIRST, assistant(text("{"))]), 400, "prefill"),
    "empty text": (request(messages=[user(text(" "))]), 400, "non-empty"),
    "empty message": (request(messages=[user()]), 400, "non-empty content"),
    "result of nothing": (request(messages=[user(result("toolu_9"))]), 400, "unexpected `tool_use_id`"),
    "call without result": (
        request(messages=[FIRST, CALLED, user(text("Go on."))]),
        400,
        "without `tool_result` blocks immediately after: toolu_1",
    ),
    "result twice": (
        request(messages=[FIRST, CALLED, user(result("toolu_1"), result("toolu_1"))]),
        400,
        "single result",
    ),
    "result after text": (
        request(messages=[FIRST, CALLED, user(text("So:"), result("toolu_1"))]),
        400,
        "must come first",
    ),
    "calls without tools": (
        request(tools=None, messages=[FIRST, CALLED, user(result("toolu_1"))]),
        400,
        "must define tools",
    ),
    "five breakpoints": (request(system=FIVE), 400, "maximum of 4 blocks with cache_control"),
    "thinking budget": (
        request(thinking={"type": "enabled", "budget_tokens": 2000}),
        400,
        "manual thinking",
    ),
    "effort": (request(output_config={"effort": "huge"}), 400, "effort"),
    "format": (request(output_config={"format": {"type": "json"}}), 400, "json_schema"),
    "open schema": (
        request(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}),
        400,
        "additionalProperties",
    ),
    "large grammar": (
        request(output_config={"format": {**FORMAT, "schema": {**SCHEMA, "properties": BIG}}}),
        400,
        "compiled grammar is too large",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_the_real_one_refuses_is_refused(
    api: MessagesApi, http: aiohttp.ClientSession, name: str
) -> None:
    body, status, words = BAD[name]
    got, answer = await asked(api, http, body)
    assert got == status
    assert words in answer["error"]["message"]
    assert len(api.refused) == 1


async def test_a_schema_effort_and_thinking_are_taken(api: MessagesApi, http: aiohttp.ClientSession) -> None:
    body = request(output_config={"format": FORMAT, "effort": "high"}, thinking={"type": "adaptive"})
    assert (await asked(api, http, body))[0] == 200


@pytest.mark.parametrize("headers", [{}, {**HEADERS, "x-api-key": "another"}])
async def test_without_the_key_nobody_is_answered(
    api: MessagesApi, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    status, answer = await asked(api, http, request(), headers)
    assert (status, answer["error"]["type"]) == (401, "authentication_error")


async def test_the_version_must_be_named(api: MessagesApi, http: aiohttp.ClientSession) -> None:
    status, answer = await asked(api, http, request(), {"x-api-key": KEY})
    assert status == 400
    assert "anthropic-version" in answer["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"system": "You look elsewhere."},
        {"tools": [TOOL, {**TOOL, "name": "touch"}]},
        {"model": "claude-sonnet-5-5"},
        {"messages": [{"role": "user", "content": "What is right?"}]},
    ],
    ids=["system", "tools", "model", "message"],
)
async def test_a_thinking_block_is_bound_to_all_that_came_before(
    api: MessagesApi, http: aiohttp.ClientSession, change: dict[str, Any]
) -> None:
    api.script = [Says(content=[thinking("Hm."), call("look", {}, "toolu_1")]), says("So."), says("So.")]
    _, first = await asked(api, http, request())
    more = [{"role": "assistant", "content": first["content"]}, user(result("toolu_1"))]
    assert (await asked(api, http, request(messages=[FIRST, *more])))[0] == 200
    changed = {**request(messages=[FIRST, *more]), **change}
    if "messages" in change:
        changed["messages"] = [*change["messages"], *more]
    status, answer = await asked(api, http, changed)
    assert status == 400
    assert "bound to a different conversation" in answer["error"]["message"]


async def test_a_prefix_that_came_before_is_read_from_the_cache(
    api: MessagesApi, http: aiohttp.ClientSession
) -> None:
    marked = {"cache_control": {"type": "ephemeral"}}
    _, first = await asked(api, http, request(**marked))
    _, again = await asked(api, http, request(**marked))
    longer = [FIRST, assistant(text("Nothing.")), user(text("Sure?"))]
    _, more = await asked(api, http, request(messages=longer, **marked))
    _, never = await asked(api, http, request())
    assert first["usage"]["cache_read_input_tokens"] == 0
    assert first["usage"]["cache_creation_input_tokens"] > 0
    assert again["usage"]["cache_read_input_tokens"] == first["usage"]["cache_creation_input_tokens"]
    assert again["usage"]["cache_creation_input_tokens"] == 0
    assert more["usage"]["cache_read_input_tokens"] == again["usage"]["cache_read_input_tokens"]
    assert more["usage"]["cache_creation_input_tokens"] > 0
    assert never["usage"]["cache_read_input_tokens"] == never["usage"]["cache_creation_input_tokens"] == 0


@pytest.mark.parametrize("name", [name for name, one in FAULTS.items() if isinstance(one, Fault)])
async def test_faults_come_as_they_would(api: MessagesApi, http: aiohttp.ClientSession, name: str) -> None:
    fault = FAULTS[name]
    assert isinstance(fault, Fault)
    api.script = [fault]
    posting = http.post(f"{api.url}/v1/messages", json=request(), headers=HEADERS)
    match fault.kind:
        case "status":
            async with posting as answer:
                said = await answer.json()
            assert answer.status == fault.status
            assert answer.headers.get("retry-after") == fault.headers.get("retry-after")
            assert said["error"].get("details", {}).get("error_code", "") == fault.code
        case "drop" | "drop_in_body":
            with pytest.raises(aiohttp.ClientError):
                async with posting as answer:
                    await answer.read()
        case "hang":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), posting:
                    pass
        case _:
            async with posting as answer:
                said_text = await answer.text()
            assert answer.status == 200
            with pytest.raises(ValueError, match=r"Expecting value|Unterminated"):
                json.loads(said_text)


async def test_a_hijacked_model_says_whatever_it_is_told(
    api: MessagesApi, http: aiohttp.ClientSession
) -> None:
    wild = [call("rm", "-rf /", ""), {"type": "nonsense"}, text("@room"), call("rm", None, "")]
    api.script = [Says(content=wild, stop="no such reason")]
    _, message = await asked(api, http, request(tool_choice={"type": "none"}))
    assert message["content"] == wild
    assert message["stop_reason"] == "no such reason"


async def test_a_model_is_told_of_without_cost(api: MessagesApi, http: aiohttp.ClientSession) -> None:
    for name, status in (("claude-opus-5-5", 200), ("claude-nobody", 404)):
        async with http.get(f"{api.url}/v1/models/{name}", headers=HEADERS) as answer:
            assert answer.status == status
    assert api.requests == []
