"""The servers of the Model Context Protocol that a configuration names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from bot.app.seams import Seams
from bot.domain.errors import ConfigError
from config.loader import process_environment
from config.schema import Config, McpSource

if TYPE_CHECKING:
    from adapters.evidence.mcp import McpTools


@asynccontextmanager
async def open_tool_sources(config: Config, seams: Seams) -> AsyncIterator[tuple[McpTools, ...]]:
    """Every configured server, connected to in the background, until the end of the context. Raises
    ConfigError where what it takes is not installed."""
    async with AsyncExitStack() as stack:
        sources = [tools_of(section, config, seams) for section in config.evidence.mcp]
        for source in sources:
            await stack.enter_async_context(source)
        yield tuple(sources)


def tools_of(section: McpSource, config: Config, seams: Seams) -> McpTools:
    """One server, not opened yet. Raises ConfigError."""
    from adapters.evidence.mcp import McpTools, missing

    if (remedy := missing()) is not None:
        raise ConfigError([f"evidence.mcp: {remedy}"])
    return McpTools(section, config.data_dir, seams.clock, _search_path())


def mcp_probes(config: Config, seams: Seams) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    """One probe per server; each says how it is, or raises Unavailable."""
    return [
        (section.name, partial(_probe, tools_of(section, config, seams))) for section in config.evidence.mcp
    ]


async def _probe(source: McpTools) -> str:
    async with source:
        return await source.probe()


def _search_path() -> Mapping[str, str]:
    """Of our own environment a command needs where programs are, and gets nothing else."""
    path = process_environment().get("PATH")
    return {} if path is None else {"PATH": path}
