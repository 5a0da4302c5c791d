"""What the log and the metrics say about deliveries that went wrong."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.domain.errors import Unavailable
from tests.adapters.http.conftest import BEARER, Serve

BODY = (Path(__file__).parents[2] / "data" / "payloads" / "alertmanager-0.28_firing_single.json").read_bytes()


async def test_a_hundred_wrong_passwords_make_one_log_line_until_ten_seconds_have_passed(
    serve: Serve,
) -> None:
    async with serve() as service:
        with capture_logs() as logged:
            for _ in range(100):
                assert (await service.post("/webhook/am", BODY, {"Authorization": "Bearer guess"}))[0] == 401
            service.clock.advance(timedelta(seconds=10))
            await service.post("/webhook/am", BODY)
    told = [(line["event"], line["source"], line["also_since_last"]) for line in logged]
    assert told == [("webhook_unauthorised", "am", 0), ("webhook_unauthorised", "am", 99)]
    assert "guess" not in str(logged)


async def test_rejected_and_left_out_alerts_are_logged_with_reasons(serve: Serve) -> None:
    alerts: list[Any] = [{"status": "firing", "labels": {"alertname": "A"}}, *[{"labels": 5}] * 20]
    async with serve() as service:
        with capture_logs() as logged:
            body = json.dumps({"alerts": alerts, "truncatedAlerts": 3}).encode()
            assert (await service.post("/webhook/am", body, BEARER))[1]["truncated"] == 3
    rejected, left_out = logged
    assert (rejected["event"], rejected["count"], len(rejected["first"])) == ("alerts_rejected", 20, 5)
    assert rejected["first"][0].startswith("alert 1: labels")
    assert (left_out["event"], left_out["count"]) == ("sender_left_alerts_out", 3)


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 422), (b" " * 5_000_000, 413)], ids=["400", "422", "413"]
)
async def test_a_refused_body_is_logged_with_its_reason(serve: Serve, body: bytes, status: int) -> None:
    async with serve() as service:
        with capture_logs() as logged:
            await service.post("/webhook/am", body, BEARER)
    assert [(line["event"], line["status"]) for line in logged] == [("webhook_refused", status)]
    assert logged[0]["reason"]


async def test_alerts_that_could_not_be_stored_are_an_error_in_the_log(serve: Serve) -> None:
    async with serve() as service:
        service.sink.broken = Unavailable("store", "disk full")
        with capture_logs() as logged:
            await service.post("/webhook/am", BODY, BEARER)
    assert [(line["log_level"], line["reason"]) for line in logged] == [("error", "store: disk full")]


async def test_an_accepted_delivery_is_counted_and_not_logged(serve: Serve) -> None:
    async with serve() as service:
        with capture_logs() as logged:
            await service.post("/webhook/am", BODY, BEARER)
    assert logged == []


class BrokenSink:
    async def ingest(self, alerts: object) -> Any:
        raise RuntimeError("a bug that knows Zx9qCanary")


async def test_a_bug_answers_500_without_details_and_is_logged_and_counted(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(sink=BrokenSink()) as service:
        with caplog.at_level(logging.ERROR, "aiohttp.server"):
            async with service.client.post(service.url("/webhook/am"), data=BODY, headers=BEARER) as answer:
                assert answer.status == 500
                assert "Zx9qCanary" not in await answer.text()
        assert "a bug that knows" in caplog.text
        line = 'assent_webhook_seconds_count{code="500",source="am"} 1.0'
        assert line in service.metrics.render().decode().splitlines()
