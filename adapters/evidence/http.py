"""Reading from somebody's HTTP API: capped, timed, never redirected, and every failure a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import orjson
from pydantic import HttpUrl

from bot.domain.redaction import clean
from config.schema import HttpAuth

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one answer that we are willing to read."""
_ERROR_TEXT = 300
_PARALLEL = 8
_PARSE_IN_THREAD = 32 * 1024

Params = Sequence[tuple[str, str]]


class Refused(Exception):
    """The other side did not answer; the text is what a person is told. Never leaves the adapters."""


class TooLarge(Refused):
    """The answer is longer than we read."""


class Malformed(Exception):
    """The answer is JSON but not what the API documents. Never leaves the adapters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer, whatever its status; ``kind`` is its content type."""

    status: int
    kind: str
    body: bytes

    async def json(self) -> Any:
        """The parsed body. Raises ValueError."""
        # orjson holds the GIL for the whole document; a thread keeps at least the conversion afterwards
        # and the event loop apart.
        if len(self.body) > _PARSE_IN_THREAD:
            return await asyncio.to_thread(orjson.loads, self.body)
        return orjson.loads(self.body)


class Http:
    """The API under one base URL. Credentials go to that origin only: redirects are not followed."""

    def __init__(
        self,
        url: HttpUrl,
        session: aiohttp.ClientSession,
        *,
        timeout: timedelta,
        auth: HttpAuth | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.address = base(url)
        self.seconds = timeout.total_seconds()
        self._session = session
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._headers = {**(headers or {})}
        if auth is not None and auth.bearer is not None:
            self._headers["Authorization"] = f"Bearer {auth.bearer.get_secret_value()}"
        elif auth is not None and auth.basic is not None:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(
                auth.basic.username, auth.basic.password.get_secret_value()
            )

    def deadline(self) -> float:
        """When an answer made of several calls that begins now has to be complete, in the loop's time."""
        return asyncio.get_running_loop().time() + self.seconds

    async def call(
        self,
        path: str,
        params: Params,
        *,
        form: bool = False,
        until: float | None = None,
        cap: int = MAX_BODY,
    ) -> Reply:
        """The reply to a GET, or with ``form`` to a POST of a form. Without ``until`` the timeout begins when
        the call does. Raises Refused with a sentence for whatever went wrong on the way."""
        try:
            if until is not None:
                async with asyncio.timeout_at(until), self._slots:
                    reply = await self._fetch(path, params, form, cap)
            else:
                async with self._slots, asyncio.timeout(self.seconds):
                    reply = await self._fetch(path, params, form, cap)
        except TimeoutError:
            raise Refused(f"no answer within {self.seconds:g} s") from None
        except aiohttp.ClientError as error:
            raise Refused(f"cannot reach {self.address}: {_network_reason(error)}") from None
        except OSError as error:
            raise Refused(f"cannot reach {self.address}: {error.strerror or type(error).__name__}") from None
        if 300 <= reply.status < 400:
            raise Refused(
                f"answered {reply.status}, a redirect, probably to a login page; the url or auth is wrong"
            )
        return reply

    async def _fetch(self, path: str, params: Params, form: bool, cap: int) -> Reply:
        fields = list(params)
        async with self._session.request(
            "POST" if form else "GET",
            f"{self.address}{path}",
            data=aiohttp.FormData(fields) if form else None,
            params=None if form else fields,
            headers=self._headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self.seconds),
        ) as response:
            chunks = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                chunks += chunk
                if len(chunks) > cap:
                    raise TooLarge(f"the answer is larger than {_size(cap)}")
            return Reply(status=response.status, kind=response.content_type, body=bytes(chunks))


async def json_of(reply: Reply, api: str, complaint: Callable[[Any], str | None]) -> Any:
    """The JSON of a good reply. ``complaint`` finds the server's words in the JSON of a bad one; a bad one
    in plain text is its own words. Raises Refused."""
    try:
        data = await reply.json()
    except ValueError:
        if reply.status != 200 and reply.kind == "text/plain" and reply.body.strip():
            said = clean(reply.body[:4096].decode("utf-8", "replace").strip(), limit=_ERROR_TEXT)
            raise Refused(f"answered {reply.status}: {said}") from None
        kind = reply.kind or "something"
        raise Refused(f"answered {reply.status} with {kind} that is not {api}") from None
    if reply.status != 200:
        said = clean(complaint(data) or "", limit=_ERROR_TEXT)
        raise Refused(f"answered {reply.status}{': ' if said else ''}{said}")
    return data


def base(url: HttpUrl) -> str:
    """A URL that paths are put behind; the schema lets no credential in."""
    return str(url).rstrip("/")


def _size(count: int) -> str:
    return f"{count // 1024 // 1024} MiB" if count >= 1024 * 1024 else f"{count // 1024} KiB"


def _network_reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.strerror or "connection failed"
    # Others may print headers or URLs; their names say enough.
    return type(error).__name__
