"""One call to Prometheus's API: its envelope opened, and every failure a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from adapters.evidence.http import Http, Params, Refused, Reply
from bot.domain.redaction import clean
from config.schema import PrometheusSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``data`` of a successful envelope, and the warnings that came with it."""

    data: Mapping[str, Any]
    warnings: tuple[str, ...]


class Client:
    """The API under one base URL."""

    def __init__(self, config: PrometheusSource, session: aiohttp.ClientSession) -> None:
        self._http = Http(config.url, session, timeout=config.timeout, auth=config.auth)
        self.address = self._http.address
        self.timeout = config.timeout

    def deadline(self) -> float:
        """When an answer made of several calls that begins now has to be complete, in the loop's time."""
        return self._http.deadline()

    async def call(self, path: str, params: Params, *, form: bool, until: float | None = None) -> Answer:
        """The envelope's data. Raises Refused with a sentence for whatever went wrong."""
        return await _decode(await self._http.call(path, params, form=form, until=until))


async def _decode(reply: Reply) -> Answer:
    try:
        envelope = await reply.json()
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict) or envelope.get("status") not in ("success", "error"):
        kind = reply.kind or "something"
        raise Refused(f"answered {reply.status} with {kind} that is not the Prometheus API")
    if envelope["status"] == "error":
        error = clean(str(envelope.get("error") or "no reason given"), limit=300)
        raise Refused(f"answered {reply.status} {envelope.get('errorType') or 'error'}: {error}")
    if reply.status != 200:
        raise Refused(f"answered {reply.status}")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise Refused("answered without data")
    warnings = envelope.get("warnings")
    notes = [str(w) for w in warnings] if isinstance(warnings, list) else []
    if envelope.get("isPartial") is True:  # VictoriaMetrics cluster
        notes.append("partial answer: some storage nodes did not respond")
    return Answer(data=data, warnings=tuple(notes))
