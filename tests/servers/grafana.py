"""A stand-in for the parts of Grafana that its MCP server reads, with a real Prometheus behind it; and that
server, which is Grafana's own.

Paths and shapes after Grafana 12's HTTP API (https://grafana.com/docs/grafana/latest/developers/http_api/).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import psutil
import pytest
from aiohttp import web

from tests.servers.api import Api
from tests.servers.ports import free_port

TOKEN = "glsa_aaaabbbbccccddddeeeeffff00001111_22223333"
FLAGS = (
    "--disable-write",
    "--disable-api",
    "--enabled-tools",
    "prometheus,loki,dashboard,search,datasource,alerting,annotations",
    "--usage-stats",
    "disabled",
)
_START = 20.0
_SHOP = {
    "id": 1,
    "uid": "shop",
    "title": "Shop overview",
    "version": 3,
    "schemaVersion": 39,
    "tags": ["shop"],
    "time": {"from": "now-1h", "to": "now"},
    "templating": {"list": []},
    "panels": [
        {
            "id": 1,
            "type": "timeseries",
            "title": "Scrapes",
            "datasource": {"type": "prometheus", "uid": "prom"},
            "targets": [{"refId": "A", "expr": "up", "datasource": {"type": "prometheus", "uid": "prom"}}],
            "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0},
        }
    ],
}
_RULE = {
    "state": "firing",
    "name": "HighErrorRate",
    "query": "up == 0",
    "health": "ok",
    "type": "alerting",
    "uid": "r1",
    "folderUid": "f1",
    "labels": {"severity": "critical"},
    "annotations": {"summary": "High error rate"},
    "alerts": [],
}


class Grafana(Api):
    """Asks for the token of every request."""

    def __init__(self, prometheus: str) -> None:
        super().__init__()
        self._prometheus = prometheus
        self._source = {
            "id": 1,
            "uid": "prom",
            "orgId": 1,
            "name": "Prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus,
            "isDefault": True,
            "jsonData": {},
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"message": "Unauthorized"}, status=401)
        proxied = re.fullmatch(r"/api/datasources/(?:proxy/)?uid/prom/(?:resources/)?(api/.+)", request.path)
        if proxied is not None:
            return await self._proxy(request, proxied[1])
        found = self._documents().get(request.path.rstrip("/"))
        if found is None:
            return web.json_response({"message": "Not found"}, status=404)
        return web.json_response(found)

    def _documents(self) -> dict[str, Any]:
        group = {"name": "shop", "file": "Shop", "folderUid": "f1", "interval": 60, "rules": [_RULE]}
        return {
            "/api/health": {"database": "ok", "version": "12.3.0", "commit": "x"},
            "/api/frontend/settings": {"buildInfo": {"version": "12.3.0"}, "namespace": "default"},
            "/api/org": {"id": 1, "name": "Main Org."},
            "/api/datasources": [self._source],
            "/api/datasources/uid/prom": self._source,
            "/api/search": [
                {
                    "id": 1,
                    "uid": "shop",
                    "title": "Shop overview",
                    "uri": "db/shop",
                    "url": "/d/shop/shop-overview",
                    "type": "dash-db",
                    "tags": ["shop"],
                }
            ],
            "/api/dashboards/uid/shop": {
                "meta": {"url": "/d/shop/shop-overview", "slug": "shop-overview", "version": 3},
                "dashboard": _SHOP,
            },
            "/api/prometheus/grafana/api/v1/rules": {"status": "success", "data": {"groups": [group]}},
        }

    async def _proxy(self, request: web.Request, path: str) -> web.StreamResponse:
        async with aiohttp.ClientSession() as session:
            async with session.request(
                request.method,
                f"{self._prometheus}/{path}",
                params=request.query,
                data=await request.read(),
                headers={"Content-Type": request.headers.get("Content-Type", "text/plain")},
            ) as response:
                return web.Response(
                    status=response.status, body=await response.read(), content_type=response.content_type
                )


def mcp_grafana() -> str:
    """The path of its binary; skips, or fails in CI, when it is not installed."""
    beside = Path(sys.executable).with_name("mcp-grafana")
    path = str(beside) if beside.exists() else shutil.which("mcp-grafana")
    if path is None:
        message = "mcp-grafana is not installed (pip install mcp-grafana)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


class GrafanaMcp:
    """Grafana's MCP server as a process of its own, for ``http`` and ``sse``."""

    def __init__(self, transport: str, grafana: str) -> None:
        self.transport = transport
        self.port = free_port()
        self._environment = {"GRAFANA_URL": grafana, "GRAFANA_SERVICE_ACCOUNT_TOKEN": TOKEN}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{'sse' if self.transport == 'sse' else 'mcp'}"

    def launch(self) -> None:
        kind = "sse" if self.transport == "sse" else "streamable-http"
        self._process = subprocess.Popen(
            [mcp_grafana(), "-t", kind, "--address", f"127.0.0.1:{self.port}", *FLAGS],
            env={"PATH": os.environ["PATH"], **self._environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _START
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "mcp-grafana ended"
                assert time.monotonic() < until, "mcp-grafana does not listen"
                time.sleep(0.05)

    def kill(self) -> None:
        """At once, with whatever it started: the package's command starts the binary."""
        process, self._process = self._process, None
        if process is None:
            return
        family = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        process.kill()
        process.wait()

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
