"""The client-server API over aiohttp: one request method, one place where errors become ours.

Errors follow the specification's "Standard error response" (v1.16, 2.4) and "Rate limiting" (2.5).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import aiohttp

from bot.domain.errors import Unavailable

SYSTEM = "matrix"
REQUEST_SECONDS = 30.0
_ENDED = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED"})
_LONGEST_WAIT = timedelta(minutes=10)
_ERROR_TEXT = 200


class Refused(Unavailable):
    """The server answered and said no. ``errcode`` and ``status`` are the server's."""

    def __init__(self, errcode: str, status: int, reason: str) -> None:
        self.errcode = errcode
        self.status = status
        super().__init__(SYSTEM, f"{errcode}: {reason}")


class SessionEnded(Refused):
    """The access token is not valid (any more): nothing will work until a person acts."""


def path(*parts: str) -> str:
    """A path below the client API with every part percent-encoded."""
    return "/_matrix/client/" + "/".join(quote(part, safe="") for part in parts)


class MatrixHttp:
    """Requests with the access token, each bounded in time, none repeated behind the caller's back."""

    def __init__(self, session: aiohttp.ClientSession, homeserver: str) -> None:
        self._session = session
        self._homeserver = homeserver.rstrip("/")
        self.access_token: str | None = None

    @property
    def homeserver(self) -> str:
        return self._homeserver

    async def request(
        self,
        method: str,
        where: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """Return the JSON object answered.

        Raises SessionEnded, Refused (4xx), or Unavailable (no answer in ``seconds``, 5xx, 429 with the
        server's ``retry_after``, an answer that is not JSON).
        """
        headers = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        try:
            async with asyncio.timeout(seconds):
                async with self._session.request(
                    method, self._homeserver + where, json=body, params=params, headers=headers
                ) as answer:
                    status, raw = answer.status, await answer.read()
        except TimeoutError:
            raise Unavailable(SYSTEM, f"{self._homeserver} did not answer within {seconds:.0f} s") from None
        except aiohttp.ClientError as error:
            raise Unavailable(SYSTEM, f"{self._homeserver} cannot be reached: {_say(error)}") from None
        return check(status, raw)


def check(status: int, raw: bytes) -> dict[str, Any]:
    """Return the object of a good answer, raise our error for any other."""
    try:
        document = json.loads(raw)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        if status == 429:
            raise Unavailable(SYSTEM, "rate limited", retry_after=timedelta(seconds=5))
        raise Unavailable(SYSTEM, f"answered {status} with something that is not a JSON object")
    if 200 <= status < 300:
        return document
    errcode = str(document.get("errcode", "M_UNKNOWN"))
    reason = str(document.get("error", ""))[:_ERROR_TEXT] or f"status {status}"
    if status == 429 or errcode == "M_LIMIT_EXCEEDED":
        raise Unavailable(SYSTEM, "rate limited", retry_after=_retry_after(document))
    if errcode in _ENDED:
        raise SessionEnded(errcode, status, reason)
    if status >= 500:
        raise Unavailable(SYSTEM, f"answered {status}: {errcode}: {reason}")
    raise Refused(errcode, status, reason)


def _retry_after(document: Mapping[str, Any]) -> timedelta:
    wish = document.get("retry_after_ms")
    if not isinstance(wish, int | float) or isinstance(wish, bool) or wish < 0:
        return timedelta(seconds=5)
    return min(timedelta(milliseconds=wish), _LONGEST_WAIT)


def _say(error: aiohttp.ClientError) -> str:
    return (str(error) or type(error).__name__)[:_ERROR_TEXT]
