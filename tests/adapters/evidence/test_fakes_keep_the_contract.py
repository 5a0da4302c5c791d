"""The sources in memory that other tests use behave like the real ones."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.evidence import LogLine, Window
from investigators.ports import HostQuery, Matcher, MatchOp
from tests.contracts.evidence_contract import check_host_source, check_metric_source
from tests.fakes.evidence import NOW, WorldHost, WorldMetrics, series


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
