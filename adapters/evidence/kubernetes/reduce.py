"""The very first thing done to what the API server sends: values of secrets never get further than this.

Dropped everywhere: ``managedFields`` and the last applied configuration, which repeat the object. Of a Secret
and a ConfigMap only the names of the keys stay. Everything else is redacted by the name of its field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.redaction import is_secret_name, redact, redact_field, strip_invisible

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DATA = ("data", "stringData", "binaryData")
_KEPT = ("apiVersion", "kind", "metadata", "type", "immutable")
_OPTION = re.compile(r"--?([A-Za-z0-9_-]{1,64})")
_MASKED = "[redacted:secret]"


@dataclass(slots=True)
class Memo:
    """Names already judged and texts already redacted: in a list of pods nearly all of them repeat."""

    names: dict[str, bool] = field(default_factory=dict)
    plain: dict[str, str] = field(default_factory=dict)


def reduced(document: Any, memo: Memo, *, managers: bool = False) -> Any:
    """One object of the API without the values of secrets. ``managers`` keeps ``managedFields``, which hold
    names of fields and who wrote them, but no values."""
    if not isinstance(document, dict):
        return document
    if document.get("kind") in ("Secret", "ConfigMap"):
        names = [name for key in _DATA for name in _keys(document.get(key))]
        # Named one by one: what a later version adds is not kept.
        document = {key: document[key] for key in _KEPT if key in document}
        document["data"] = {str(name): "" for name in names}
    return {
        key: _metadata(value, memo, managers=managers)
        if key == "metadata" and isinstance(value, dict)
        else _value(key, value, memo)
        for key, value in document.items()
    }


def _keys(value: object) -> list[str]:
    return list(value) if isinstance(value, Mapping) else []


def _metadata(metadata: dict[str, Any], memo: Memo, *, managers: bool) -> dict[str, Any]:
    result = {}
    for key, value in metadata.items():
        if key == "managedFields":
            if managers:
                result[key] = value
        elif key == "annotations" and isinstance(value, dict):
            result[key] = {
                name: _value(name, text, memo) for name, text in value.items() if name != _LAST_APPLIED
            }
        else:
            result[key] = _value(key, value, memo)
    return result


def _value(key: str, value: Any, memo: Memo) -> Any:
    if isinstance(value, str):
        return _text(key, value, memo)
    if isinstance(value, dict):
        name = value.get("name")
        if isinstance(name, str) and isinstance(value.get("value"), str):
            # An environment variable, an HTTP header of a probe, a Helm parameter: the name says what it is.
            return {k: _value(name if k == "value" else k, v, memo) for k, v in value.items()}
        return {k: _value(k, v, memo) for k, v in value.items()}
    if isinstance(value, list):
        if key in ("args", "command") and all(isinstance(one, str) for one in value):
            return _command(value, memo)
        return [_value(key, one, memo) for one in value]
    return value


def _command(words: list[str], memo: Memo) -> list[str]:
    """A command line: the word behind ``--password`` is one, also where each word stands alone."""
    result = []
    secret = False
    for word in words:
        option = _OPTION.fullmatch(word)
        result.append(_MASKED if secret and option is None and word else _text("", word, memo))
        secret = option is not None and is_secret_name(option[1])
    return result


def _text(key: str, value: str, memo: Memo) -> str:
    secret = memo.names.get(key)
    if secret is None:
        secret = memo.names[key] = is_secret_name(key)
    if secret:
        return redact_field(key, value)
    found = memo.plain.get(value)
    if found is None:
        found = memo.plain[value] = redact(value if value.isprintable() else strip_invisible(value))
    return found
