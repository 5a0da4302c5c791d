"""A question to an HTTP API that speaks JSON: bounded in time, calls and bytes; a failure is a sentence."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson

from bot.domain.redaction import clean

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one answer that we are willing to read."""
MAX_CALLS = 80
"""Calls that one question may cost."""
_PARALLEL = 4
_REDIRECTS = 3
_PARSE_IN_THREAD = 32 * 1024
_MASKABLE = 8
"""Characters below which a credential is too short to be told from other text."""
_NEXT = re.compile(r'<([^<>]*)>[^,<]*;\s*rel="?next"?(?=[\s,;]|\Z)', re.IGNORECASE)

Params = Sequence[tuple[str, str]]


class Refused(Exception):
    """The API did not answer; the text is what a person is told. Never leaves the adapters of evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The parsed body of a 2xx answer and the address of the next page, on the same server."""

    data: Any
    following: str | None


class JsonApi:
    """The API under one base URL. Credentials go to that origin only."""

    def __init__(
        self,
        address: str,
        session: aiohttp.ClientSession,
        *,
        timeout: timedelta,
        headers: Mapping[str, str],
        secrets: Sequence[str] = (),
    ) -> None:
        """``secrets``: what must not come back in an answer, whoever repeats it."""
        self.address = address.rstrip("/")
        self._origin = _origin(self.address)
        self._session = session
        self._seconds = timeout.total_seconds()
        self._headers = {"Accept": "application/json", **headers}
        self._secrets = tuple(secrets)
        self._slots = asyncio.Semaphore(_PARALLEL)

    def question(self) -> Question:
        """A new question, whose time begins now."""
        return Question(self, asyncio.get_running_loop().time() + self._seconds)

    async def send(self, method: str, url: str, params: Params, body: object, deadline: float) -> Reply:
        """One call and its redirects within the origin. Raises Refused for whatever went wrong."""
        try:
            async with asyncio.timeout_at(deadline), self._slots:
                for _ in range(_REDIRECTS + 1):
                    status, headers, raw = await self._fetch(method, url, params, body)
                    if not (300 <= status < 400 and method == "GET" and headers.get("Location")):
                        return await self._reply(status, headers, raw, url)
                    target = urljoin(url, headers["Location"])
                    if _origin(target) != self._origin:
                        raise Refused(f"answered {status}, a redirect to another server")
                    url, params = target, ()
                raise Refused("redirects without end")
        except TimeoutError:
            raise Refused(f"no answer within {self._seconds:g} s") from None
        except aiohttp.ClientError as error:
            raise Refused(f"cannot reach {self.address}: {network_reason(error)}") from None
        except OSError as error:
            raise Refused(f"cannot reach {self.address}: {error.strerror or type(error).__name__}") from None
        except ValueError:
            # aiohttp and yarl print the address, which the other side may have chosen.
            raise Refused("points to something that is no address") from None

    async def _fetch(
        self, method: str, url: str, params: Params, body: object
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.request(
            method,
            url,
            params=list(params) or None,
            data=None if body is None else orjson.dumps(body),
            headers=self._headers if body is None else {**self._headers, "Content-Type": "application/json"},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._seconds),
        ) as response:
            return response.status, response.headers, await capped_body(response, MAX_BODY)

    async def _reply(self, status: int, headers: Mapping[str, str], raw: bytes, url: str) -> Reply:
        raw = without(raw, self._secrets)
        try:
            # orjson holds the GIL for the document; a thread keeps it and the event loop apart at least.
            data = (
                await asyncio.to_thread(orjson.loads, raw)
                if len(raw) > _PARSE_IN_THREAD
                else orjson.loads(raw)
            )
        except orjson.JSONDecodeError:
            data = None
        if not 200 <= status < 300:
            raise Refused(_refusal(status, headers, data))
        if data is None:
            kind = headers.get("Content-Type", "").partition(";")[0].strip()[:60] or "something"
            raise Refused(f"answered {status} with {kind} that is not the expected API")
        match = _NEXT.search(headers.get("Link", ""))
        following = urljoin(url, match[1]) if match else None
        return Reply(data=data, following=following)

    def own(self, url: str) -> bool:
        """Whether an address that an answer names is on this server."""
        return _origin(url) == self._origin


