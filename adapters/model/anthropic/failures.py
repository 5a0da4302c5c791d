"""What went wrong, by what a person can do about it. Nothing of the provider's own words is repeated: they
may echo the request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from investigators.analyst.ports import FailureKind, ModelFailure

if TYPE_CHECKING:
    from httpx2 import Headers

_HINTS = (
    ("compiled grammar is too large", "the answer's schema is too large for it: turn structured_outputs off"),
    ("prompt is too long", "the conversation is longer than its context window"),
    ("credit balance", ""),
    ("max_tokens", "it writes fewer tokens than max_output_tokens"),
    ("effort", "it takes no effort: set capabilities.effort to false"),
    ("thinking", "it takes no adaptive thinking: set capabilities.thinking to false"),
    ("cache_control", "it takes no cache_control: set capabilities.cache to false"),
    ("output_config", "it takes no schema: set capabilities.structured_outputs to false"),
)
"""Words of the API's messages, and ours for them. The first that occurs counts."""

_MONEY = "spend_limit_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What an error's body says, as far as it is used."""

    type: str = ""
    code: str = ""
    message: str = ""


def body_of(raw: bytes) -> ErrorBody:
    try:
        data: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return ErrorBody()
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return ErrorBody()
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return ErrorBody(type=_text(error.get("type")), code=_text(code), message=_text(error.get("message")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def of_status(status: int, raw: bytes, *, model: str, wait: timedelta | None = None) -> ModelFailure:
    """``wait``: how long the provider asks us to stay away."""
    told = body_of(raw)
    if told.code.endswith(_MONEY) or told.type == "billing_error" or status == 402 or _is_poor(told):
        return ModelFailure(FailureKind.SPEND_LIMIT, "the provider's own limit of money is reached")
    match status:
        case 401:
            return ModelFailure(
                FailureKind.KEY, "the provider does not accept the key: look at model.api_key"
            )
        case 403:
            return ModelFailure(FailureKind.KEY, f"the key may not use {model}")
        case 404:
            return ModelFailure(
                FailureKind.UNKNOWN_MODEL,
                f"the provider does not know the model {model}, or serves no /v1/messages: look at "
                "model.fast, model.deep and model.base_url",
            )
        case 408 | 504:
            return ModelFailure(FailureKind.TIMEOUT, f"the provider gave up waiting ({status})")
        case 429:
            when = "" if wait is None else f"; it asks to wait {_shown(wait)}"
            return ModelFailure(
                FailureKind.RATE_LIMITED, f"too many requests or tokens for the provider{when}"
            )
        case 529 | 503:
            return ModelFailure(FailureKind.OVERLOADED, f"the provider is overloaded ({status})")
        case _ if told.type == "overloaded_error":
            return ModelFailure(FailureKind.OVERLOADED, f"the provider is overloaded ({status})")
        case _ if status >= 500:
            return ModelFailure(FailureKind.SERVER_ERROR, f"the provider failed ({status})")
        case _ if status >= 400:
            return ModelFailure(FailureKind.REJECTED, _rejected(status, told, model))
        case _:
            return ModelFailure(
                FailureKind.MALFORMED, f"the provider answered {status} and no message: is base_url right?"
            )


def _is_poor(told: ErrorBody) -> bool:
    return "credit balance" in told.message.lower()


def _rejected(status: int, told: ErrorBody, model: str) -> str:
    message = told.message.lower()
    hint = next((ours for theirs, ours in _HINTS if theirs in message), "")
    return f"{model} refused the request as wrong ({status})" + (f": {hint}" if hint else "")


def _shown(wait: timedelta) -> str:
    seconds = int(wait.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def wait_of(headers: Headers) -> timedelta | None:
    """Retry-After in seconds, or its finer cousin in milliseconds; None for none and for a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return timedelta(seconds=float(headers[name]) * unit)
        except (KeyError, ValueError, OverflowError):
            continue
    return None
