"""The answer that a model is to give, and what is left of it once it was checked.

Its JSON Schema is for providers that can hold a model to one; lengths and counts are not enforced by any of
them, so everything is checked again here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.domain.errors import InputError
from investigators.analyst.citations import Claim
from investigators.analyst.envelope import safe_text

SEEN_FROM = ("app", "infra", "deps", "runtime")
_MOST_TEXT = 200_000
_MOST_CLAIMS = 12
_MOST_ACTIONS = 5
_MOST_PARAMS = 12
_SUMMARY, _STATEMENT, _LINE, _NAME, _QUOTE = 1_500, 600, 300, 120, 800
_OBJECT = re.compile(r"[^\s\x00-\x1f`<>\"']{1,120}")
_FAULT = re.compile(r"[a-z][a-z0-9_]{1,60}")
_FENCE = "```"


class Malformed(InputError):
    """An answer that cannot be read; the text tells the model how to mend it."""


class Status(StrEnum):
    DIAGNOSED = "diagnosed"
    ADDITIONAL_INFO_NEEDED = "additional_info_needed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """``object`` is one name; ``fault`` a word like the rules' own."""

    object: str
    object_kind: str
    fault: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A cause that the model rules out: ``cause`` the rules' own number for it, such as ``h1``, or words."""

    cause: str
    claim: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another explanation, as seen from one of four sides."""

    seen_from: str
    cause: Cause
    claim: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAction:
    """An action by its catalogue name, unchecked."""

    action: str
    target: str
    params: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: Status
    summary: str
    cause: Cause | None
    claims: tuple[Claim, ...]
    excluded: tuple[Excluded, ...]
    missing: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    actions: tuple[WantedAction, ...]


def schema_object(**properties: Any) -> dict[str, Any]:
    """The JSON Schema of an object with exactly these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def answer_schema() -> Mapping[str, Any]:
    """Without bounds, which make a grammar large and are checked here."""
    text = {"type": "string"}
    cause = {"object": text, "object_kind": text, "fault": text, "statement": text}
    quoted = {"evidence_id": text, "quote": text}
    return schema_object(
        status={"type": "string", "enum": [status.value for status in Status]},
        summary=text,
        root_cause={"anyOf": [schema_object(**cause), {"type": "null"}]},
        evidence={"type": "array", "items": schema_object(**quoted, finding=text)},
        ruled_out={"type": "array", "items": schema_object(cause=text, **quoted, finding=text)},
        missing_info={"type": "array", "items": text},
        alternatives={
            "type": "array",
            "items": schema_object(seen_from={"type": "string", "enum": list(SEEN_FROM)}, **cause, **quoted),
        },
        actions={
            "type": "array",
            "items": schema_object(
                action=text,
                target=text,
                params={"type": "array", "items": schema_object(name=text, value=text)},
                reason=text,
            ),
        },
    )


def parse_answer(text: str) -> Answer:
    """Raises Malformed."""
    made = json_object(text)
    try:
        status = Status(_text(made, "status", _NAME))
    except ValueError:
        raise Malformed(f"status must be one of {', '.join(Status)}") from None
    cause = _cause(made.get("root_cause"))
    if status is Status.DIAGNOSED and cause is None:
        raise Malformed("status is diagnosed, but root_cause is null")
    return Answer(
        status=status,
        summary=_text(made, "summary", _SUMMARY),
        cause=cause if status is Status.DIAGNOSED else None,
        claims=tuple(read_claim(one) for one in items(made, "evidence", _MOST_CLAIMS)),
        excluded=tuple(
            Excluded(cause=_text(one, "cause", _LINE), claim=read_claim(one))
            for one in items(made, "ruled_out", _MOST_CLAIMS)
        ),
        missing=tuple(
            safe_text(one, _LINE) for one in _list(made, "missing_info", _MOST_CLAIMS) if isinstance(one, str)
        ),
        alternatives=tuple(_alternatives(items(made, "alternatives", _MOST_CLAIMS))),
        actions=tuple(read_action(one) for one in items(made, "actions", _MOST_ACTIONS)),
    )


def json_object(text: str) -> Mapping[str, Any]:
    """The one object that a text is or holds, fenced or between words. Raises Malformed."""
    if len(text) > _MOST_TEXT:
        raise Malformed("the answer is too long")
    for candidate in _candidates(text):
        try:
            made = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(made, dict):
            return made
    raise Malformed("the answer is not one JSON object")


def _candidates(text: str) -> Iterator[str]:
    """The whole, what is fenced, what braces enclose. Found without a pattern: an answer may be made of
    beginnings of fences, and it is read where everything else waits."""
    yield text
    # Between the first fence and the second, the third and the fourth.
    for fenced in text.split(_FENCE)[1:-1:2]:
        yield fenced.removeprefix("json")
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        yield text[start : end + 1]


def _alternatives(items: Sequence[Mapping[str, Any]]) -> list[Alternative]:
    found = []
    for one in items:
        cause = _cause(one)
        side = one.get("seen_from")
        if cause is not None and side in SEEN_FROM:
            found.append(Alternative(seen_from=side, cause=cause, claim=read_claim(one)))
    return found


def _cause(made: Any) -> Cause | None:
    if made is None:
        return None
    if not isinstance(made, dict):
        raise Malformed("root_cause must be an object or null")
    name = _text(made, "object", _NAME)
    if _OBJECT.fullmatch(name) is None:
        raise Malformed("object must be one name, without spaces")
    fault = _text(made, "fault", _NAME).strip().lower().replace(" ", "_").replace("-", "_")
    if _FAULT.fullmatch(fault) is None:
        raise Malformed("fault must be a short word in snake_case")
    kind = _text(made, "object_kind", _NAME).strip().lower()
    return Cause(
        object=name,
        object_kind=kind if _FAULT.fullmatch(kind) else "",
        fault=fault,
        statement=_text(made, "statement", _STATEMENT),
    )


def read_claim(made: Mapping[str, Any]) -> Claim:
    """What is no text in it is an empty one."""
    return Claim(
        evidence_id=_text(made, "evidence_id", _NAME),
        # Quotes are compared with what was sent, which was cleaned in the same way.
        quote=_text(made, "quote", _QUOTE),
        finding=_text(made, "finding", _LINE),
    )


def read_action(made: Mapping[str, Any]) -> WantedAction:
    """Without parameters that are neither texts nor whole numbers."""
    params: dict[str, str | int] = {}
    given = made.get("params")
    pairs: list[tuple[Any, Any]] = []
    if isinstance(given, dict):
        pairs = list(given.items())
    elif isinstance(given, list):
        pairs = [(one.get("name"), one.get("value")) for one in given if isinstance(one, dict)]
    for name, value in pairs[:_MOST_PARAMS]:
        if isinstance(name, str) and isinstance(value, str | int) and not isinstance(value, bool):
            params[safe_text(name, _NAME)] = value if isinstance(value, int) else safe_text(value, _LINE)
    return WantedAction(
        action=_text(made, "action", _NAME), target=_text(made, "target", _NAME), params=params
    )


def items(made: Mapping[str, Any], name: str, most: int) -> list[Mapping[str, Any]]:
    """The objects among the first of a list, none where it is missing. Raises Malformed."""
    return [one for one in _list(made, name, most) if isinstance(one, dict)]


def _list(made: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = made.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{name} must be a list")
    return value[:most]


def _text(made: Mapping[str, Any], name: str, limit: int) -> str:
    value = made.get(name)
    return safe_text(value, limit).strip() if isinstance(value, str) else ""
