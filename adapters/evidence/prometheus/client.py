"""One HTTP call to Prometheus's API: capped, timed, and every failure a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from bot.domain.redaction import clean
from config.schema import PrometheusSource

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one answer that we are willing to read."""
_PARALLEL = 8
_PARSE_IN_THREAD = 32 * 1024


class Refused(Exception):
    """The API did not answer; the text is what a person is told. Never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``data`` of a successful envelope, and the warnings that came with it."""

    data: Mapping[str, Any]
    warnings: tuple[str, ...]


class Client:
    """The API under one base URL. Credentials go to that origin only: redirects are not followed."""

    def __init__(self, config: PrometheusSource, session: aiohttp.ClientSession) -> None:
        self.address = str(config.url).rstrip("/")
        self._session = session
        self._timeout = config.timeout.total_seconds()
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._headers: dict[str, str] = {}
        if config.auth.bearer is not None:
            self._headers["Authorization"] = f"Bearer {config.auth.bearer.get_secret_value()}"
        elif config.auth.basic is not None:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(
                config.auth.basic.username, config.auth.basic.password.get_secret_value()
            )

    async def call(self, path: str, params: Sequence[tuple[str, str]], *, form: bool) -> Answer:
        """The envelope's data. Raises Refused with a sentence for whatever went wrong."""
        try:
            async with self._slots, asyncio.timeout(self._timeout):
                status, kind, body = await self._fetch(path, params, form)
                return await _decode(status, kind, body)
        except TimeoutError:
            raise Refused(f"no answer within {self._timeout:g} s") from None
        except aiohttp.ClientError as error:
            raise Refused(f"cannot reach {self.address}: {_network_reason(error)}") from None
        except OSError as error:
            raise Refused(f"cannot reach {self.address}: {error.strerror or type(error).__name__}") from None

    async def _fetch(
        self, path: str, params: Sequence[tuple[str, str]], form: bool
    ) -> tuple[int, str, bytes]:
        body = list(params)
        async with self._session.request(
            "POST" if form else "GET",
            f"{self.address}{path}",
            data=aiohttp.FormData(body) if form else None,
            params=None if form else body,
            headers=self._headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        ) as response:
            chunks = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                chunks += chunk
                if len(chunks) > MAX_BODY:
                    raise Refused(f"the answer is larger than {MAX_BODY // 1024 // 1024} MiB")
            return response.status, response.content_type, bytes(chunks)


async def _decode(status: int, kind: str, body: bytes) -> Answer:
    try:
        # orjson holds the GIL for the whole document; a thread keeps at least the conversion afterwards
        # and the event loop apart.
        envelope = (
            await asyncio.to_thread(orjson.loads, body)
            if len(body) > _PARSE_IN_THREAD
            else orjson.loads(body)
        )
    except orjson.JSONDecodeError:
        envelope = None
    if 300 <= status < 400:
        raise Refused(f"answered {status}, a redirect, probably to a login page; the url or auth is wrong")
    if not isinstance(envelope, dict) or envelope.get("status") not in ("success", "error"):
        raise Refused(f"answered {status} with {kind or 'something'} that is not the Prometheus API")
    if envelope["status"] == "error":
        error = clean(str(envelope.get("error") or "no reason given"), limit=300)
        raise Refused(f"answered {status} {envelope.get('errorType') or 'error'}: {error}")
    if status != 200:
        raise Refused(f"answered {status}")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise Refused("answered without data")
    warnings = envelope.get("warnings")
    notes = [str(w) for w in warnings] if isinstance(warnings, list) else []
    if envelope.get("isPartial") is True:  # VictoriaMetrics cluster
        notes.append("partial answer: some storage nodes did not respond")
    return Answer(data=data, warnings=tuple(notes))


def _network_reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.strerror or "connection failed"
    # Others may print headers or URLs; their names say enough.
    return type(error).__name__


def public_address(config: PrometheusSource) -> str:
    """Where links point: ``external_url`` or the API's own address; the schema lets no credential in."""
    return str(config.external_url or config.url).rstrip("/")
