"""Opening a source of tools on a server of a test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.evidence.mcp import McpTools, pin_file, pin_of
from bot.domain.clock import SystemClock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Window
from config.schema import McpSource
from tests.servers.mcp_server import McpServer

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(minutes=5), end=NOW)
TOOLS = ("look", "slow", "say", "flood", "mixed", "empty", "environment", "die", "spawn")


def section(server: McpServer, **changes: Any) -> McpSource:
    given: dict[str, Any] = {"name": "test", "transport": server.transport, "timeout": "10s"}
    given["tools"] = list(TOOLS)
    if server.transport == "stdio":
        variables = [{"name": name, "value": value} for name, value in server.environment.items()]
        given |= {"command": server.command, "args": server.arguments, "env": variables}
    else:
        given["url"] = server.url
    return McpSource.model_validate(given | changes)


def tools_of(config: McpSource, directory: Path, fresh_for: timedelta = timedelta(seconds=10)) -> McpTools:
    return McpTools(config, directory, SystemClock(), {"PATH": os.environ["PATH"]}, fresh_for=fresh_for)


async def pin(server: McpServer, config: McpSource, directory: Path) -> None:
    """Accept everything as it is now."""
    if server.accepted is None:
        async with tools_of(config, directory) as source:
            listed = await source.listing()
        server.accepted = {tool.name: pin for tool in listed if (pin := pin_of(tool)) is not None}
    allowed = {tool.name for tool in config.tools}
    pins = {name: one for name, one in server.accepted.items() if name in allowed}
    pin_file(config, directory).keep(config.name, pins)


@asynccontextmanager
async def accepted(server: McpServer, config: McpSource, directory: Path) -> AsyncIterator[McpTools]:
    """A source whose tools are as they were accepted just now."""
    await pin(server, config, directory)
    async with tools_of(config, directory) as source:
        await connected(source)
        yield source


async def connected(source: McpTools) -> None:
    # Tools that are refused are what many tests are about.
    with suppress(Unavailable):
        await source.probe()
    await until(lambda: "not connected" not in (source.problem() or ""))


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
