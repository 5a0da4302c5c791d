"""Real Prometheus, VictoriaMetrics, Alertmanager and node_exporter, tuned so that an alert fires in seconds.

With ``CI=true`` a missing binary fails the test; elsewhere it is skipped with the reason.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import psutil
import pytest
import yaml

from tests.servers.ports import free_port

_START = 20.0
_STOP = 5.0


def binary(name: str) -> str:
    """The path of a Debian binary; skips, or fails in CI, when it is not installed."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (apt-get install {name})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


class Server:
    """One child process with its own directory; ready when ``path`` answers 200."""

    path = "/-/ready"

    def __init__(self) -> None:
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """``host:port``, as scrape configurations want it."""
        return f"127.0.0.1:{self.port}"

    def command(self, directory: Path) -> list[str]:
        raise AssertionError("each server says how it is started")

    async def __aenter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="server-")
        directory = Path(self._directory.name)
        try:
            command = self.command(directory)
            log = (directory / "log").open("wb")
            with log:
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdout=log, stderr=asyncio.subprocess.STDOUT, cwd=directory
                )
            await self._ready(directory / "log")
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the process and remove its directory; may be called twice."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    async def freeze(self) -> None:
        """Stop answering without closing the port, as a hung server does; :meth:`thaw` undoes it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(5):
            while psutil.Process(self._process.pid).status() != psutil.STATUS_STOPPED:
                await asyncio.sleep(0.01)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _ready(self, log: Path) -> None:
        assert self._process is not None
        async with aiohttp.ClientSession() as session:
            for _ in range(int(_START / 0.05)):
                if self._process.returncode is not None:
                    raise AssertionError(f"{type(self).__name__} ended: {log.read_text()[-2000:]}")
                try:
                    async with session.get(self.url + self.path) as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(f"{type(self).__name__} is not ready: {log.read_text()[-2000:]}")


class NodeExporter(Server):
    """node_exporter with the collectors that the rules read."""

    path = "/metrics"

    def command(self, directory: Path) -> list[str]:
        collectors = ("cpu", "filesystem", "loadavg", "meminfo", "uname", "time")
        return [
            binary("prometheus-node-exporter"),
            f"--web.listen-address={self.address}",
            "--collector.disable-defaults",
            *(f"--collector.{name}" for name in collectors),
        ]


class Prometheus(Server):
    """Scrapes and evaluates every second.

    ``scrape`` maps a job to its targets (``host:port``), ``rules`` are alerting rules as in a rule file,
    ``alertmanagers`` are base URLs. ``labels`` are added to targets by job.
    """

    def __init__(
        self,
        *,
        scrape: Mapping[str, Sequence[str]],
        rules: Sequence[Mapping[str, Any]] = (),
        alertmanagers: Sequence[str] = (),
        labels: Mapping[str, Mapping[str, str]] | None = None,
        external_labels: Mapping[str, str] | None = None,
        scrape_timeout: str = "1s",
    ) -> None:
        super().__init__()
        self._scrape = scrape
        self._rules = rules
        self._alertmanagers = alertmanagers
        self._labels = labels or {}
        self._external_labels = external_labels or {}
        self._scrape_timeout = scrape_timeout

    def command(self, directory: Path) -> list[str]:
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": self._scrape_timeout,
                "evaluation_interval": "1s",
                "external_labels": dict(self._external_labels),
            },
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": list(targets), "labels": dict(self._labels.get(job, {}))}],
                }
                for job, targets in self._scrape.items()
            ],
            "alerting": {
                "alertmanagers": [
                    {"static_configs": [{"targets": [url.removeprefix("http://")]}]}
                    for url in self._alertmanagers
                ]
            },
        }
        groups = {"groups": [{"name": "test", "interval": "1s", "rules": [dict(r) for r in self._rules]}]}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        (directory / "rules.yml").write_text(yaml.safe_dump(groups))
        return [
            binary("prometheus"),
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address={self.address}",
            f"--web.external-url={self.url}",
            "--rules.alert.resend-delay=1s",
            "--log.level=warn",
        ]

    async def value(self, promql: str) -> float | None:
        """The first sample of an instant query now; None when there is none."""
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{self.url}/api/v1/query", params={"query": promql}) as response:
                result = (await response.json())["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    async def until(self, promql: str, timeout: float = 20.0) -> float:
        """Wait until an instant query has a sample, and return it."""
        async with asyncio.timeout(timeout):
            while True:
                value = await self.value(promql)
                if value is not None:
                    return value
                await asyncio.sleep(0.1)


class VictoriaMetrics(Server):
    """Scrapes every second; ``scrape`` and ``labels`` as for :class:`Prometheus`."""

    path = "/health"

    def __init__(
        self,
        *,
        scrape: Mapping[str, Sequence[str]],
        labels: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self._scrape = scrape
        self._labels = labels or {}

    def command(self, directory: Path) -> list[str]:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": list(targets), "labels": dict(self._labels.get(job, {}))}],
                }
                for job, targets in self._scrape.items()
            ],
        }
        (directory / "scrape.yml").write_text(yaml.safe_dump(config))
        return [
            binary("victoria-metrics"),
            f"-httpListenAddr={self.address}",
            f"-storageDataPath={directory}/data",
            f"-promscrape.config={directory}/scrape.yml",
            # By default the newest half minute is not shown, for clusters that ingest late.
            "-search.latencyOffset=1s",
            "-memory.allowedBytes=64MB",
            "-loggerLevel=WARN",
        ]

    value = Prometheus.value
    until = Prometheus.until


class Alertmanager(Server):
    """Sends every alert to one webhook, grouped by ``group_by``, after a second."""

    def __init__(
        self,
        *,
        webhook: str,
        bearer: str | None = None,
        basic: tuple[str, str] | None = None,
        group_by: Sequence[str] = ("alertname", "service"),
        group_wait: str = "1s",
        group_interval: str = "1s",
        repeat_interval: str = "1h",
        send_resolved: bool = True,
    ) -> None:
        super().__init__()
        http: dict[str, Any] = {}
        if bearer is not None:
            http["authorization"] = {"type": "Bearer", "credentials": bearer}
        elif basic is not None:
            http["basic_auth"] = {"username": basic[0], "password": basic[1]}
        self._config = {
            "global": {"resolve_timeout": "5s"},
            "route": {
                "receiver": "assent",
                "group_by": list(group_by),
                "group_wait": group_wait,
                "group_interval": group_interval,
                "repeat_interval": repeat_interval,
            },
            "receivers": [
                {
                    "name": "assent",
                    "webhook_configs": [
                        {"url": webhook, "send_resolved": send_resolved, "http_config": http}
                    ],
                }
            ],
        }

    def command(self, directory: Path) -> list[str]:
        (directory / "alertmanager.yml").write_text(yaml.safe_dump(self._config))
        return [
            binary("prometheus-alertmanager"),
            f"--config.file={directory}/alertmanager.yml",
            f"--storage.path={directory}/data",
            f"--web.listen-address={self.address}",
            f"--web.external-url={self.url}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
