"""A survey counts before it reads, stays within its caps, and says of everything else why it is missing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.evidence.prometheus import PrometheusMetrics
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import PrometheusSource
from investigators.ports import Matcher, MatchOp
from investigators.queries import SurveyQuery
from tests.contracts.evidence_contract import check_evidence
from tests.fakes.evidence import NOW, FixedClock

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
SHOP = Matcher(label="namespace", op=MatchOp.EQUAL, value="shop")
T = NOW.timestamp()
CANARY = "hunter2hunter2"


class Metrics:
    """Answers the three questions of a survey: ``counts`` by name, each series with ``density`` samples.

    ``denser`` is how many samples there really are. ``faults`` maps the beginning of a query to what is
    answered instead. Every query is kept in ``asked``.
    """

    def __init__(self, counts: dict[str, int], density: int = 240) -> None:
        self.counts = counts
        self.density = self.denser = density
        self.faults: dict[str, Callable[[], web.Response]] = {}
        self.warnings: list[str] = []
        self.labels: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        form = await request.post()
        query = str(form["query"])
        self.asked.append((request.path, query))
        for part, fault in self.faults.items():
            if query.startswith(part):
                return fault()
        if query.startswith("count by"):
            counted = [{"metric": {"__name__": n}, "value": [T, str(c)]} for n, c in self.counts.items()]
            return self._answer("vector", counted)
        if query.startswith("max("):
            return self._answer("vector", [{"metric": {}, "value": [T, str(self.density)]}])
        names = re.findall(r'__name__=~"([^"]*)"', query)[0].split("|")
        if request.path.endswith("query_range"):
            step, start, end = (float(str(form[key])) for key in ("step", "start", "end"))
            times = [start + step * n for n in range(int((end - start) / step) + 1)]
        else:
            times = [T - 3600 / self.denser * n for n in reversed(range(self.denser))]
        return self._answer(
            "matrix",
            [
                {
                    "metric": {"__name__": name, "i": str(n), **self.labels},
                    "values": [[t, "1"] for t in times],
                }
                for name in names
                for n in range(self.counts[name])
            ],
        )

    def _answer(self, kind: str, result: list[Any]) -> web.Response:
        body = {
            "status": "success",
            "data": {"resultType": kind, "result": result},
            "warnings": self.warnings,
        }
        return web.Response(text=json.dumps(body), content_type="application/json")

    @property
    def read(self) -> list[tuple[str, str]]:
        return [(path, query) for path, query in self.asked if query.startswith("{")]


@asynccontextmanager
async def source(metrics: Metrics, **config: Any) -> AsyncIterator[PrometheusMetrics]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", metrics.handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        options = {"url": str(server.make_url("/")), "timeout": "30s", **config}
        yield PrometheusMetrics(PrometheusSource.model_validate(options), session, FixedClock())


async def survey(metrics: Metrics, query: SurveyQuery | None = None, **config: Any) -> Evidence:
    async with source(metrics, **config) as prometheus:
        evidence = await prometheus.ask(query or SurveyQuery(matchers=(SHOP,)), WINDOW, "shop")
    check_evidence(evidence, kind="metric.survey", source="prometheus")
    return evidence


def refusing(status: int, text: str, kind: str = "text/plain") -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, text=text, content_type=kind)


@pytest.mark.parametrize(
    "matchers",
    [
        (),
        (Matcher(label="namespace", op=MatchOp.EQUAL, value=""),),
        (Matcher(label="namespace", op=MatchOp.NOT_EQUAL, value="kube-system"),),
        (Matcher(label="namespace", op=MatchOp.REGEX, value=".*"),),
    ],
)
async def test_a_survey_of_everything_is_refused_before_anything_is_asked(
    matchers: tuple[Matcher, ...],
) -> None:
    metrics = Metrics({"a": 1})
    evidence = await survey(metrics, SurveyQuery(matchers=matchers))
    assert evidence.status is EvidenceStatus.FAILED
    assert "needs a label" in (evidence.reason or "")
    assert metrics.asked == []


@pytest.mark.parametrize("length", [timedelta(0), timedelta(microseconds=20), timedelta(hours=-1)])
async def test_a_window_too_short_for_promql_is_a_reason(length: timedelta) -> None:
    metrics = Metrics({"a": 1})
    async with source(metrics) as prometheus:
        short = Window(start=NOW - length, end=NOW)
        evidence = await prometheus.ask(SurveyQuery(matchers=(SHOP,)), short, "shop")
    assert (evidence.status, metrics.asked) == (EvidenceStatus.FAILED, [])


async def test_a_label_that_cannot_be_written_is_refused_before_anything_is_asked() -> None:
    metrics = Metrics({"a": 1})
    odd = Matcher(label='x"}', op=MatchOp.EQUAL, value="y")
    evidence = await survey(metrics, SurveyQuery(matchers=(odd, SHOP)))
    assert (evidence.status, metrics.asked) == (EvidenceStatus.FAILED, [])


async def test_no_denser_samples_than_the_step_are_read_raw_in_batches() -> None:
    metrics = Metrics({f"m{n}": 40 for n in range(10)})
    evidence = await survey(metrics)
    assert (len(evidence.series), evidence.reason) == (400, None)
    assert {len(one.samples) for one in evidence.series} == {240}
    assert [path for path, _ in metrics.read] == ["/api/v1/query"] * 5
    assert all(query.endswith("[3600s]") for _, query in metrics.read)


async def test_denser_samples_are_read_at_the_step() -> None:
    metrics = Metrics({"m": 100}, density=3600)
    evidence = await survey(metrics)
    assert [path for path, _ in metrics.read] == ["/api/v1/query_range"]
    assert (len(evidence.series), len(evidence.series[0].samples)) == (100, 241)
    assert "at 15s" in evidence.summary


async def test_a_few_dense_series_are_read_raw() -> None:
    metrics = Metrics({"m": 3}, density=3600)
    evidence = await survey(metrics)
    assert [len(one.samples) for one in evidence.series] == [3600] * 3


async def test_the_buckets_of_histograms_are_left_out_first_and_the_reason_says_so() -> None:
    metrics = Metrics({"http_bucket": 10, "big_bucket": 900, "requests_total": 90, "up": 5})
    evidence = await survey(metrics, survey_series=110)
    assert {one.name for one in evidence.series} == {"http_bucket", "requests_total", "up"}
    assert evidence.reason == ("left out 1 of 4 metrics with 900 of 1005 series: big_bucket (900)")
    assert not any("big_bucket" in query for _, query in metrics.read)


async def test_many_series_are_read_at_a_coarser_step_before_any_is_left_out() -> None:
    metrics = Metrics({f"m{n}": 100 for n in range(20)})
    evidence = await survey(metrics, survey_series=100_000)
    assert len(evidence.series) == 2000
    assert sum(len(one.samples) for one in evidence.series) <= 120_000
    assert evidence.reason == "read at 62s: the series have too many samples"


async def test_a_window_of_a_day_is_read_whole() -> None:
    metrics = Metrics({f"m{n}": 100 for n in range(10)}, density=5760)
    day = Window(start=NOW - timedelta(days=1), end=NOW)
    async with source(metrics) as prometheus:
        evidence = await prometheus.ask(SurveyQuery(matchers=(SHOP,)), day, "shop")
    assert len(evidence.series) == 1000
    assert {one.samples[0].at - day.start < timedelta(minutes=13) for one in evidence.series} == {True}
    assert "the series have too many samples" in (evidence.reason or "")


async def test_series_are_left_out_where_they_would_have_too_few_samples_each() -> None:
    metrics = Metrics({f"m{n}": 100 for n in range(25)})
    evidence = await survey(metrics, survey_series=100_000)
    assert len(evidence.series) == 2000
    assert "left out 5 of 25 metrics with 500 of 2500 series" in (evidence.reason or "")


async def test_a_survey_in_which_nothing_fits_is_a_gap() -> None:
    evidence = await survey(Metrics({"m": 5000}))
    assert evidence.status is EvidenceStatus.FAILED
    assert "m (5000)" in (evidence.reason or "")


async def test_no_series_at_all_is_an_answer() -> None:
    evidence = await survey(Metrics({}))
    assert (evidence.status, evidence.reason) == (EvidenceStatus.EMPTY, "no such series")


async def test_nothing_found_in_a_partial_answer_is_a_gap() -> None:
    metrics = Metrics({})
    metrics.warnings = ["a store did not answer"]
    evidence = await survey(metrics)
    assert (evidence.status, evidence.reason) == (
        EvidenceStatus.FAILED,
        "no such series; a store did not answer",
    )


async def test_a_batch_that_fails_leaves_the_others_and_is_named() -> None:
    metrics = Metrics({f"m{n}": 80 for n in range(3)})
    metrics.faults['{__name__=~"m1"'] = refusing(503, "upstream is down")
    evidence = await survey(metrics)
    assert {one.name for one in evidence.series} == {"m0", "m2"}
    assert evidence.reason == "m1 not read: answered 503 with text/plain that is not the Prometheus API"


async def test_series_denser_than_the_one_looked_at_are_read_at_the_step_instead() -> None:
    metrics = Metrics({"m": 80, "n": 80}, density=60)
    metrics.denser = 600
    evidence = await survey(metrics)
    assert [path for path, _ in metrics.read] == ["/api/v1/query", "/api/v1/query_range"]
    assert {len(one.samples) for one in evidence.series} == {241}
    assert (len(evidence.series), evidence.reason) == (160, None)


async def test_many_series_denser_than_the_one_looked_at_stay_within_the_cap() -> None:
    metrics = Metrics({f"m{n}": 100 for n in range(10)}, density=60)
    metrics.denser = 300
    evidence = await survey(metrics)
    assert len(evidence.series) == 1000
    assert sum(len(one.samples) for one in evidence.series) <= 120_000
    assert evidence.reason == "read at 31s: the series have too many samples"


async def test_series_far_denser_than_the_one_looked_at_are_read_at_the_step_instead() -> None:
    metrics = Metrics({"m": 100})
    raw = '{__name__=~"m",namespace="shop"}[3600s]'
    metrics.faults[raw] = refusing(200, " " * (9 * 1024 * 1024), "application/json")
    evidence = await survey(metrics)
    assert (evidence.status, evidence.reason) == (EvidenceStatus.OK, None)
    assert [path for path, _ in metrics.read] == ["/api/v1/query", "/api/v1/query_range"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refusing(200, "<html>Sign in</html>", "text/html"), "text/html that is not the Prometheus API"),
        (refusing(200, '{"status": "succ', "application/json"), "not the Prometheus API"),
        (refusing(302, ""), "redirect"),
        (refusing(429, "slow down"), "answered 429"),
        (
            refusing(
                422,
                json.dumps(
                    {
                        "status": "error",
                        "errorType": "execution",
                        "error": "query processing would load too many samples into memory",
                    }
                ),
                "application/json",
            ),
            "422 execution: query processing would load too many samples",
        ),
        (refusing(200, " " * (9 * 1024 * 1024), "application/json"), "larger than 8 MiB"),
        (
            refusing(
                200, '{"status":"success","data":{"resultType":"matrix","result":[]}}', "application/json"
            ),
            "a count is not a vector",
        ),
        (
            refusing(
                200,
                '{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}',
                "application/json",
            ),
            "not a metric name and a number",
        ),
        (
            refusing(
                200,
                '{"status":"success","data":{"resultType":"vector","result":'
                '[{"metric":{"__name__":"m"},"value":[1,"NaN"]}]}}',
                "application/json",
            ),
            "not a metric name and a number",
        ),
    ],
)
async def test_a_count_that_fails_is_a_gap_with_its_reason(
    fault: Callable[[], web.Response], reason: str
) -> None:
    metrics = Metrics({"m": 1})
    metrics.faults["count by"] = fault
    evidence = await survey(metrics)
    assert evidence.status is EvidenceStatus.FAILED
    assert reason in (evidence.reason or "")
    assert metrics.read == []


async def test_a_server_that_lies_about_its_counts_is_cut_at_the_cap() -> None:
    metrics = Metrics({"m": 60})
    honest = metrics.counts
    metrics.counts = {"m": 50}

    async def lying(request: web.Request) -> web.Response:
        form = await request.post()
        if str(form["query"]).startswith("{"):
            metrics.counts = honest
        return await metrics.handle(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", lying)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        options = {"url": str(server.make_url("/")), "survey_series": 50}
        prometheus = PrometheusMetrics(PrometheusSource.model_validate(options), session, FixedClock())
        evidence = await prometheus.ask(SurveyQuery(matchers=(SHOP,)), WINDOW, "shop")
    assert len(evidence.series) == 50
    assert "10 series more than were counted" in (evidence.reason or "")


async def test_samples_of_another_time_are_not_the_windows() -> None:
    metrics = Metrics({"m": 1})
    odd = {"metric": {"__name__": "m"}, "values": [[T - 7200, "1"], [T - 60, "2"], [T + 7200, "3"]]}
    metrics.faults['{__name__=~"m"'] = lambda: metrics._answer("matrix", [odd])
    evidence = await survey(metrics)
    assert [[sample.value for sample in one.samples] for one in evidence.series] == [[2.0]]


async def test_a_secret_in_a_label_or_an_error_never_comes_through() -> None:
    metrics = Metrics({"m": 2})
    metrics.labels = {"dsn": f"postgres://u:{CANARY}@db/x", "token": CANARY}
    assert CANARY not in repr(await survey(metrics))
    error = json.dumps({"status": "error", "errorType": "bad_data", "error": f"password={CANARY} is wrong"})
    metrics.faults["count by"] = refusing(400, error, "application/json")
    assert CANARY not in repr(await survey(metrics))


async def test_a_slow_server_costs_one_timeout_for_all_its_questions() -> None:
    metrics = Metrics({"m": 1})

    async def slow(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if str(form["query"]).startswith("{"):
            await asyncio.sleep(30)
        return await metrics.handle(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", slow)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        options = {"url": str(server.make_url("/")), "timeout": "1s"}
        prometheus = PrometheusMetrics(PrometheusSource.model_validate(options), session, FixedClock())
        evidence = await asyncio.wait_for(
            prometheus.ask(SurveyQuery(matchers=(SHOP,)), WINDOW, "shop"), timeout=60
        )
    assert evidence.status is EvidenceStatus.FAILED
    assert (evidence.reason or "").endswith("no answer within 1 s")
