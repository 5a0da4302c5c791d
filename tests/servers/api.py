"""What the stand-ins of HTTP APIs have in common: a loopback server that can be told to misbehave."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.test_utils import TestServer

FLOOD = 64 * 1024 * 1024
"""Bytes after which even a flood ends."""

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Subclasses answer in :meth:`handle`. ``fault`` takes over after ``healthy_calls`` further calls.
    ``asked`` holds path and parameters of every call."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.healthy_calls = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self._server: TestServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return str(self._server.make_url("/"))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raise AssertionError("each API says how it answers")

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._entry)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        await self._server.close()

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.query)))
        self.headers.append(dict(request.headers))
        if self.fault is not None:
            if self.healthy_calls == 0:
                return await self.fault(request)
            self.healthy_calls -= 1
        return await self.handle(request)


def saying(status: int, text: str, kind: str = "text/plain") -> Fault:
    """Always the same answer."""

    async def fault(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=kind)

    return fault


async def hanging(request: web.Request) -> web.StreamResponse:
    """Takes the question and says nothing."""
    await asyncio.sleep(60)
    return web.Response()


async def dropping(request: web.Request) -> web.StreamResponse:
    """Breaks off in the middle."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"status":')
    assert request.transport is not None
    request.transport.close()
    return response


async def flooding(request: web.Request) -> web.StreamResponse:
    """Does not stop."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(FLOOD // 65_536):
        await response.write(b" " * 65_536)
    return response


async def bursting(request: web.Request) -> web.StreamResponse:
    """A few kilobytes that unpack to a flood."""
    body = gzip.compress(b" " * (16 * 1024 * 1024), compresslevel=1)
    return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


async def dripping(request: web.Request) -> web.StreamResponse:
    """Always says a little more, so that no silence is ever long."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        for _ in range(1000):
            await response.write(b" ")
            await asyncio.sleep(0.02)
    except ConnectionError:
        pass
    return response


COMMON: dict[str, tuple[Fault, str]] = {
    "hang": (hanging, "no answer within 0.5 s"),
    "drip": (dripping, "no answer within 0.5 s"),
    "burst": (bursting, "larger than 8 MiB"),
    "drop": (dropping, "cannot reach http://127.0.0.1"),
    "flood": (flooding, "larger than 8 MiB"),
    "login page": (saying(200, "<html>Sign in</html>", "text/html"), "text/html that is not the"),
    "gateway": (saying(502, "<html>Bad gateway</html>", "text/html"), "answered 502 with text/html"),
    "redirect": (saying(302, ""), "redirect"),
    "busy": (saying(429, "too many outstanding requests"), "answered 429: too many outstanding requests"),
    "broken": (saying(500, "internal error\n"), "answered 500: internal error"),
    "truncated": (saying(200, '{"status": "succ', "application/json"), "that is not the"),
    "another shape": (saying(200, "[1, 2, 3]", "application/json"), ""),
    "null": (saying(200, "null", "application/json"), ""),
}
"""Faults that any API can have, with what the reason must hold. Those of :data:`SLOW` last."""

SLOW = frozenset({"hang", "drip"})
"""For a timeout of half a second."""
