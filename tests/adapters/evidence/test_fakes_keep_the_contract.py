"""The sources in memory that other tests use behave like the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.domain.evidence import LogLine, Window
from investigators.ports import HostQuery, Matcher, MatchOp
from tests.contracts.evidence_contract import check_host_source, check_metric_source
from tests.contracts.tool_source import Example, check_tool_source
from tests.fakes.evidence import NOW, WorldHost, WorldMetrics, series
from tests.fakes.tool_source import FakeToolSource, ToolFailure, spec


async def test_the_metrics_in_memory_keep_the_contract() -> None:
    target = {"job": "demo", "instance": "a:1", "health": "up", "last_error": "", "last_scrape": ""}
    source = WorldMetrics(
        series=[series("up", [1, 1, 1], job="demo", instance="a:1")], target_records=[target]
    )
    await check_metric_source(source, Matcher(label="job", op=MatchOp.EQUAL, value="demo"), NOW)


async def test_the_host_in_memory_keeps_the_contract() -> None:
    source = WorldHost(
        process_records=[{"name": "demo", "status": "sleeping"}],
        lines=[LogLine(at=NOW, text="x")],
        exit_records=[],
        disk_records=[{"mount": "/"}],
    )
    window = Window(start=NOW - timedelta(hours=1), end=NOW)
    await check_host_source(source, HostQuery(host="box", process="demo"), window)


async def test_the_tools_in_memory_keep_the_contract() -> None:
    def fail(_arguments: Mapping[str, Any]) -> str:
        raise ToolFailure("no such series")

    source = FakeToolSource(
        name="test",
        specs=[
            spec("test__look", service="string"),
            spec("test__fail"),
            spec("test__empty"),
            spec("test__flood"),
        ],
        answers={
            "test__look": lambda arguments: f"{arguments['service']} is well",
            "test__fail": fail,
            "test__empty": lambda _: "",
            "test__flood": lambda _: "x" * 100_000,
        },
    )
    await check_tool_source(
        source,
        Window(start=NOW - timedelta(hours=1), end=NOW),
        good=Example(tool="test__look", arguments={"service": "shop"}, says="shop is well"),
        failing=Example(tool="test__fail", arguments={}, says="no such series"),
        empty=Example(tool="test__empty", arguments={}, says=""),
        huge=Example(tool="test__flood", arguments={}, says=""),
    )
    assert {tool for tool, _ in source.asked} == {
        f"test__{name}" for name in ("look", "fail", "empty", "flood")
    }
