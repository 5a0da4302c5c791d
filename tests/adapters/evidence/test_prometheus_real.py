"""Our queries against a real Prometheus: it accepts every one, and answers what the rules expect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import pytest_asyncio

from adapters.evidence.prometheus import PrometheusMetrics
from bot.domain.clock import SystemClock
from bot.domain.evidence import EvidenceStatus, Window
from config.schema import PrometheusSource
from investigators.entities import entities_of
from investigators.plan import CurveAsk, ExpressionAsk, InstantAsk, RangeAsk, RulesAsk, TargetsAsk, make_plan
from investigators.ports import Matcher, MatchOp, MetricQuery
from tests.contracts.evidence_contract import check_metric_source
from tests.investigators.world import alert, case
from tests.servers.exporter import Exporter
from tests.servers.ports import free_port
from tests.servers.prometheus import NodeExporter, Prometheus

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]
HOSTILE = 'a"b\\c\n} or vector(1) # ü日\t\x01'


class World:
    """A real Prometheus over a service, a node_exporter and a target that is not there."""

    def __init__(self, prometheus: Prometheus, demo: Exporter, source: PrometheusMetrics, dead: str) -> None:
        self.prometheus, self.demo, self.source, self.dead = prometheus, demo, source, dead

    def window(self, seconds: int = 60) -> Window:
        now = datetime.now(UTC)
        return Window(start=now - timedelta(seconds=seconds), end=now)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    dead = f"127.0.0.1:{free_port()}"
    rule = {"alert": "Slow", "expr": "up == 0", "for": "30s", "labels": {"severity": "warning"}}
    async with Exporter(tmp_path_factory.mktemp("demo")) as demo, NodeExporter() as node:
        prometheus = Prometheus(
            scrape={"demo": [demo.address], "node": [node.address], "dead": [dead]},
            labels={"demo": {"hostile": HOSTILE}},
            rules=[rule],
        )
        async with prometheus, aiohttp.ClientSession() as session:
            await prometheus.until('up{job="demo"} == 1')
            await prometheus.until('up{job="dead"} == 0')
            await prometheus.until("node_filesystem_avail_bytes")
            config = PrometheusSource.model_validate({"url": prometheus.url})
            yield World(prometheus, demo, PrometheusMetrics(config, session, SystemClock()), dead)


async def test_a_real_server_understands_every_question_of_a_plan(world: World) -> None:
    labels = {"job": "demo", "instance": world.demo.address, "service": "demo"}
    asked = case(
        alert(
            "Slow", labels=labels, expr='process_resident_memory_bytes{job="demo"} > 1', now=datetime.now(UTC)
        ),
        alert(
            "Disk",
            labels={"job": "node", "instance": "127.0.0.1:1", "mountpoint": "/"},
            now=datetime.now(UTC),
            fingerprint="2",
        ),
        now=datetime.now(UTC),
    )
    entities, _ = entities_of(asked, [])
    plan = make_plan(asked, entities, timedelta(hours=1))
    for question in plan.metrics:
        match question:
            case RangeAsk():
                evidence = await world.source.range(
                    question.query, question.window, question.step, question.subject
                )
            case InstantAsk():
                evidence = await world.source.instant(question.query, question.at, question.subject)
            case ExpressionAsk() | CurveAsk():
                evidence = await world.source.expression(
                    question.promql, question.window, question.step, question.subject
                )
            case TargetsAsk():
                evidence = await world.source.targets(question.matchers, question.at, question.subject)
            case RulesAsk():
                evidence = await world.source.rules(question.name, question.at)
        assert evidence.status is not EvidenceStatus.FAILED, (question, evidence.reason)
        if "filesystem" in evidence.query:
            assert evidence.status is EvidenceStatus.OK, evidence.query


async def test_a_hostile_label_value_selects_exactly_itself(world: World) -> None:
    query = MetricQuery(metric="up", matchers=(Matcher(label="hostile", op=MatchOp.EQUAL, value=HOSTILE),))
    evidence = await world.source.instant(query, datetime.now(UTC), "demo")
    assert evidence.status is EvidenceStatus.OK, evidence.reason
    assert [one.labels["job"] for one in evidence.series] == ["demo"]


@pytest.mark.parametrize(
    "function", ["rate", "increase", "delta", "avg_over_time", "max_over_time", "min_over_time", "last"]
)
@pytest.mark.parametrize("aggregate", [None, "sum", "count"])
async def test_every_function_and_aggregate_is_valid_promql(
    world: World, function: str, aggregate: str | None
) -> None:
    query = MetricQuery(
        metric="process_cpu_seconds_total",
        function=function,
        over=timedelta(seconds=30),
        aggregate=aggregate,
        by=("job",) if aggregate else (),
    )
    evidence = await world.source.range(query, world.window(), timedelta(seconds=1), "demo")
    assert evidence.status is not EvidenceStatus.FAILED, evidence.reason


async def test_targets_tell_who_is_down_and_why(world: World) -> None:
    matcher = Matcher(label="instance", op=MatchOp.EQUAL, value=world.dead)
    evidence = await world.source.targets((matcher,), datetime.now(UTC), "dead")
    assert [(r["job"], r["health"]) for r in evidence.records] == [("dead", "down")]
    assert "connection refused" in str(evidence.records[0]["last_error"])


async def test_rules_are_found_by_name_with_their_waiting_time(world: World) -> None:
    evidence = await world.source.rules("Slow", datetime.now(UTC))
    assert [(r["query"], r["duration_s"]) for r in evidence.records] == [("up == 0", 30.0)]
    assert (await world.source.rules("Other", datetime.now(UTC))).status is EvidenceStatus.EMPTY


async def test_the_last_sample_is_at_the_end_of_the_window(world: World) -> None:
    window = world.window(3600)
    evidence = await world.source.range(MetricQuery(metric="up"), window, timedelta(seconds=7), "demo")
    last = max(one.samples[-1].at for one in evidence.series)
    assert abs(last - window.end) < timedelta(milliseconds=2)


async def test_a_wrong_expression_gives_the_servers_own_words(world: World) -> None:
    evidence = await world.source.expression("sum(up", world.window(), timedelta(seconds=1), "demo")
    assert evidence.status is EvidenceStatus.FAILED
    assert "bad_data" in (evidence.reason or "")
    assert "unclosed left parenthesis" in (evidence.reason or "")


async def test_the_manual_command_really_gives_the_same_answer(world: World) -> None:
    evidence = await world.source.range(
        MetricQuery(metric="up", matchers=(Matcher(label="hostile", op=MatchOp.EQUAL, value=HOSTILE),)),
        world.window(),
        timedelta(seconds=1),
        "demo",
    )
    assert evidence.manual is not None
    shell = await asyncio.create_subprocess_shell(
        evidence.manual, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await shell.communicate()
    assert shell.returncode == 0, output
    assert b'job="demo"' in output


async def test_a_frozen_server_costs_the_timeout(world: World) -> None:
    async with aiohttp.ClientSession() as session:
        config = PrometheusSource.model_validate({"url": world.prometheus.url, "timeout": "300ms"})
        source = PrometheusMetrics(config, session, SystemClock())
        await world.prometheus.freeze()
        try:
            evidence = await asyncio.wait_for(
                source.range(MetricQuery(metric="up"), world.window(), timedelta(seconds=1), "demo"), 3
            )
        finally:
            world.prometheus.thaw()
    assert (evidence.status, evidence.reason) == (EvidenceStatus.FAILED, "no answer within 0.3 s")


async def test_the_real_source_keeps_the_contract(world: World) -> None:
    known = Matcher(label="job", op=MatchOp.EQUAL, value="demo")
    await check_metric_source(world.source, known, datetime.now(UTC))
