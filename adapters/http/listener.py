"""Binds the port and routes requests: webhooks, health, readiness, metrics and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from adapters.http.auth import refuse_unsafe
from adapters.http.webhook import SourceWebhook, error, json_answer, unavailable
from bot.domain.batch import ParseAlerts
from bot.domain.clock import Clock
from bot.domain.errors import ConfigError, Unavailable
from bot.domain.redaction import redact
from bot.ports import AlertSink
from bot.telemetry import Metrics
from config.schema import Limits, Listen, Source

Readiness = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Names what must work (``store``, ``chat:matrix``) with None, or with one sentence why it does not."""


class BoundListener:
    """A listener that has its port. Stop it in two stages: no new connections, then let requests finish."""

    def __init__(self, port: int, site: web.TCPSite, routes: _Routes) -> None:
        self.port = port
        self._site = site
        self._routes = routes

    async def stop_accepting(self) -> None:
        """Close the listening socket. Webhooks on connections that are still open get 503 and come again."""
        self._routes.stopping = True
        await self._site.stop()


@asynccontextmanager
async def open_listener(
    listen: Listen,
    *,
    sources: Sequence[Source],
    limits: Limits,
    parsers: Mapping[str, ParseAlerts],
    sink: AlertSink,
    metrics: Metrics,
    readiness: Readiness,
    clock: Clock,
    read_seconds: float = 15.0,
    store_seconds: float = 10.0,
    header_seconds: float = 75.0,
    readiness_seconds: float = 2.0,
    linger_seconds: float = 2.0,
    drain_seconds: float = 10.0,
) -> AsyncIterator[BoundListener]:
    """Listen until the context ends; then requests in flight have ``drain_seconds`` to finish.

    ``parsers`` by source kind. A body must be complete within ``read_seconds`` and stored within
    ``store_seconds``; a connection that is idle, or whose request headers are not complete, is closed
    after ``header_seconds``. What still arrives of a refused body is discarded for ``linger_seconds``, so
    that the sender sees the answer and not a reset connection.

    Raises ConfigError for an open source on a reachable address or a kind without a parser, and
    Unavailable when the port cannot be bound.
    """
    by_name = {source.name: source for source in sources}
    refuse_unsafe(listen.host, by_name)
    unknown = sorted({source.kind for source in sources} - set(parsers))
    if unknown:
        raise ConfigError([f"sources: no parser for kind {kind}" for kind in unknown])
    routes = _Routes(
        {
            name: SourceWebhook(
                source,
                parsers[source.kind],
                limits=limits,
                sink=sink,
                metrics=metrics,
                clock=clock,
                read_seconds=read_seconds,
                store_seconds=store_seconds,
            )
            for name, source in by_name.items()
        },
        metrics,
        readiness,
        readiness_seconds,
    )
    server = web.Server(
        routes.handle,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=header_seconds,
        lingering_time=linger_seconds,
    )
    runner = web.ServerRunner(server, shutdown_timeout=drain_seconds)
    await runner.setup()
    try:
        site = web.TCPSite(runner, listen.host, listen.port, backlog=1024)
        try:
            await site.start()
        except OSError as fault:
            raise Unavailable(
                "listener", f"cannot listen on {listen.host}:{listen.port}: {fault.strerror}"
            ) from None
        yield BoundListener(int(runner.addresses[0][1]), site, routes)
    finally:
        await runner.cleanup()


class _Routes:
    """The handlers. ``stopping`` is set once, when intake ends."""

    def __init__(
        self,
        webhooks: Mapping[str, SourceWebhook],
        metrics: Metrics,
        readiness: Readiness,
        readiness_seconds: float,
    ) -> None:
        self.stopping = False
        self._webhooks = webhooks
        self._metrics = metrics
        self._readiness = readiness
        self._readiness_seconds = readiness_seconds
        self._pages = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._render_metrics,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Find the handler by the path. aiohttp's own router costs more than parsing the alert does."""
        _, first, *rest = request.path.split("/")
        if first == "webhook" and 1 <= len(rest) <= 2:
            webhook = self._webhooks.get(rest[0])
            secret = rest[1] if len(rest) == 2 else None
            if webhook is None or (secret is not None and not webhook.takes_path_secret):
                return error(404, "there is no such source; its name is the last part of the path")
            if request.method not in ("POST", "PUT"):
                return _not_allowed("POST, PUT")
            return await self._webhook(request, webhook, secret)
        page = self._pages.get(request.path)
        if page is None:
            return error(404, "there is nothing here")
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        return await page()

    async def _webhook(
        self, request: web.BaseRequest, webhook: SourceWebhook, secret: str | None
    ) -> web.Response:
        if self.stopping:
            response = unavailable("Assent is stopping; send the alerts again")
            response.force_close()
            return response
        return await webhook.answer(request, secret)

    async def _healthz(self) -> web.Response:
        return json_answer(200, {"status": "alive"})

    async def _readyz(self) -> web.Response:
        checks: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self._readiness_seconds):
                found = await self._readiness()
        except TimeoutError:
            found = {"readiness": f"no answer within {self._readiness_seconds:g} s"}
        if self.stopping:
            found = {**found, "listener": "stopping"}
        for name, reason in found.items():
            checks[name] = {"ok": reason is None, "reason": None if reason is None else redact(reason)}
        ready = all(check["ok"] for check in checks.values())
        return json_answer(200 if ready else 503, {"ready": ready, "checks": checks})

    async def _render_metrics(self) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": self._metrics.content_type})


def _not_allowed(methods: str) -> web.Response:
    response = error(405, f"only {methods} here")
    response.headers["Allow"] = methods
    return response
