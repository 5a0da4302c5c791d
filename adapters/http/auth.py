"""Who may deliver alerts: one way in per source, compared in constant time on bytes."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Protocol

from multidict import CIMultiDictProxy

from bot.domain.clock import Clock
from bot.domain.errors import ConfigError
from config.schema import Source

_SIGNATURE_HEADER = "X-Grafana-Alerting-Signature"
_SIGNATURE_HEADERS = {"pagerduty": "X-PagerDuty-Signature"}
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")

Headers = CIMultiDictProxy[str]


class Authenticator(Protocol):
    """``needs_body`` says whether :meth:`allows` must be given the body as it came over the wire.

    ``challenge`` is the value of ``WWW-Authenticate``; it names the way in and nothing else.
    """

    @property
    def needs_body(self) -> bool: ...
    @property
    def challenge(self) -> str: ...
    def allows(self, headers: Headers, path_secret: str | None, body: bytes) -> bool: ...


def authenticator(source: Source, clock: Clock) -> Authenticator:
    """The one way in that a source has."""
    auth = source.auth
    if auth.bearer is not None:
        return _Bearer(_Secret(auth.bearer.get_secret_value()))
    if auth.basic is not None:
        return _Basic(_Secret(f"{auth.basic.username}:{auth.basic.password.get_secret_value()}"))
    if auth.path_secret is not None:
        return _PathSecret(_Secret(auth.path_secret.get_secret_value()))
    if auth.hmac is not None:
        return _Signature(
            key=auth.hmac.secret.get_secret_value().encode(),
            header=auth.hmac.header or _SIGNATURE_HEADERS.get(source.kind, _SIGNATURE_HEADER),
            listed=source.kind == "pagerduty",
            timestamp_header=auth.hmac.timestamp_header,
            tolerance=auth.hmac.tolerance,
            clock=clock,
        )
    if auth.unauthenticated:
        return _AnyLocalProgram()
    raise ConfigError(["sources: a source without authentication"])


def refuse_unsafe(host: str, sources: Mapping[str, Source]) -> None:
    """Raises ConfigError when a source would be open to others than this machine."""
    problems = [
        f"sources.{name}.auth.unauthenticated: only a loopback listener may have it, and listen.host is "
        f"{host}; give the source a bearer token, or listen on 127.0.0.1"
        for name, source in sources.items()
        if source.auth.unauthenticated and not is_loopback(host)
    ]
    if problems:
        raise ConfigError(problems)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect. A name other than ``localhost`` is not trusted to stay one."""
    return host in ("::1", "localhost") or re.fullmatch(r"127(?:\.\d{1,3}){3}", host) is not None


class _Secret:
    """Compares digests, so that not even the length of the secret shows in the time taken."""

    def __init__(self, secret: str) -> None:
        self._digest = sha256(secret.encode()).digest()

    def equals(self, candidate: bytes) -> bool:
        return hmac.compare_digest(self._digest, sha256(candidate).digest())


def _only(headers: Headers, name: str) -> str | None:
    """The header's value; None when it is absent or given twice, which nobody honest does."""
    values = headers.getall(name, ())
    return values[0].strip() if len(values) == 1 else None


def _credentials(headers: Headers, scheme: str) -> bytes:
    """What follows the scheme in ``Authorization`` (RFC 9110 §11.4), b"" when there is nothing of it."""
    given, _, credentials = (_only(headers, "Authorization") or "").partition(" ")
    if given.lower() != scheme:
        return b""
    return credentials.strip().encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class _Bearer:
    """RFC 6750 §2.1."""

    secret: _Secret
    needs_body: bool = False
    challenge: str = 'Bearer realm="assent"'

    def allows(self, headers: Headers, path_secret: str | None, body: bytes) -> bool:
        return self.secret.equals(_credentials(headers, "bearer"))


@dataclass(frozen=True, slots=True)
class _Basic:
    """RFC 7617."""

    secret: _Secret
    needs_body: bool = False
    challenge: str = 'Basic realm="assent", charset="UTF-8"'

    def allows(self, headers: Headers, path_secret: str | None, body: bytes) -> bool:
        try:
            given = base64.b64decode(_credentials(headers, "basic"), validate=True)
        except binascii.Error:
            given = b""
        return self.secret.equals(given)


@dataclass(frozen=True, slots=True)
class _PathSecret:
    """``/webhook/<name>/<secret>``, for senders that cannot set a header."""

    secret: _Secret
    needs_body: bool = False
    challenge: str = 'PathSecret realm="assent"'

    def allows(self, headers: Headers, path_secret: str | None, body: bytes) -> bool:
        return self.secret.equals((path_secret or "").encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    """HMAC-SHA256 of the body, or of ``<unix seconds>:<body>`` when a timestamp header is configured.

    Lower-case hex, as Grafana's webhook contact point writes it, or ``sha256=`` and hex. ``listed``: one
    ``v1=`` and hex for each secret, with commas between them, as PagerDuty writes it while a secret is
    being changed (https://developer.pagerduty.com/docs/verifying-webhook-signatures). A delivery that is
    repeated within the tolerance is let in: storing it twice changes nothing, and refusing it would turn a
    retry into a lost alert.
    """

    key: bytes
    header: str
    listed: bool
    timestamp_header: str | None
    tolerance: timedelta
    clock: Clock
    needs_body: bool = True
    challenge: str = 'HMAC-SHA256 realm="assent"'

    def allows(self, headers: Headers, path_secret: str | None, body: bytes) -> bool:
        signed = hmac.new(self.key, digestmod=sha256)
        fresh = True
        if self.timestamp_header is not None:
            timestamp = _only(headers, self.timestamp_header) or ""
            fresh = self._is_fresh(timestamp)
            signed.update(timestamp.encode("utf-8", "surrogateescape") + b":")
        signed.update(body)
        expected = signed.hexdigest().encode()
        matches = [
            hmac.compare_digest(expected, given.encode("utf-8", "surrogateescape"))
            for given in self._given(_only(headers, self.header) or "")
        ]
        return any(matches) and fresh

    def _given(self, value: str) -> list[str]:
        if not self.listed:
            return [value.removeprefix("sha256=")]
        signatures = [part.strip() for part in value.split(",")]
        return [part.removeprefix("v1=") for part in signatures if part.startswith("v1=")]

    def _is_fresh(self, timestamp: str) -> bool:
        if not _UNIX_SECONDS.fullmatch(timestamp):
            return False
        return abs(self.clock.now().timestamp() - int(timestamp)) <= self.tolerance.total_seconds()


@dataclass(frozen=True, slots=True)
class _AnyLocalProgram:
    """``unauthenticated: true``: the loopback listener is the fence. A web page open on this machine is
    behind that fence as well, so whatever a browser sends (it adds ``Origin``) is refused."""

    needs_body: bool = False
    challenge: str = 'Local realm="assent"'

    def allows(self, headers: Headers, path_secret: str | None, body: bytes) -> bool:
        return "Origin" not in headers
