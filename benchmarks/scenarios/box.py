"""One recorded machine: services under real monitoring, broken by a scenario, captured once alerted."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scenarios.capture import Capture, Recorded
from benchmarks.scenarios.children import Child, SmallService
from benchmarks.scenarios.monitoring import Alertmanager, Disks, Metrics, Scraped, Webhook
from benchmarks.scenarios.truth import Truth

HEALTHY_SECONDS = 25.0

Scenario = Callable[["Box"], Awaitable[Truth]]


class Box:
    """What a scenario works with. Use :meth:`service` and the like first, then :meth:`watch`."""

    def __init__(self, folder: Path, stack: AsyncExitStack, healthy: float) -> None:
        self.folder = folder
        self.healthy = healthy
        self.stack = stack
        self.children: list[Child] = []
        self.targets: list[Scraped] = []
        self.mounts: dict[Path, str] = {}
        self.changes: list[dict[str, Any]] = []
        self.edges: list[tuple[str, str, str]] = []
        self.kinds: dict[str, str] = {}
        self.homes: list[Path] = []
        self.spans: Path | None = None
        self.webhook: Webhook
        self.metrics: Metrics
        self.alert: dict[str, Any] | None = None
        self.recorded: Recorded | None = None

    async def service(self, name: str, *, under: Sequence[str] = (), **config: Any) -> SmallService:
        """A small service, started, and scraped under its name."""
        if self.spans:
            config["spans"] = str(self.spans)
        child = SmallService(self.folder, name, config, under=under)
        self.own(child)
        await child.start()
        await child.ready()
        tls = child.scheme == "https"
        self.targets.append(Scraped(job=name, port=child.port, labels={"service": name}, tls=tls))
        for peer in config.get("upstreams", {}):
            self.edges.append((name, peer, "calls"))
        if config.get("database"):
            self.edges.append((name, config["database"]["peer"], "uses"))
            self.kinds[config["database"]["peer"]] = "datastore"
        self.kinds.setdefault(name, "service")
        return child

    def own(self, child: Child) -> None:
        """A process that belongs to the machine, and ends with it."""
        self.children.append(child)
        self.stack.push_async_callback(child.stop)

    def traced(self) -> None:
        """Services that are started after this write spans."""
        self.spans = self.folder / "spans.jsonl"

    async def node(self, mount: Path | None, *collectors: str) -> None:
        """The machine's own exporter, as job ``node``."""
        exporter = await self.stack.enter_async_context(Disks(mount, collectors))
        self.targets.append(Scraped(job="node", port=9100, target_port=exporter.port, labels={}))

    def scrape(self, job: str, port: int, exporter_port: int, **labels: str) -> None:
        self.targets.append(Scraped(job=job, port=port, target_port=exporter_port, labels=labels))

    async def watch(self, *rules: Mapping[str, Any], healthy: float | None = None) -> None:
        """Start the monitoring, and let all be well for a while (seconds)."""
        self.webhook = await self.stack.enter_async_context(Webhook())
        alertmanager = await self.stack.enter_async_context(
            Alertmanager(webhook=self.webhook.url, group_by=("alertname", "service", "instance"))
        )
        self.metrics = await self.stack.enter_async_context(Metrics(self.targets, rules, alertmanager.url))
        await self.metrics.until(f"count(up == 1) >= {len(self.targets)}")
        await asyncio.sleep(self.healthy if healthy is None else healthy)

    def changed(self, id: str, service: str, title: str, **more: Any) -> None:
        """Note a change made now."""
        record = {"ts": datetime.now(UTC).isoformat(timespec="seconds"), "id": id, "service": service}
        self.changes.append(record | {"title": title} | more)

    async def alerted(self, name: str, *, status: str = "firing", linger: float = 4.0) -> None:
        """Wait until Alertmanager has told of it; ``linger`` is how long a person takes to look."""
        self.alert = await self.webhook.alerted(name, status)
        await asyncio.sleep(linger)

    async def capture(self) -> None:
        """Look at everything now. The scenario may tidy up after it."""
        assert self.alert is not None
        self.recorded = await Capture(
            folders=[self.folder, *self.homes],
            children=self.children,
            jobs=[one.job for one in self.targets],
            metrics=self.metrics,
            mounts=self.mounts,
            alert=self.alert,
            spans=self.spans,
            changes=self.changes,
            edges=self.edges,
            kinds=self.kinds,
        ).take()


@asynccontextmanager
async def opened(healthy: float) -> AsyncIterator[Box]:
    """A machine of its own in a directory that is removed with it."""
    with tempfile.TemporaryDirectory(prefix="box-") as place:
        folder = Path(place)
        # The servers of other users have to reach their files in it.
        os.chmod(folder, 0o755)
        async with AsyncExitStack() as stack:
            yield Box(folder, stack, healthy)


async def record(name: str, scenario: Scenario, out: Path, healthy: float = HEALTHY_SECONDS) -> Path:
    """Play one scenario and write its case to ``out/name``."""
    async with opened(healthy) as box:
        truth = await scenario(box)
        if box.recorded is None:
            await box.capture()
        assert box.recorded is not None
        box.recorded.write(out / name, truth)
    return out / name


def rule(
    alert: str, expr: str, summary: str, *, wait: str = "2s", severity: str = "critical", **labels: str
) -> dict[str, Any]:
    """An alerting rule as in a rule file."""
    return {
        "alert": alert,
        "expr": expr,
        "for": wait,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary},
    }


def down(service: str, wait: str = "2s") -> dict[str, Any]:
    return rule("ServiceDown", f'up{{job="{service}"}} == 0', f"{service} cannot be scraped", wait=wait)


def failing(service: str, share: float = 0.2, wait: str = "2s") -> dict[str, Any]:
    expr = (
        f'sum by (service, instance) (rate(http_requests_total{{service="{service}",code="500"}}[10s])) / '
        f'sum by (service, instance) (rate(http_requests_total{{service="{service}"}}[10s])) > {share}'
    )
    return rule("HighErrorRate", expr, f"more than {share:.0%} of {service}'s orders fail", wait=wait)
