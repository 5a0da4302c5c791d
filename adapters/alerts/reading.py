"""JSON bytes to plain data, for bodies that the fast path could not take whole."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from bot.domain.batch import BodyError, BodyProblem

_BOM = b"\xef\xbb\xbf"


def without_bom(body: bytes) -> bytes:
    """Some senders begin with a byte order mark; JSON (RFC 8259 §8.1) lets us ignore it."""
    return body[len(_BOM) :] if body.startswith(_BOM) else body


def load(body: bytes) -> Any:
    """Read JSON such that damage stays where it is.

    Bytes that are not UTF-8, and lone surrogates, stay in the strings they occur in as surrogates; the
    validation of that one alert then refuses them. Raises BodyError with line and column when the
    body as a whole is not JSON.
    """
    if not body.strip():
        _malformed("the body is empty; send the alerts as JSON")
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _malformed(
            f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno} "
            f"(character {error.pos})"
        )
    except RecursionError:
        _malformed("the body is not usable JSON: nested too deeply")
    except ValueError as error:
        _malformed(f"the body is not usable JSON: {error}")


def damaged(item: Any) -> str | None:
    """Name the first text of an alert, or of its labels and annotations, that is not UTF-8."""
    if not isinstance(item, dict):
        return None
    for name, value in item.items():
        if not _is_utf8(name):
            return "a field's name"
        if isinstance(value, str) and not _is_utf8(value):
            return str(name)
        if isinstance(value, dict):
            for inner, text in value.items():
                if not _is_utf8(inner):
                    return f"a name in {name}"
                if isinstance(text, str) and not _is_utf8(text):
                    return f"{name}.{inner}"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _malformed(message: str) -> NoReturn:
    raise BodyError(BodyProblem.MALFORMED, message) from None
