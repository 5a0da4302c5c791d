"""Our turns as messages of the API, and its messages as ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.model.answers import parsed, told_schema, whole
from adapters.model.turns import Told, failed
from config.model import Effort
from investigators.analyst.ports import FailureKind, Opening, Stop, ToolCall, ToolSpec, Usage

Block = dict[str, Any]

NOT_RUN = "Not run: no tools on that turn."


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the provider can do beyond plain messages."""

    structured_outputs: bool
    cache: bool
    effort: bool
    thinking: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What one tier asks with."""

    id: str
    effort: Effort | None
    thinks: bool
    max_tokens: int


def frozen_request(opening: Opening, settings: ModelSettings, can: Capabilities) -> dict[str, Any]:
    """Every field but ``messages`` and ``tool_choice``: the same for all turns, for a thinking block is bound
    to them and a cache is found by them."""
    schema = opening.answer_schema
    system = whole(opening.system)
    config: dict[str, Any] = {}
    if schema is not None and can.structured_outputs:
        from anthropic import transform_schema

        config["format"] = {"type": "json_schema", "schema": transform_schema(_plain(schema))}
    elif schema is not None:
        system += told_schema(schema)
    if settings.effort is not None and can.effort:
        config["effort"] = settings.effort
    request: dict[str, Any] = {"model": settings.id, "max_tokens": settings.max_tokens}
    if can.cache:
        # One breakpoint behind what all incidents share, and one that moves with the conversation.
        request["system"] = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        request["cache_control"] = {"type": "ephemeral"}
    else:
        request["system"] = system
    if opening.tools:
        request["tools"] = [_tool(tool) for tool in sorted(opening.tools, key=lambda tool: tool.name)]
    if config:
        request["output_config"] = config
    if settings.thinks and can.thinking:
        request["thinking"] = {"type": "adaptive"}
    return request


def _tool(tool: ToolSpec) -> Block:
    # Never ``strict``: the schemas of other servers make grammars that are refused as too large.
    return {"name": tool.name, "description": tool.description, "input_schema": _plain(tool.schema)}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that nobody else can change meanwhile."""
    copied: dict[str, Any] = json.loads(json.dumps(schema, sort_keys=True))
    return copied


def user_message(told: Told) -> Block:
    content: list[Block] = [
        {"type": "tool_result", "tool_use_id": name, "content": NOT_RUN, "is_error": True}
        for name in told.dropped
    ]
    for result in told.results:
        block: Block = {"type": "tool_result", "tool_use_id": result.call_id, "content": whole(result.text)}
        if result.failed:
            block["is_error"] = True
        content.append(block)
    if told.text.strip():
        content.append({"type": "text", "text": whole(told.text)})
    return {"role": "user", "content": content}


def request_bytes(frozen: Mapping[str, Any], messages: Sequence[Block]) -> int:
    return len(json.dumps([frozen, messages], ensure_ascii=False).encode("utf-8", "replace"))


def _none_as_zero(value: object) -> object:
    return 0 if value is None else value


_Count = Annotated[int, BeforeValidator(_none_as_zero), Field(ge=0, le=1_000_000_000)]


class _Usage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_creation_input_tokens: _Count = 0
    cache_read_input_tokens: _Count = 0


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    content: list[dict[str, Any]]
    stop_reason: str | None = None
    usage: _Usage = _Usage()


class _Call(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """``blocks`` are the answer word for word, to be sent back as they came."""

    blocks: list[Block]
    text: str
    calls: tuple[ToolCall, ...]
    stop: Stop
    usage: Usage


_STOPS: Mapping[str, Stop] = {
    "max_tokens": Stop.CUT,
    "model_context_window_exceeded": Stop.CUT,
    "refusal": Stop.REFUSED,
}


def heard(body: bytes) -> Heard:
    """Raises Failed (malformed) for what is no message of the API, and for one that cannot be answered: its
    calls need ids that differ and arguments that are an object."""
    try:
        data = parsed(body)
    except ValueError:
        page = body.lstrip()[:1] == b"<"
        what = "a web page" if page else "something that is not JSON"
        # A page is some proxy's; of a message that broke off nobody knows what it cost.
        raise failed(
            FailureKind.MALFORMED, f"the provider answered with {what}; is base_url right?", free=page
        ) from None
    try:
        message = _Message.model_validate(data)
        calls = tuple(_call(block) for block in message.content if block.get("type") == "tool_use")
        text = "".join(_text(block) for block in message.content if block.get("type") == "text")
    except (ValidationError, ValueError):
        raise failed(
            FailureKind.MALFORMED, "the provider answered with what is no message of the API", free=False
        ) from None
    if message.type != "message" or len({call.id for call in calls}) != len(calls):
        raise failed(
            FailureKind.MALFORMED, "the provider answered with what is no message of the API", free=False
        )
    return Heard(
        blocks=message.content,
        text=text,
        calls=calls,
        stop=_STOPS.get(message.stop_reason or "", Stop.TOOLS if calls else Stop.DONE),
        usage=Usage(
            input=message.usage.input_tokens,
            output=message.usage.output_tokens,
            cache_read=message.usage.cache_read_input_tokens,
            cache_write=message.usage.cache_creation_input_tokens,
        ),
    )


def _call(block: Block) -> ToolCall:
    found = _Call.model_validate(block)
    if not found.id:
        raise ValueError("an id is empty")
    return ToolCall(id=found.id, name=found.name, arguments=found.input)


def _text(block: Block) -> str:
    text = block.get("text")
    if not isinstance(text, str):
        raise ValueError("a text is none")
    return text