class Question:
    """The calls that one question takes together. ``left``: how many more it may cost."""

    def __init__(self, api: JsonApi, deadline: float) -> None:
        self._api = api
        self._deadline = deadline
        self.left = MAX_CALLS

    async def get(self, path: str, params: Params = ()) -> Reply:
        return await self._call("GET", f"{self._api.address}{path}", params, None)

    async def post(self, path: str, body: object) -> Reply:
        return await self._call("POST", f"{self._api.address}{path}", (), body)

    async def follow(self, url: str) -> Reply:
        """The next page, by the address or path that the last one named."""
        try:
            url = urljoin(f"{self._api.address}/", url)
        except ValueError:
            url = ""
        if not self._api.own(url):
            raise Refused("names a next page on another server")
        return await self._call("GET", url, (), None)

    async def _call(self, method: str, url: str, params: Params, body: object) -> Reply:
        if self.left <= 0:
            raise Refused(f"needs more than {MAX_CALLS} calls")
        self.left -= 1
        return await self._api.send(method, url, params, body, self._deadline)


async def capped_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body. Raises Refused when it is larger than ``limit`` bytes."""
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        chunks += chunk
        if len(chunks) > limit:
            raise Refused(f"the answer is larger than {limit // 1024} KiB")
    return bytes(chunks)


def without(body: bytes, secrets: Sequence[str]) -> bytes:
    """The body without our own credentials, whoever repeats them: plain, or as JSON writes them."""
    for secret in secrets:
        if len(secret) >= _MASKABLE:
            for form in (secret, json.dumps(secret)[1:-1]):
                body = body.replace(form.encode(), b"[redacted:token]")
    return body


def network_reason(error: aiohttp.ClientError) -> str:
    """Why there was no answer. Only the words of the system: others may print headers or addresses."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.strerror or "connection failed"
    return type(error).__name__


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None


def _refusal(status: int, headers: Mapping[str, str], data: Any) -> str:
    if 300 <= status < 400:
        return f"answered {status}, a redirect, probably to a login page; the url or the token is wrong"
    words = _words(data)
    if status == 429 or (
        status == 403
        and (
            _number(headers, "X-RateLimit-Remaining") == 0
            or "Retry-After" in headers
            or "rate limit" in words
        )
    ):
        return f"answered {status}: rate limit reached{_until(headers)}"
    said = f": {words}" if words else ""
    if status in (401, 403):
        return f"answered {status}, the token is wrong or may not read this{said}"
    if status == 404:
        return f"answered 404, there is no such thing or the token may not see it{said}"
    return f"answered {status}{said}"


def _until(headers: Mapping[str, str]) -> str:
    after = _number(headers, "Retry-After")
    if after is not None:
        return f"; it asks to wait {after} s"
    reset = _number(headers, "X-RateLimit-Reset") or _number(headers, "RateLimit-Reset")
    if reset is not None and reset < 10**11:
        return f" until {datetime.fromtimestamp(reset, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return ""


def _number(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


def _words(data: Any) -> str:
    """What an error body says, in the forms that GitHub, GitLab, TeamCity, Fleet and Jira use."""
    said: list[str] = []
    if isinstance(data, dict):
        for key in ("message", "error", "error_description", "errorMessages", "errors"):
            _collect(data.get(key), said)
    return clean("; ".join(dict.fromkeys(said)), limit=300)


def _collect(value: Any, said: list[str], depth: int = 0) -> None:
    if len(said) >= 5 or depth > 2:
        return
    if isinstance(value, str) and value.strip():
        said.append(value.strip()[:1_000])
    elif isinstance(value, list):
        for item in value[:5]:
            _collect(item, said, depth + 1)
    elif isinstance(value, dict):
        named = [value[key] for key in ("message", "reason") if key in value]
        for item in named or list(value.values())[:5]:
            _collect(item, said, depth + 1)
