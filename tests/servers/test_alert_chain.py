"""The servers that other tests stand on: a rule becomes a webhook within seconds."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.servers.ports import free_port
from tests.servers.prometheus import Alertmanager, Prometheus

pytestmark = pytest.mark.real


async def test_a_dead_target_reaches_the_webhook_with_its_bearer_token() -> None:
    bodies: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        bodies.put_nowait((request.headers.get("Authorization", ""), await request.json()))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/hook", hook)
    rule = {"alert": "Down", "expr": "up == 0", "for": "2s", "labels": {"service": "dead"}}
    async with TestServer(app) as server:
        url = str(server.make_url("/hook"))
        async with Alertmanager(webhook=url, bearer="sesame") as alertmanager:
            target = f"127.0.0.1:{free_port()}"
            async with Prometheus(scrape={"dead": [target]}, rules=[rule], alertmanagers=[alertmanager.url]):
                began = time.monotonic()
                authorization, body = await asyncio.wait_for(bodies.get(), 30)
    assert authorization == "Bearer sesame"
    assert body["alerts"][0]["labels"]["instance"] == target
    assert body["alerts"][0]["generatorURL"].endswith("g0.expr=up+%3D%3D+0&g0.tab=1")
    assert time.monotonic() - began < 25
