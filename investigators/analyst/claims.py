"""The last answer of a follow-up conversation: its schema, and reading it without trusting any of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TEXT = {"type": "string"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


ANSWER_SCHEMA: Mapping[str, Any] = _object(
    status={"type": "string", "enum": ["answered", "not_known"]},
    answer=_TEXT,
    evidence={"type": "array", "items": _object(evidence_id=_TEXT, quote=_TEXT, finding=_TEXT)},
    missing_info={"type": "array", "items": _TEXT},
    action={
        "anyOf": [
            {"type": "null"},
            _object(
                action=_TEXT,
                target=_TEXT,
                params={"type": "array", "items": _object(name=_TEXT, value=_TEXT)},
                reason=_TEXT,
            ),
        ]
    },
)
"""JSON Schema of the answer. Whether a provider enforces it changes nothing: it is read as if none did."""

_LONGEST = 100_000
_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What it says an evidence says, and the words there that it means."""

    evidence_id: str
    quote: str
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """An action it names; ``params`` as it wrote them."""

    action: str
    target: str
    params: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The answer as it stands there; nothing of it is checked but its shape."""

    known: bool
    answer: str
    claims: tuple[Claim, ...]
    missing: tuple[str, ...]
    action: Wished | None


class Malformed(Exception):
    """The text is no answer of the agreed shape; the text says what is wrong, in our words."""


def read_draft(text: str) -> Draft:
    """Raises Malformed."""
    if len(text) > _LONGEST:
        raise Malformed("the answer is too long")
    start, end = text.find("{"), text.rfind("}")
    try:
        document = json.loads(text[start : end + 1]) if start >= 0 else None
    except (ValueError, RecursionError):
        raise Malformed("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise Malformed("the answer is not a JSON object")
    status = document.get("status")
    if status not in ("answered", "not_known"):
        raise Malformed("status must be answered or not_known")
    return Draft(
        known=status == "answered",
        answer=_text(document, "answer"),
        claims=tuple(
            Claim(
                evidence_id=_text(one, "evidence_id"),
                quote=_text(one, "quote"),
                finding=_text(one, "finding"),
            )
            for one in _objects(document, "evidence")
        ),
        missing=tuple(one for one in _list(document, "missing_info") if isinstance(one, str)),
        action=_action(document.get("action")),
    )


def _action(value: Any) -> Wished | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Malformed("action must be an object or null")
    params = {_text(one, "name"): _text(one, "value") for one in _objects(value, "params")}
    return Wished(
        action=_text(value, "action"),
        target=_text(value, "target"),
        params=params,
        reason=_text(value, "reason"),
    )


def _objects(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = _list(document, name)
    if not all(isinstance(one, dict) for one in found):
        raise Malformed(f"{name} must hold objects")
    return found


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > _MOST:
        raise Malformed(f"{name} must be a list of at most {_MOST}")
    return value


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name} must be a text")
    return value
