"""The kinds of value the sections are made of.

A refusal reads ``what is wrong; what to write`` and never holds the value itself.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
)

MASK = "**********"
"""What stands for a secret in a redacted dump, and is refused wherever a file holds it."""

_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MATRIX_USER = re.compile(r"@[^:\s]+:[^\s]+")
_ROLE = re.compile(r"viewer|responder|admin|approver:(?:[a-z_]+|\*)")


def parse_duration(text: str) -> timedelta:
    """Read ``30s``, ``5m``, ``2h``, ``7d``, ``250ms`` or a run of them, largest first. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise ValueError("not a duration; write for example 30s, 5m, 2h, 7d or 1h30m")
    days, hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)
    except OverflowError:
        raise ValueError("longer than any duration can be; write for example 7d") from None


def format_duration(value: timedelta) -> str:
    """The text that :func:`parse_duration` reads back, for whole milliseconds."""
    millis = value // timedelta(milliseconds=1)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, millis = divmod(millis, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 time with an offset. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("not a time with an offset; write for example 2026-12-24T00:00:00Z")
    return moment.astimezone(UTC)


def plain_emoji(text: str) -> str:
    """An emoji without variation selectors and skin tones, as reactions are compared."""
    return "".join(
        char
        for char in unicodedata.normalize("NFC", text.strip())
        if char not in "\ufe0e\ufe0f" and not "\U0001f3fb" <= char <= "\U0001f3ff"
    )


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("not a duration; write for example 30s, 5m, 2h, 7d or 1h30m")
    return parse_duration(value)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero; write for example 30s or 5m")
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        where = "" if position is None else f" at character {position + 1}"
        raise ValueError(
            f"not a regular expression{where}; mend it, with every literal ( [ * + ? escaped by \\"
        ) from None
    return value


def _text_regex(value: str) -> str:
    _regex(value)
    try:
        # As the router makes it, between two word edges: flags of its own cannot stand inside.
        pattern = re.compile(rf"(?<!\w)(?:{value})(?!\w)", re.IGNORECASE)
    except re.error:
        raise ValueError("sets flags such as (?i) for itself; remove them, case is ignored anyway") from None
    if pattern.search(""):
        raise ValueError("matches an empty text, and so everything; ask for at least one character")
    return value


EXTRACTED = ("environment", "service", "source", "target")
"""The named groups that have a use."""


def _extract(value: str) -> str:
    named = list(re.compile(_text_regex(value)).groupindex)
    if not named:
        raise ValueError(f"names no group, so nothing is taken from it; write (?P<{EXTRACTED[0]}>…)")
    if unknown := [name for name in named if name not in EXTRACTED]:
        raise ValueError(f"has a group {unknown[0]}, which has no use; use {', '.join(EXTRACTED)}")
    if ("source" in named) != ("target" in named):
        raise ValueError("has half a pair; name both groups, source and target")
    return value


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError(
            "not a name; use letters, digits, '_', '.' and '-', a letter or digit first, at most 64"
        )
    return value


def _matrix_user(value: str) -> str:
    if _MATRIX_USER.fullmatch(value) is None:
        raise ValueError("not a Matrix user id; write for example '@ada:example.org', in quotes")
    return value


def _role(value: str) -> str:
    if _ROLE.fullmatch(value) is None:
        raise ValueError(
            "not a role; write viewer, responder, admin, approver:<action class> or 'approver:*'"
        )
    return value


def _instant(value: str) -> str:
    parse_instant(value)
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("is empty, which would let anybody in; give the secret")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not all("!" <= char <= "~" for char in value.get_secret_value()):
        raise ValueError(
            "cannot be sent in a header; use ASCII letters, digits and punctuation, no spaces or line ends"
        )
    return value


def _url_secret(value: SecretStr) -> SecretStr:
    if re.fullmatch(r"[A-Za-z0-9._~-]+", value.get_secret_value()) is None:
        raise ValueError("cannot stand in a path as it is; use letters, digits, '-', '.', '_' and '~' only")
    return value


def _url_without_password(value: HttpUrl) -> HttpUrl:
    if value.username is not None or value.password is not None:
        raise ValueError("holds a user name or password, which would be shown; move it to the auth section")
    return value


def _whole(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number; write digits without quotes")
    return value


def _private_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if "ENCRYPTED" in text.partition("\n")[0]:
        raise ValueError("is an encrypted key; give it unencrypted, in a file that only Assent can read")
    if not text.startswith("-----BEGIN PRIVATE KEY-----"):
        raise ValueError("is not a PEM private key (PKCS 8); make one with: assent keys generate")
    return value


def _public_key(value: str) -> str:
    text = value.strip()
    if "PRIVATE KEY" in text:
        raise ValueError(
            "is a private key; give its public half, and make a new one: this stood where it is read"
        )
    if not text.startswith("-----BEGIN PUBLIC KEY-----"):
        raise ValueError("is not a PEM public key; copy what this prints: assent keys show")
    return value


def _parameter(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be text or a whole number; put other values in quotes")
    return value


def _non_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; write the value or remove the line")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
DurationOrNone = Annotated[timedelta, BeforeValidator(_duration)]
"""``0s`` turns off what lasts so long."""
Regex = Annotated[str, AfterValidator(_regex)]
TextRegex = Annotated[str, AfterValidator(_text_regex)]
Extract = Annotated[str, AfterValidator(_extract)]
Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_non_empty)]
Whole = Annotated[int, BeforeValidator(_whole)]
Positive = Annotated[Whole, Field(ge=1)]
Parameter = Annotated[str | int, BeforeValidator(_parameter)]
MatrixUser = Annotated[str, AfterValidator(_matrix_user)]
Role = Annotated[str, AfterValidator(_role)]
Instant = Annotated[str, AfterValidator(_instant)]
Url = Annotated[HttpUrl, AfterValidator(_url_without_password)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Token = Annotated[SecretStr, AfterValidator(_secret), AfterValidator(_token)]
PrivateKey = Annotated[SecretStr, AfterValidator(_secret), AfterValidator(_private_key)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
UrlSecret = Annotated[SecretStr, AfterValidator(_secret), AfterValidator(_url_secret)]


class Section(BaseModel):
    """Base of every section: frozen, nothing unknown, no value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
