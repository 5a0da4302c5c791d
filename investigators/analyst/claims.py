"""The last answer of a follow-up conversation: its schema, and reading it without trusting any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from investigators.analyst.answer import (
    Malformed,
    WantedAction,
    items,
    json_object,
    read_action,
    read_claim,
    schema_object,
)
from investigators.analyst.citations import Claim
from investigators.analyst.envelope import safe_text

ANSWER_CHARACTERS = 1_500
_TEXT = {"type": "string"}
_MOST_CLAIMS, _MOST_MISSING, _MISSING = 12, 5, 300

ANSWER_SCHEMA: Mapping[str, Any] = schema_object(
    status={"type": "string", "enum": ["answered", "not_known"]},
    answer=_TEXT,
    evidence={"type": "array", "items": schema_object(evidence_id=_TEXT, quote=_TEXT, finding=_TEXT)},
    missing_info={"type": "array", "items": _TEXT},
    action={
        "anyOf": [
            {"type": "null"},
            schema_object(
                action=_TEXT,
                target=_TEXT,
                params={"type": "array", "items": schema_object(name=_TEXT, value=_TEXT)},
                reason=_TEXT,
            ),
        ]
    },
)
"""JSON Schema of the answer. Whether a provider enforces it changes nothing: it is read as if none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The answer as it stands there, its texts made safe; nothing else of it is checked but its shape."""

    known: bool
    answer: str
    claims: tuple[Claim, ...]
    missing: tuple[str, ...]
    action: WantedAction | None


def read_draft(text: str) -> Draft:
    """Raises Malformed."""
    made = json_object(text)
    status, answer, missing = made.get("status"), made.get("answer"), made.get("missing_info")
    if status not in ("answered", "not_known"):
        raise Malformed("status must be answered or not_known")
    action = made.get("action")
    if action is not None and not isinstance(action, dict):
        raise Malformed("action must be an object or null")
    listed = missing if isinstance(missing, list) else []
    return Draft(
        known=status == "answered",
        answer=safe_text(answer, ANSWER_CHARACTERS).strip() if isinstance(answer, str) else "",
        claims=tuple(read_claim(one) for one in items(made, "evidence", _MOST_CLAIMS)),
        missing=tuple(safe_text(one, _MISSING) for one in listed[:_MOST_MISSING] if isinstance(one, str)),
        action=None if action is None else read_action(action),
    )
