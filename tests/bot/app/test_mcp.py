"""Servers of a configuration: opened when there are any, and nothing loaded when there are none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.app.mcp import open_tool_sources
from bot.app.seams import Seams
from bot.domain.errors import ConfigError
from config.schema import Config

DOWN = {"name": "down", "transport": "http", "url": "http://127.0.0.1:9/mcp", "tools": ["look"]}


def config(*servers: dict[str, Any]) -> Config:
    return Config.model_validate({"version": 1, "data_dir": Path("data"), "evidence": {"mcp": list(servers)}})


async def test_servers_that_are_down_hold_up_neither_start_nor_end() -> None:
    async with asyncio.timeout(10):
        async with open_tool_sources(config(DOWN, {**DOWN, "name": "other"}), Seams()) as sources:
            assert [source.name for source in sources] == ["down", "other"]
            assert [source.tools() for source in sources] == [(), ()]
    assert len(asyncio.all_tasks()) == 1


async def test_without_the_extra_a_configured_server_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        async with open_tool_sources(config(DOWN), Seams()):
            pass
    assert caught.value.problems == (
        "evidence.mcp: its client is not installed; install it with: pip install 'assent[mcp]'",
    )
    async with open_tool_sources(config(), Seams()) as sources:
        assert sources == ()


_LOADED = """
import asyncio, sys
import bot.app.build, bot.cli.checking, bot.cli.mcp
from bot.app.mcp import open_tool_sources
from bot.app.seams import Seams
from config.schema import Config

async def main():
    async with open_tool_sources(Config(version=1, data_dir="data"), Seams()):
        pass

asyncio.run(main())
print(sorted({"mcp", "mcp_types", "httpx2", "jsonschema"} & set(sys.modules)))
"""


def test_the_library_is_not_loaded_where_no_server_is_configured() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
