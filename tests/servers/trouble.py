"""A stand-in of an HTTP API: who may ask, how often, and what goes wrong on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Trouble:
    """``kind``: slow, flood, drop, html, malformed, redirect, changed or a number (a status with ``body``),
    for the requests whose path (or with a ``=``, whose query) ends in ``path``. ``asked``: every path and
    query that came in, in order. ``change``: what is made of the JSON of an answer before it is sent."""

    kind: str = ""
    path: str = ""
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    change: Callable[[Any], Any] | None = None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        address = request.path_qs if "=" in self.path else request.path
        if not self.kind or not address.endswith(self.path):
            return await handler(request)
        match self.kind:
            case "changed":
                response = await handler(request)
                assert isinstance(response, web.Response)
                assert self.change is not None
                data = self.change(json.loads(response.text or ""))
                return web.json_response(data, status=response.status)
            case "slow":
                await asyncio.sleep(30)
                return await handler(request)
            case "flood":
                return await _flood(request)
            case "drop":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"{")
                assert request.transport is not None
                request.transport.close()
                return response
            case "html":
                return web.Response(text="<html><form>Sign in</form></html>", content_type="text/html")
            case "malformed":
                return web.Response(text="{oops", content_type="application/json")
            case "redirect":
                return web.Response(
                    status=302, headers={"Location": "https://login.example.org/", **self.headers}
                )
            case _:
                return web.Response(
                    status=int(self.kind),
                    text=self.body,
                    content_type="application/json",
                    headers=self.headers,
                )


async def _flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(400):
        await response.write(b" " * 65_536)
    return response


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The base address of the application, without a slash at its end."""
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


def page_of(
    request: web.Request, items: list[object], *, default: int = 30
) -> tuple[list[object], str | None]:
    """The page asked for, and the address of the next one, as GitHub and GitLab number them."""
    size = min(int(request.query.get("per_page", default)), 100)
    number = int(request.query.get("page", 1))
    rest = items[number * size :]
    following = str(request.url.update_query(page=str(number + 1))) if rest else None
    return items[(number - 1) * size : number * size], following
