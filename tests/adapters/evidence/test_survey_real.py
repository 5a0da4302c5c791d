"""Surveys, and the metric contract, against a real Prometheus and a real VictoriaMetrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import pytest_asyncio

from adapters.evidence.prometheus import PrometheusMetrics
from bot.domain.clock import SystemClock
from bot.domain.evidence import EvidenceStatus, Window
from config.schema import PrometheusSource
from investigators.ports import Matcher, MatchOp, MetricQuery
from investigators.queries import SurveyQuery
from tests.contracts.evidence_contract import check_evidence, check_metric_source
from tests.contracts.source_contract import check_source
from tests.servers.prometheus import NodeExporter, Prometheus, VictoriaMetrics

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]
NODE = Matcher(label="job", op=MatchOp.EQUAL, value="node")
# Without control characters: this VictoriaMetrics writes them into JSON as Go does, which nobody can read.
HOSTILE = 'a"b\\c\n} or vector(1) # ü日\t'
ALL = SurveyQuery(matchers=(NODE,))


class World:
    def __init__(self, servers: Mapping[str, Prometheus | VictoriaMetrics], node: NodeExporter) -> None:
        self.servers, self.node = servers, node


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    labels = {"node": {"namespace": "shop", "hostile": HOSTILE}}
    async with NodeExporter() as node:
        scrape = {"node": [node.address]}
        async with (
            Prometheus(scrape=scrape, labels=labels) as prometheus,
            VictoriaMetrics(scrape=scrape, labels=labels) as victoria,
        ):
            for server in (prometheus, victoria):
                await server.until("count_over_time(node_load1[1m]) > 5")
            yield World({"prometheus": prometheus, "victoria-metrics": victoria}, node)


@pytest_asyncio.fixture(loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def source(world: World, name: str, session: aiohttp.ClientSession, **options: object) -> PrometheusMetrics:
    config = PrometheusSource.model_validate({"url": world.servers[name].url, **options})
    return PrometheusMetrics(config, session, SystemClock())


def window(seconds: int = 60) -> Window:
    """Ends where every scrape is already stored, so that two looks see the same."""
    end = datetime.now(UTC) - timedelta(seconds=2)
    return Window(start=end - timedelta(seconds=seconds), end=end)


both = pytest.mark.parametrize("server", ["prometheus", "victoria-metrics"])


@both
async def test_a_survey_keeps_the_contract_of_sources(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    nothing = SurveyQuery(matchers=(Matcher(label="job", op=MatchOp.EQUAL, value="nobody"),))
    await check_source(source(world, server, session), ALL, nothing, window())


@both
async def test_a_survey_finds_every_series_with_its_raw_samples(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    asked = window()
    evidence = await source(world, server, session).ask(ALL, asked, "shop")
    assert (evidence.status, evidence.reason) == (EvidenceStatus.OK, None)
    assert "raw" in evidence.summary
    names = {one.name for one in evidence.series}
    assert {"up", "node_load1", "node_cpu_seconds_total", "scrape_duration_seconds"} <= names
    assert all(one.labels["namespace"] == "shop" for one in evidence.series)
    (load,) = [one for one in evidence.series if one.name == "node_load1"]
    gaps = [later.at - earlier.at for earlier, later in zip(load.samples, load.samples[1:], strict=False)]
    assert min(gaps) < timedelta(seconds=5)
    idle = [one for one in evidence.series if one.name == "node_cpu_seconds_total"]
    assert all(a.value <= b.value for one in idle for a, b in zip(one.samples, one.samples[1:], strict=False))
    assert "go_goroutines: 1 series" in evidence.excerpt


@both
async def test_a_survey_beyond_the_cap_says_which_metrics_are_left_out(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    evidence = await source(world, server, session, survey_series=20).ask(ALL, window(), "shop")
    assert evidence.status is EvidenceStatus.OK
    assert len(evidence.series) <= 20
    assert (evidence.reason or "").startswith("left out ")
    assert "node_cpu_seconds_total (" in (evidence.reason or "")


@both
async def test_a_survey_by_a_hostile_label_or_a_pattern_selects_exactly_that(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    prometheus = source(world, server, session)
    for matcher in (
        Matcher(label="hostile", op=MatchOp.EQUAL, value=HOSTILE),
        Matcher(label="namespace", op=MatchOp.REGEX, value="shop|cart"),
    ):
        evidence = await prometheus.ask(SurveyQuery(matchers=(matcher,)), window(), "shop")
        assert evidence.status is EvidenceStatus.OK, evidence.reason
        assert {one.labels["job"] for one in evidence.series} == {"node"}


@both
async def test_a_series_that_ended_within_the_window_is_found(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    """A pod that was replaced has no series any more at the end of the window."""
    now = datetime.now(UTC)
    later = Window(start=now - timedelta(minutes=1), end=now + timedelta(minutes=10))
    evidence = await source(world, server, session).ask(ALL, later, "shop")
    assert "up" in {one.name for one in evidence.series}


@both
async def test_the_servers_own_words_come_through(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    broken = SurveyQuery(matchers=(NODE, Matcher(label="pod", op=MatchOp.REGEX, value="a(b")))
    evidence = await source(world, server, session).ask(broken, window(), "shop")
    assert evidence.status is EvidenceStatus.FAILED
    assert "missing closing )" in (evidence.reason or "")


@both
async def test_a_frozen_server_is_a_gap_and_not_an_absence(
    world: World, session: aiohttp.ClientSession, server: str
) -> None:
    slow = source(world, server, session, timeout="300ms")
    await world.servers[server].freeze()
    try:
        evidence = await asyncio.wait_for(slow.ask(ALL, window(), "shop"), 5)
    finally:
        world.servers[server].thaw()
    check_evidence(evidence, kind="metric.survey", source="prometheus")
    assert (evidence.status, evidence.reason) == (EvidenceStatus.FAILED, "no answer within 0.3 s")


@pytest.mark.parametrize(
    "function", ["rate", "increase", "delta", "avg_over_time", "max_over_time", "min_over_time", "last"]
)
@pytest.mark.parametrize("aggregate", [None, "sum", "avg", "max", "min", "count"])
async def test_victoria_metrics_understands_every_function_and_aggregate(
    world: World, session: aiohttp.ClientSession, function: str, aggregate: str | None
) -> None:
    query = MetricQuery(
        metric="node_cpu_seconds_total",
        matchers=(NODE,),
        function=function,
        over=timedelta(seconds=30),
        aggregate=aggregate,
        by=("job",) if aggregate else (),
    )
    metrics = source(world, "victoria-metrics", session)
    evidence = await metrics.range(query, window(), timedelta(seconds=5), "node")
    assert evidence.status is EvidenceStatus.OK, evidence.reason


async def test_victoria_metrics_keeps_the_contract_of_metric_sources(
    world: World, session: aiohttp.ClientSession
) -> None:
    known = Matcher(label="job", op=MatchOp.EQUAL, value="node")
    await check_metric_source(source(world, "victoria-metrics", session), known, datetime.now(UTC))
