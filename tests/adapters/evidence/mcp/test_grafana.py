"""Grafana's own MCP server, over each transport, with a real Prometheus behind it, through its death."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.evidence.mcp import McpTools, pin_file, pin_of
from bot.domain.evidence import Evidence, EvidenceStatus
from config.schema import McpSource
from tests.adapters.evidence.mcp.world import WINDOW, connected, tools_of
from tests.servers.grafana import FLAGS, TOKEN, Grafana, GrafanaMcp, mcp_grafana
from tests.servers.prometheus import NodeExporter, Prometheus

pytestmark = pytest.mark.real

TOOLS = [
    "query_prometheus",
    "query_loki_logs",
    "alerting_rules_read",
    "search_dashboards",
    "get_dashboard_by_uid",
    "list_datasources",
]


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    mcp_grafana()
    async with NodeExporter() as exporter:
        async with Prometheus(scrape={"node": [exporter.address]}) as server:
            await server.until('up{job="node"}')
            yield server


@pytest.fixture
async def grafana(prometheus: Prometheus) -> AsyncIterator[Grafana]:
    async with Grafana(prometheus.url) as server:
        yield server


def section(transport: str, **given: Any) -> McpSource:
    said = {"name": "grafana", "transport": transport, "tools": TOOLS, "timeout": "10s"}
    return McpSource.model_validate(said | given)


def command(url: str) -> McpSource:
    variables = {"GRAFANA_URL": url, "GRAFANA_SERVICE_ACCOUNT_TOKEN": TOKEN}
    return section(
        "stdio",
        command=mcp_grafana(),
        args=list(FLAGS),
        env=[{"name": name, "value": value} for name, value in variables.items()],
    )


def running() -> list[psutil.Process]:
    """Processes of the binary below this one."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [one for one in children if "mcp-grafana" in one.name()]


async def ask(source: McpTools, tool: str, **arguments: Any) -> Evidence:
    evidence = await source.call(f"grafana__{tool}", arguments, WINDOW, "shop")
    assert evidence.status is EvidenceStatus.OK, evidence.reason
    assert TOKEN not in f"{evidence}{evidence.excerpt}"
    return evidence


async def up(source: McpTools) -> Evidence:
    return await ask(
        source,
        "query_prometheus",
        datasourceUid="prom",
        expr='up{job="node"}',
        # Cut to seconds, "now" may lie before the first scrape.
        endTime=f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}",
        queryType="instant",
    )


@pytest.mark.parametrize("transport", ["http", "sse", "stdio"])
async def test_grafanas_own_server_answers_and_is_found_again_after_its_death(
    grafana: Grafana, tmp_path: Path, transport: str
) -> None:
    url = grafana.url.rstrip("/")
    with ExitStack() as stack:
        server = None
        config = command(url)
        if transport != "stdio":
            server = stack.enter_context(GrafanaMcp(transport, url))
            config = section(transport, url=server.url)
        async with tools_of(config, tmp_path) as source:
            pins = {tool.name: pin_of(tool) for tool in await source.listing()}
            pin_file(config, tmp_path).keep(
                "grafana", {name: one for name, one in pins.items() if one is not None and name in TOOLS}
            )
        async with tools_of(config, tmp_path) as source:
            await connected(source)
            assert source.problem() is None
            assert [tool.name for tool in source.tools()] == sorted(f"grafana__{name}" for name in TOOLS)

            value = (await up(source)).excerpt
            assert '"job":"node"' in value
            assert '"1"' in value
            rules = await ask(source, "alerting_rules_read", operation="list")
            assert "HighErrorRate" in rules.excerpt
            found = await ask(source, "search_dashboards", query="shop")
            assert "Shop overview" in found.excerpt
            dashboard = await ask(source, "get_dashboard_by_uid", uid="shop")
            assert "Scrapes" in dashboard.excerpt
            unknown = await source.call("grafana__get_dashboard_by_uid", {"uid": "none"}, WINDOW, "shop")
            assert unknown.status is EvidenceStatus.FAILED
            assert "404" in (unknown.reason or "")

            if server is not None:
                server.kill()
                lost = await source.call("grafana__search_dashboards", {"query": "shop"}, WINDOW, "shop")
                assert lost.status is EvidenceStatus.FAILED
                assert source.tools() == ()
                await asyncio.to_thread(server.launch)
            else:
                for process in running():
                    process.kill()
            assert '"1"' in (await up(source)).excerpt
    assert running() == []
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for headers in grafana.headers)
