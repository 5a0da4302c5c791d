"""A configuration as text that may be shown: every secret is masked, so that the text cannot be loaded."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import yaml
from pydantic import SecretStr

from config.schema import Config
from config.types import MASK, Section, format_duration


def to_redacted_yaml(config: Config) -> str:
    """Return the whole configuration as YAML, defaults written out, secrets as ``**********``.

    The loader refuses the mask, so a dump that hides a secret does not load by mistake.
    """
    return yaml.safe_dump(plain(config), allow_unicode=True, sort_keys=False, default_flow_style=False)


def config_digest(config: Config) -> str:
    """Return the SHA-256 of the redacted configuration, as lower-case hex. No secret goes into it."""
    text = json.dumps(plain(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """A value of the configuration as plain data that the loader reads back, secrets masked."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Section):
        fields = ((name, getattr(value, name)) for name in type(value).model_fields)
        return {name: plain(item) for name, item in fields if item is not None}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
