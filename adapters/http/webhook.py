"""One delivery of alerts: authenticate, read, parse, store, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

import orjson
import structlog
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import Histogram

from adapters.http.auth import Authenticator, authenticator
from adapters.http.body import Refusal, decode, read_limited
from bot.domain.alert import IngestResult, IngestStatus
from bot.domain.batch import BodyError, BodyProblem, ParseAlerts, ParsedBatch
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.ports import AlertSink
from bot.telemetry import Metrics
from config.schema import Limits, Source

_STATUS_OF = {BodyProblem.MALFORMED: 400, BodyProblem.UNUSABLE: 422, BodyProblem.TOO_LARGE: 413}

_OFF_LOOP_BYTES = 64 * 1024
"""A body above this is parsed in a thread, so that one large batch does not hold up every other request."""

_RETRY_AFTER = timedelta(seconds=5)
_COMPLAIN_EVERY = timedelta(seconds=10)
_LOGGED_REJECTIONS = 5


_JSON = CIMultiDict({"Content-Type": "application/json"})


class SourceWebhook:
    """The endpoint of one source."""

    def __init__(
        self,
        source: Source,
        parse: ParseAlerts,
        *,
        limits: Limits,
        sink: AlertSink,
        metrics: Metrics,
        clock: Clock,
        read_seconds: float,
        store_seconds: float,
    ) -> None:
        self.name = source.name
        self.takes_path_secret = source.auth.path_secret is not None
        self._kind = source.kind
        self._auth: Authenticator = authenticator(source, clock)
        self._parse = parse
        self._limits = limits
        self._sink = sink
        self._metrics = metrics
        self._clock = clock
        self._read_seconds = read_seconds
        self._store_seconds = store_seconds
        self._log = structlog.get_logger("assent.webhook").bind(source=source.name)
        self._unauthorised = _Quietly(clock)
        self._seconds: dict[int, Histogram] = {}

    async def answer(self, request: web.BaseRequest, path_secret: str | None) -> web.Response:
        """Store the alerts of one request and say what became of each."""
        started = perf_counter()
        code = 500
        try:
            response = await self._answer(request, path_secret)
            code = response.status
            return response
        finally:
            self._seconds_of(code).observe(perf_counter() - started)

    def _seconds_of(self, code: int) -> Histogram:
        """Kept: finding a series by its labels costs more than observing it."""
        if (found := self._seconds.get(code)) is None:
            found = self._seconds[code] = self._metrics.webhook_seconds.labels(self.name, str(code))
        return found

    async def _answer(self, request: web.BaseRequest, path_secret: str | None) -> web.Response:
        try:
            body = await self._authenticated_body(request, path_secret)
            batch = await self._parsed(decode(request, body, limit=self._limits.body_bytes))
            stored = await self._store(batch)
        except Refusal as refusal:
            if refusal.status == 401:
                return self._unauthorised_answer(request)
            self._log.warning("webhook_refused", status=refusal.status, reason=refusal.reason)
            return error(refusal.status, refusal.reason)
        except BodyError as problem:
            status = _STATUS_OF[problem.problem]
            self._log.warning("webhook_refused", status=status, reason=str(problem))
            return error(status, str(problem))
        except Unavailable as fault:
            self._log.error("webhook_not_stored", reason=str(fault))
            return unavailable("the alerts could not be stored; send them again", fault.retry_after)
        return self._report(batch, stored)

    async def _authenticated_body(self, request: web.BaseRequest, path_secret: str | None) -> bytes:
        if not self._auth.needs_body and not self._auth.allows(request.headers, path_secret, b""):
            raise Refusal(401, "")
        body = await read_limited(request, limit=self._limits.body_bytes, seconds=self._read_seconds)
        if self._auth.needs_body and not self._auth.allows(request.headers, path_secret, body):
            raise Refusal(401, "")
        return body

    async def _parsed(self, body: bytes) -> ParsedBatch:
        now = self._clock.now()
        if len(body) > _OFF_LOOP_BYTES:
            return await asyncio.to_thread(self._parse, body, source=self.name, received_at=now)
        return self._parse(body, source=self.name, received_at=now)

    async def _store(self, batch: ParsedBatch) -> Sequence[IngestResult]:
        if not batch.alerts:
            return ()
        try:
            async with asyncio.timeout(self._store_seconds):
                return await self._sink.ingest([parsed.alert for parsed in batch.alerts])
        except TimeoutError:
            raise Unavailable("store", f"no answer within {self._store_seconds:g} s") from None

    def _report(self, batch: ParsedBatch, stored: Sequence[IngestResult]) -> web.Response:
        results = [_line(result) for result in batch.rejected]
        accepted, duplicate, rejected = 0, 0, len(batch.rejected)
        for parsed, result in zip(batch.alerts, stored, strict=True):
            if result.status is IngestStatus.ACCEPTED:
                accepted += 1
            elif result.status is IngestStatus.DUPLICATE:
                duplicate += 1
            else:
                rejected += 1
            results.append(_line(result, index=parsed.index, reason=result.reason or parsed.note))
        if len(results) > 1:
            results.sort(key=lambda line: line["index"])
        self._metrics.alerts_received.inc(accepted + duplicate)
        if duplicate:
            self._metrics.alerts_coalesced.inc(duplicate)
        if rejected:
            told = [line["reason"] for line in results if line["status"] == IngestStatus.REJECTED]
            self._log.warning("alerts_rejected", count=len(told), first=told[:_LOGGED_REJECTIONS])
        if batch.truncated:
            self._log.warning("sender_left_alerts_out", count=batch.truncated)
        all_rejected = bool(results) and rejected == len(results)
        answer: dict[str, Any] = {
            "accepted": accepted,
            "duplicate": duplicate,
            "rejected": rejected,
            "truncated": batch.truncated,
            "results": results,
        }
        if batch.note is not None:
            answer["note"] = batch.note
        return json_answer(422 if all_rejected else 202, answer)

    def _unauthorised_answer(self, request: web.BaseRequest) -> web.Response:
        suppressed = self._unauthorised.may_speak()
        if suppressed is not None:
            self._log.warning("webhook_unauthorised", remote=request.remote, also_since_last=suppressed)
        response = error(401, "not authorised")
        response.headers["WWW-Authenticate"] = self._auth.challenge
        return response


class _Quietly:
    """Lets one complaint through per interval: whoever guesses passwords must not fill the disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: datetime | None = None
        self._suppressed = 0

    def may_speak(self) -> int | None:
        """None to stay quiet, else how many were kept quiet since the last time."""
        now = self._clock.now()
        if self._next is not None and now < self._next:
            self._suppressed += 1
            return None
        self._next = now + _COMPLAIN_EVERY
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


def _line(result: IngestResult, *, index: int | None = None, reason: str | None = None) -> dict[str, Any]:
    return {
        "index": result.index if index is None else index,
        "status": result.status.value,
        "fingerprint": result.fingerprint,
        "reason": reason or result.reason,
    }


def json_answer(status: int, content: Mapping[str, Any]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), headers=_JSON)


def error(status: int, reason: str) -> web.Response:
    """A refusal as ``{"error": reason}``."""
    return json_answer(status, {"error": reason})


def unavailable(reason: str, retry_after: timedelta | None = None) -> web.Response:
    """503 with ``Retry-After`` in whole seconds, at least one."""
    response = error(503, reason)
    response.headers["Retry-After"] = str(max(1, round((retry_after or _RETRY_AFTER).total_seconds())))
    return response
