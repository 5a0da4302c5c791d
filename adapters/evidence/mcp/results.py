"""What a call came to, as text: everything that is no text is named and not looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``text`` is as the server sent it: neither redacted nor cut. ``failed``: the tool said so."""

    text: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One block of a result. ``text`` set: it is text; else ``named`` says what it is."""

    text: str | None = None
    named: str = ""


def joined(parts: Sequence[Part], structured: Any) -> str:
    """The texts in their order, what else there is by name, and the structured content unless a text is
    the same."""
    said = [f"[{part.named}]" if part.text is None else part.text for part in parts]
    texts = [part.text for part in parts if part.text is not None]
    if structured is not None and not _repeated(structured, texts):
        said.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(one for one in said if one.strip())


def _repeated(structured: Any, texts: Sequence[str]) -> bool:
    forms = [structured]
    if isinstance(structured, dict) and set(structured) == {"result"}:
        forms.append(structured["result"])
    values = [_value(text) for text in texts]
    return any(form in (*values, *texts, values, list(texts)) for form in forms)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
