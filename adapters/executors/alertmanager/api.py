"""The part of Alertmanager's API v2 that silences need.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from adapters.executors.alertmanager.matchers import Matchers
from adapters.executors.output import tidy_line
from bot.domain.clock import from_rfc3339, to_rfc3339
from bot.domain.errors import Unavailable
from config.schema import AlertmanagerTarget

CREATED_BY = "assent"
MAX_BODY = 16 * 1024 * 1024
SYSTEM = "alertmanager"


class Refused(Exception):
    """Alertmanager answered, with a status that means no; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """A firing alert; ``suppressed`` by a silence or an inhibition."""

    name: str
    suppressed: bool
    silenced_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A silence as Alertmanager holds it; ``state`` is pending, active or expired."""

    id: str
    state: str
    updated_at: str
    ends_at: datetime
    comment: str
    created_by: str
    matchers: Matchers

    @property
    def uid(self) -> str:
        """Changes with every edit of the silence, its end included."""
        return f"{self.id}@{self.updated_at}"


class AlertmanagerApi:
    """One Alertmanager. Credentials go to its own origin only: redirects are not followed."""

    def __init__(self, target: AlertmanagerTarget, session: aiohttp.ClientSession) -> None:
        self.url = str(target.url).rstrip("/")
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=target.timeout.total_seconds())
        self._headers: dict[str, str] = {}
        if target.auth.bearer is not None:
            self._headers["Authorization"] = f"Bearer {target.auth.bearer.get_secret_value()}"
        elif target.auth.basic is not None:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(
                target.auth.basic.username, target.auth.basic.password.get_secret_value()
            )

    async def alerts(self, matchers: Matchers | None = None) -> Sequence[ActiveAlert]:
        """The firing alerts, or those that match. Raises Unavailable."""
        filters = [("filter", text) for text in matchers.filters()] if matchers is not None else []
        found = await self._read("/api/v2/alerts", [*filters, ("active", "true")])
        return [
            ActiveAlert(
                name=str(item["labels"].get("alertname", "")),
                suppressed=item["status"]["state"] == "suppressed",
                silenced_by=tuple(item["status"]["silencedBy"]),
            )
            for item in found
        ]

    async def silence(self, silence_id: str) -> Silence | None:
        """One silence, None when there is no such. Raises Unavailable."""
        try:
            return _silence(await self._read(f"/api/v2/silence/{silence_id}", []))
        except Refused:
            return None

    async def silence_of(self, key: str) -> Silence | None:
        """The silence that was made under an idempotency key, whatever became of it. Raises Unavailable."""
        for item in await self._read("/api/v2/silences", []):
            silence = _silence(item)
            if silence.created_by == CREATED_BY and silence.comment.endswith(mark_of(key)):
                return silence
        return None

    async def create(self, matchers: Matchers, start: datetime, end: datetime, comment: str) -> str:
        """Make a silence and return its id. Raises Refused, or Unavailable when it is not known whether
        it was made."""
        answer = await self._call(
            "POST",
            "/api/v2/silences",
            body={
                "matchers": matchers.documents(),
                "startsAt": to_rfc3339(start),
                "endsAt": to_rfc3339(end),
                "createdBy": CREATED_BY,
                "comment": comment,
            },
        )
        return str(_parsed(answer)["silenceID"])

    async def expire(self, silence_id: str) -> None:
        """End a silence. Raises Refused, or Unavailable when it is not known whether it ended."""
        await self._call("DELETE", f"/api/v2/silence/{silence_id}")

    async def _read(self, path: str, params: Sequence[tuple[str, str]]) -> Any:
        try:
            return _parsed(await self._call("GET", path, params=params))
        except Refused as error:
            if str(error).startswith("HTTP 404"):
                raise
            raise Unavailable(SYSTEM, str(error)) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        try:
            async with self._session.request(
                method,
                self.url + path,
                params=list(params),
                data=None if body is None else orjson.dumps(body),
                headers={**self._headers, "Content-Type": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(MAX_BODY + 1)
                while len(content) <= MAX_BODY and (more := await response.content.read(65_536)):
                    content += more
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(SYSTEM, type(error).__name__) from error
        if status >= 500:
            raise Unavailable(SYSTEM, f"HTTP {status}: {_reason(content)}")
        if status // 100 != 2:
            raise Refused(f"HTTP {status}: {_reason(content)}")
        if len(content) > MAX_BODY:
            raise Unavailable(SYSTEM, f"the answer is longer than {MAX_BODY} bytes")
        return content


def mark_of(key: str) -> str:
    """What a comment ends with, so that the silence of a key can be found again."""
    return f"[assent:{key}]"


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unavailable(SYSTEM, "the answer is not JSON") from error


def _silence(item: Any) -> Silence:
    try:
        return Silence(
            id=item["id"],
            state=item["status"]["state"],
            updated_at=item["updatedAt"],
            ends_at=from_rfc3339(item["endsAt"]),
            comment=item["comment"],
            created_by=item["createdBy"],
            matchers=Matchers.of_documents(item["matchers"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(SYSTEM, f"a silence in an unknown form: {type(error).__name__}") from error


def _reason(content: bytes) -> str:
    return tidy_line(content[:1000].decode(errors="replace"))[:200]
