"""What the Messages API refuses, with its status codes and words. Version 2026-10-21."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MODELS = (
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-fable-5-2",
)
MOST_OUTPUT = 128_000
MOST_GRAMMAR = 20_000
"""Characters of a schema beyond which its grammar is too large."""

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_FIELDS = frozenset(
    {
        "cache_control",
        "container",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_OUTPUT_ONLY = frozenset({"document", "tool_result"})


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


def bad(message: str) -> Refused:
    return Refused(400, message)


def blocks_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def without_cache(value: Any) -> Any:
    """Where the breakpoints are is no part of what a prefix is."""
    if isinstance(value, dict):
        return {key: without_cache(item) for key, item in value.items() if key != "cache_control"}
    if isinstance(value, list):
        return [without_cache(item) for item in value]
    return value


def signature(body: Mapping[str, Any], upto: int, within: list[dict[str, Any]]) -> str:
    """What a thinking block is bound to: model, system, tools and everything before it."""
    messages = [{"role": one["role"], "content": blocks_of(one)} for one in body["messages"][:upto]]
    bound = [body["model"], body.get("system"), body.get("tools"), messages, within]
    text = json.dumps(without_cache(bound), sort_keys=True)
    return "sig_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def check(body: Any, models: tuple[str, ...]) -> None:
    """Raises Refused with what the API would say first."""
    if not isinstance(body, dict):
        raise bad("The request body is not valid JSON")
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise bad(f"{name}: Field required")
    for name in body:
        if name not in _FIELDS:
            raise bad(f"{name}: Extra inputs are not permitted")
    if body["model"] not in models:
        raise Refused(404, f"model: {body['model']}")
    _max_tokens(body["max_tokens"])
    _cache(body)
    _tools(body)
    _output(body)
    _thinking(body)
    _messages(body)


def _max_tokens(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise bad("max_tokens: Input should be greater than or equal to 1")
    if value > MOST_OUTPUT:
        raise bad(
            f"max_tokens: {value} > {MOST_OUTPUT}, which is the maximum allowed number of output tokens"
        )


def breakpoints(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if value.get("cache_control"):
            yield value["cache_control"]
        for key, item in value.items():
            # Arguments and schemas are data: a key of that name in them is no breakpoint.
            if key not in ("cache_control", "input", "input_schema"):
                yield from breakpoints(item)
    elif isinstance(value, list):
        for item in value:
            yield from breakpoints(item)


def _cache(body: Mapping[str, Any]) -> None:
    found = list(breakpoints(body))
    if len(found) > 4:
        raise bad(f"A maximum of 4 blocks with cache_control may be provided. Found {len(found)}.")
    if any(not isinstance(one, dict) or one.get("type") != "ephemeral" for one in found):
        raise bad("cache_control: Input tag does not match any of the expected tags: 'ephemeral'")


def _tools(body: Mapping[str, Any]) -> None:
    tools = body.get("tools", [])
    names = [tool.get("name", "") for tool in tools]
    for index, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(names[index]):
            raise bad(f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if not isinstance(tool.get("input_schema"), dict) or tool["input_schema"].get("type") != "object":
            raise bad(f"tools.{index}.custom.input_schema.type: Field required")
    if len(set(names)) != len(names):
        raise bad("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not tools:
        raise bad("tool_choice may only be specified while providing tools.")
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        raise bad("tool_choice: Input tag does not match any of the expected tags")
    if choice["type"] in ("any", "tool") and "5-5" in body["model"]:
        raise bad("tool_choice: forced tool use is not supported for this model")


def _output(body: Mapping[str, Any]) -> None:
    config = body.get("output_config") or {}
    if config.get("effort") not in (None, *_EFFORTS):
        raise bad("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    wanted = config.get("format")
    if wanted is None:
        return
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise bad("output_config.format: Input tag does not match any of the expected tags: 'json_schema'")
    schema = wanted["schema"]
    for part in _objects(schema):
        if part.get("additionalProperties") is not False:
            raise bad(
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly "
                "set to false"
            )
    if len(json.dumps(schema)) > MOST_GRAMMAR:
        raise bad("The compiled grammar is too large, which would cause performance issues. Simplify it.")


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for item in schema.values():
            yield from _objects(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from _objects(item)


def _thinking(body: Mapping[str, Any]) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    if thinking.get("type") not in ("adaptive", "disabled", "between_tools"):
        raise bad("thinking.type: manual thinking is not supported for this model; use adaptive")
    if "budget_tokens" in thinking:
        raise bad("thinking.budget_tokens: Extra inputs are not permitted")


def _messages(body: Mapping[str, Any]) -> None:
    messages = body["messages"]
    if not messages:
        raise bad("messages: at least one message is required")
    if messages[0].get("role") != "user":
        raise bad('messages: first message must use the "user" role')
    if messages[-1].get("role") == "assistant":
        raise bad(
            "This model does not support assistant message prefill. The conversation must end with a user "
            "message."
        )
    used = {block.get("type") for message in messages for block in blocks_of(message)}
    if used & {"tool_use", "tool_result"} and not body.get("tools"):
        raise bad("Requests which include `tool_use` or `tool_result` blocks must define tools")
    pending: list[str] = []
    for index, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            raise bad(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        blocks = blocks_of(message)
        if not blocks:
            raise bad(f"messages.{index}: all messages must have non-empty content")
        for place, block in enumerate(blocks):
            if block.get("type") == "text" and not str(block.get("text", "")).strip():
                raise bad(f"messages.{index}.content.{place}: text content blocks must be non-empty")
        if message["role"] == "user":
            _results(index, blocks, pending)
            pending = []
        else:
            if pending:
                raise _orphans(index, pending)
            _assistant(body, index, blocks)
            pending = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if len(set(pending)) != len(pending):
                raise bad(f"messages.{index}: `tool_use` ids must be unique")


def _results(index: int, blocks: list[dict[str, Any]], pending: list[str]) -> None:
    kinds = [block.get("type") for block in blocks]
    given = [block.get("tool_use_id", "") for block in blocks if block.get("type") == "tool_result"]
    if missing := [name for name in pending if name not in given]:
        raise _orphans(index, missing)
    if strange := [name for name in given if name not in pending]:
        raise bad(
            f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
            f"{', '.join(strange)}. Each must have a corresponding `tool_use` block in the previous message."
        )
    if len(set(given)) != len(given):
        raise bad(f"messages.{index}: each tool_use must have a single result")
    if given and "tool_result" in kinds[len(given) :]:
        raise bad(f"messages.{index}: `tool_result` blocks must come first")
    if "tool_use" in kinds or "thinking" in kinds:
        raise bad(f"messages.{index}: blocks of the assistant are not allowed in user messages")


def _orphans(index: int, names: list[str]) -> Refused:
    return bad(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(names)}"
    )


def _assistant(body: Mapping[str, Any], index: int, blocks: list[dict[str, Any]]) -> None:
    for place, block in enumerate(blocks):
        if block.get("type") in _OUTPUT_ONLY:
            raise bad(f"messages.{index}.content.{place}: {block['type']} blocks are not allowed there")
        if block.get("type") == "thinking" and block.get("signature") != signature(
            body, index, blocks[:place]
        ):
            raise bad(
                f"messages.{index}.content.{place}: Invalid `signature` in `thinking` block. The block is "
                "bound to a different conversation."
            )
