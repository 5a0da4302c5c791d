"""Every way in which a Prometheus can fail to answer becomes evidence with a reason, never an exception."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from adapters.evidence.prometheus import PrometheusMetrics
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import Basic, HttpAuth, PrometheusSource
from investigators.ports import MetricQuery
from tests.fakes.evidence import NOW, FixedClock
from tests.servers.ports import free_port

WINDOW = Window(start=NOW - timedelta(minutes=5), end=NOW)
UP = MetricQuery(metric="up")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def source(handler: Handler, **config: Any) -> AsyncIterator[PrometheusMetrics]:
    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        options = {"url": str(server.make_url("/")), "timeout": "500ms", **config}
        yield PrometheusMetrics(PrometheusSource.model_validate(options), session, FixedClock())


async def ask(source: PrometheusMetrics) -> Evidence:
    return await source.range(UP, WINDOW, timedelta(seconds=5), "demo")


def envelope(result: Any, kind: str = "matrix", **extra: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **extra}


def one(values: list[Any], **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": "up", **labels}, "values": values}


def answering(body: Any, status: int = 200, content_type: str = "application/json") -> Handler:
    async def handler(request: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=status, content_type=content_type)

    return handler


T = NOW.timestamp()


@pytest.mark.parametrize(
    ("handler", "status", "reason"),
    [
        (
            answering("<html>Sign in</html>", content_type="text/html"),
            "failed",
            "text/html that is not the Prometheus",
        ),
        (answering("{oops"), "failed", "not the Prometheus API"),
        (answering([1, 2]), "failed", "not the Prometheus API"),
        (answering("", 502, "text/plain"), "failed", "answered 502"),
        (answering("", 302), "failed", "redirect"),
        (
            answering({"status": "error", "errorType": "bad_data", "error": "parse error at char 3"}, 400),
            "failed",
            "400 bad_data: parse error at char 3",
        ),
        (
            answering({"status": "error", "errorType": "timeout", "error": "query timed out"}, 503),
            "failed",
            "503 timeout: query timed out",
        ),
        (answering(envelope([]) | {"data": None}), "failed", "without data"),
        (answering(envelope("nonsense")), "failed", "not a list"),
        (answering(envelope([], "histogram")), "failed", "resultType"),
        (answering(envelope([{"metric": {}}])), "failed", "no values"),
        (answering(envelope([one([[T]])])), "failed", "not a [time, value] pair"),
        (answering(envelope([one([[T, "many"]])])), "failed", "not a [time, value] pair"),
        (answering(envelope([one(7)])), "failed", "no values"),  # type: ignore[arg-type]
        (answering(envelope([])), "empty", "no such series"),
        (answering(envelope([one([[T, "NaN"], [T, "+Inf"]])])), "empty", "NaN or infinite"),
        (answering(envelope([], warnings=["store gone"])), "failed", "store gone"),
        (answering(envelope([], isPartial=True)), "failed", "partial answer"),
        (answering(envelope([]), 500), "failed", "answered 500"),
    ],
)
async def test_each_bad_answer_has_its_reason(handler: Handler, status: str, reason: str) -> None:
    async with source(handler) as prometheus:
        evidence = await ask(prometheus)
    assert (evidence.status.value, reason in (evidence.reason or "")) == (status, True), evidence.reason
    assert evidence.series == ()
    assert evidence.kind == "metric.range"
    assert evidence.manual is not None
    assert "promtool query range" in evidence.manual


async def test_a_server_that_is_not_there_is_a_reason() -> None:
    async with aiohttp.ClientSession() as session:
        config = PrometheusSource.model_validate({"url": f"http://127.0.0.1:{free_port()}"})
        evidence = await ask(PrometheusMetrics(config, session, FixedClock()))
    assert evidence.status is EvidenceStatus.FAILED
    assert "cannot reach http://127.0.0.1" in (evidence.reason or "")


async def test_a_server_that_hangs_costs_its_timeout() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with source(hang) as prometheus:
        evidence = await asyncio.wait_for(ask(prometheus), 2)
    assert (evidence.status, evidence.reason) == (EvidenceStatus.FAILED, "no answer within 0.5 s")


async def test_a_server_that_breaks_off_is_a_reason() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with source(cut) as prometheus:
        evidence = await ask(prometheus)
    assert evidence.status is EvidenceStatus.FAILED
    assert "cannot reach" in (evidence.reason or "")


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" " * 65_536)
        return response

    async with source(endless, timeout="20s") as prometheus:
        evidence = await ask(prometheus)
    assert evidence.status is EvidenceStatus.FAILED
    assert "larger than 8 MiB" in (evidence.reason or "")


async def test_more_series_than_allowed_are_cut_and_said_to_be() -> None:
    many = [one([[T, "1"]], instance=str(n)) for n in range(30)]
    async with source(answering(envelope(many)), max_series=10) as prometheus:
        evidence = await ask(prometheus)
    assert evidence.status is EvidenceStatus.OK
    assert len(evidence.series) == 10
    assert evidence.reason == "showing 10 of 30 series"


async def test_warnings_make_an_answer_incomplete() -> None:
    body = envelope([one([[T, "1"]])], warnings=["results may be partial"])
    async with source(answering(body)) as prometheus:
        evidence = await ask(prometheus)
    assert (evidence.status, evidence.reason) == (EvidenceStatus.OK, "results may be partial")


async def test_values_that_are_no_numbers_are_dropped_and_said_to_be() -> None:
    body = envelope([one([[T - 2, "1"], [T - 1, "NaN"], [T, "2"]])])
    async with source(answering(body)) as prometheus:
        evidence = await ask(prometheus)
    assert [s.value for s in evidence.series[0].samples] == [1.0, 2.0]
    assert "1 samples were NaN" in evidence.summary


async def test_secrets_in_labels_and_errors_never_come_through() -> None:
    canary = "hunter2hunter2"
    bodies: list[tuple[Any, int]] = [
        (
            envelope(
                [one([[T, "1"]], dsn=f"postgres://u:{canary}@db/x", note=f"password={canary}", token=canary)]
            ),
            200,
        ),
        ({"status": "error", "errorType": "bad_data", "error": f"token={canary} is wrong"}, 400),
    ]
    for body, status in bodies:
        async with source(answering(body, status)) as prometheus:
            assert canary not in repr(await ask(prometheus))


async def test_credentials_are_sent_and_never_shown() -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"status": "error", "error": "x", "errorType": "y"}, status=401)

    secret = "correct-horse-battery"
    for auth in (
        HttpAuth(bearer=SecretStr(secret)),
        HttpAuth(basic=Basic(username="u", password=SecretStr(secret))),
    ):
        async with source(handler, auth=auth) as prometheus:
            assert secret not in repr(await ask(prometheus))
    assert seen[0] == f"Bearer {secret}"
    assert (seen[1] or "").startswith("Basic ")


async def test_a_redirect_is_not_followed_with_the_credentials() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with source(handler, auth=HttpAuth(bearer=SecretStr("abcdefgh"))) as prometheus:
        assert (await ask(prometheus)).status is EvidenceStatus.FAILED
    assert asked == ["/api/v1/query_range"]


async def test_links_point_to_the_external_address() -> None:
    async with source(answering(envelope([])), external_url="https://prom.example.org/p/") as prometheus:
        evidence = await ask(prometheus)
    assert (evidence.link or "").startswith("https://prom.example.org/p/graph?g0.expr=up&")


async def test_a_query_that_has_no_promql_never_reaches_the_server() -> None:
    async with source(answering(envelope([]))) as prometheus:
        evidence = await prometheus.range(
            MetricQuery(metric="x", function="rm"), WINDOW, timedelta(seconds=5), "demo"
        )
    assert evidence.status is EvidenceStatus.FAILED
    assert "rm" in (evidence.reason or "")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"status": "success", "data": {"activeTargets": []}}, "empty", "no such scrape target"),
        ({"status": "success", "data": {}}, "failed", "no activeTargets"),
        ({"status": "success", "data": {"activeTargets": [{"labels": None}]}}, "failed", "without labels"),
        ({"status": "success", "data": {"activeTargets": ["x"]}}, "failed", "without labels"),
    ],
)
async def test_bad_target_lists(body: Any, status: str, reason: str) -> None:
    async with source(answering(body)) as prometheus:
        evidence = await prometheus.targets((), NOW, "demo")
    assert (evidence.status.value, evidence.reason) == (
        status,
        reason if status == "empty" else evidence.reason,
    )
    assert reason in (evidence.reason or "")


@pytest.mark.parametrize(
    "data", [{}, {"groups": [1]}, {"groups": [{"rules": [3]}]}, {"groups": [{"rules": None}]}]
)
async def test_bad_rule_lists(data: Any) -> None:
    async with source(answering({"status": "success", "data": data})) as prometheus:
        assert (await prometheus.rules("A", NOW)).status is EvidenceStatus.FAILED


async def test_a_large_answer_is_parsed_off_the_event_loop() -> None:
    import time

    big = json.dumps(envelope([one([[T - n, "1.5"] for n in range(300)], i=str(k)) for k in range(150)]))
    async with source(answering(big), timeout="20s") as prometheus:
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - before)

        watcher = asyncio.create_task(watch())
        evidence = await ask(prometheus)
        watcher.cancel()
    assert sum(len(s.samples) for s in evidence.series) == 45_000
    assert longest < 0.05
