"""An answer in JSON from a model whose provider does not hold it to a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_ASKED = """

# Form of the last answer

When you call no tool, answer with one JSON object and nothing else: no words around it, no code fence.
It keeps to this JSON Schema:
{schema}"""

_MOST_STARTS = 64


def told_schema(schema: Mapping[str, Any]) -> str:
    """What is added to the system prompt. The same schema gives the same text."""
    return _ASKED.format(schema=json.dumps(schema, ensure_ascii=False, sort_keys=True))


def extracted(text: str) -> str:
    """The first JSON object in ``text`` that is not within another, as it stands there; ``text`` itself
    where there is none. Whether it keeps to the schema is for whoever reads it."""
    # Only where it ends is of interest, so no number is made of digits: one of thousands has no value.
    decoder = json.JSONDecoder(parse_int=len, parse_float=len)
    start = text.find("{")
    for _ in range(_MOST_STARTS):
        if start < 0:
            break
        try:
            _, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            # On from where it broke off, not from its beginning: each character is read once.
            start = text.find("{", max(start + 1, error.pos))
            continue
        except RecursionError:
            break
        return text[start:end]
    return text


def parsed(text: str | bytes) -> Any:
    """JSON that can be written again as JSON, at any place of a request. Raises ValueError for what is none,
    for NaN and infinity, for half of a character, and for what is nested too deeply."""
    try:
        value = json.loads(text, parse_constant=_no_number)
        json.dumps([[[[[[[[value]]]]]]]], ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def whole(text: str) -> str:
    """``text`` without halves of characters, which cannot be sent."""
    return text.encode("utf-8", "replace").decode()
