"""Prometheus, Alertmanager and node_exporter of a recorded machine, with names instead of addresses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.servers.ports import free_port
from tests.servers.prometheus import Alertmanager, NodeExporter, Prometheus, Server, binary

HOST = "box1"
_ALERT_SECONDS = 90.0


class Disks(NodeExporter):
    """node_exporter of a single mount, and memory. The processors are everybody's on a shared machine."""

    def __init__(self, mount: Path | None, collectors: Sequence[str]) -> None:
        super().__init__()
        self._mount = mount
        self._collectors = collectors

    def command(self, directory: Path) -> list[str]:
        command = [
            binary("prometheus-node-exporter"),
            f"--web.listen-address={self.address}",
            "--web.disable-exporter-metrics",
            "--collector.disable-defaults",
            *(f"--collector.{name}" for name in self._collectors),
        ]
        if self._mount is not None:
            # Only what cannot be that mount is left out: the exporter knows no list of what to show.
            command.append(f"--collector.filesystem.mount-points-exclude=^/($|{_others(self._mount)})")
        return command


def _others(mount: Path) -> str:
    first = mount.parts[1]
    tops = sorted({path.name for path in Path("/").iterdir() if path.name != first})
    return "|".join(f"{name}($|/)" for name in tops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    """A job's only target. ``port`` becomes part of the instance's name."""

    job: str
    port: int
    labels: Mapping[str, str]
    tls: bool = False
    target_port: int = 0


class Metrics(Prometheus):
    """Prometheus with one named target per job."""

    def __init__(
        self, targets: Sequence[Scraped], rules: Sequence[Mapping[str, Any]], alertmanager: str
    ) -> None:
        super().__init__(
            scrape={one.job: [f"127.0.0.1:{one.target_port or one.port}"] for one in targets},
            rules=rules,
            alertmanagers=[alertmanager],
            labels={one.job: {"instance": f"{HOST}:{one.port}", **one.labels} for one in targets},
        )
        self._encrypted = [one.job for one in targets if one.tls]

    def command(self, directory: Path) -> list[str]:
        command = super().command(directory)
        file = directory / "prometheus.yml"
        text = file.read_text()
        for job in self._encrypted:
            text = text.replace(
                f"- job_name: {job}\n",
                f"- job_name: {job}\n  scheme: https\n  tls_config: {{insecure_skip_verify: true}}\n",
            )
        file.write_text(text)
        return command

    async def samples(self, jobs: Sequence[str], minutes: int = 10) -> list[Mapping[str, Any]]:
        """Every raw sample of the jobs: the result of a range selector."""
        pattern = "|".join(jobs)
        query = f'{{job=~"{pattern}",__name__!~"ALERTS.*"}}[{minutes}m]'
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{self.url}/api/v1/query", params={"query": query}) as response:
                document = await response.json()
        result: list[Mapping[str, Any]] = document["data"]["result"]
        return result


class Webhook:
    """Takes what Alertmanager sends, and keeps it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.bodies: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.post("/alerts", self._take)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        async with self._news:
            self.bodies.append(json.loads(await request.read()))
            self._news.notify_all()
        return web.Response()

    async def alerted(self, name: str, status: str = "firing") -> dict[str, Any]:
        """Wait for a body about this alert."""

        def found() -> dict[str, Any] | None:
            about = (one for one in self.bodies if one["commonLabels"].get("alertname") == name)
            return next((one for one in about if one["status"] == status), None)

        async with asyncio.timeout(_ALERT_SECONDS), self._news:
            await self._news.wait_for(lambda: found() is not None)
        body = found()
        assert body is not None
        return body


__all__ = ["HOST", "Alertmanager", "Disks", "Metrics", "Scraped", "Server", "Webhook"]
