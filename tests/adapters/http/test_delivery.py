"""A delivery is stored, then answered alert by alert; or it is answered with why it was not."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import Unavailable
from config.schema import Limits
from tests.adapters.http.conftest import BEARER, Serve, Service, source

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
GROUPED = (PAYLOADS / "alertmanager-0.28_firing_grouped.json").read_bytes()
GRAFANA = (PAYLOADS / "grafana_firing_grouped.json").read_bytes()


def body(*alerts: Any) -> bytes:
    return json.dumps({"alerts": alerts}).encode()


def one(name: str = "A", **changes: Any) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": name}, "startsAt": "2026-11-21T01:00:00Z"} | changes


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.headers.json")), ids=lambda path: path.stem)
async def test_a_captured_delivery_with_its_own_headers_is_stored(serve: Serve, path: Path) -> None:
    raw = path.with_name(path.name.replace(".headers", "")).read_bytes()
    headers = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("Host", "Content-Length")}
    async with serve() as service:
        status, answer = await service.post("/webhook/am", raw, headers)
        sent = json.loads(raw)["alerts"]
        assert (status, answer["accepted"], answer["rejected"]) == (202, len(sent), 0)
        stored = await service.sink.stored()
        assert [alert.labels for alert in stored] == [alert["labels"] for alert in sent]


async def test_the_answer_names_each_alert(serve: Serve) -> None:
    async with serve() as service:
        status, answer = await service.post(
            "/webhook/am", body(one("A"), one("B", labels=5), one("C")), BEARER
        )
        assert status == 202
        assert {name: answer[name] for name in ("accepted", "duplicate", "rejected", "truncated")} == {
            "accepted": 2,
            "duplicate": 0,
            "rejected": 1,
            "truncated": 0,
        }
        assert [(line["index"], line["status"]) for line in answer["results"]] == [
            (0, "accepted"),
            (1, "rejected"),
            (2, "accepted"),
        ]
        assert answer["results"][0]["fingerprint"] == (await service.sink.stored())[0].fingerprint
        assert "labels: " in answer["results"][1]["reason"]


async def test_the_same_body_again_is_answered_202_and_stored_once(serve: Serve) -> None:
    async with serve() as service:
        await service.post("/webhook/am", GROUPED, BEARER)
        status, answer = await service.post("/webhook/am", GROUPED, BEARER)
        assert (status, answer["accepted"], answer["duplicate"]) == (202, 0, 3)
        assert len(await service.sink.stored()) == 3


async def test_a_note_reaches_the_sender_with_the_accepted_alert(serve: Serve) -> None:
    async with serve() as service:
        _, answer = await service.post("/webhook/am", body(one(startsAt="2077-01-01T00:00:00Z")), BEARER)
        assert answer["results"][0]["status"] == "accepted"
        assert "check the sender's clock" in answer["results"][0]["reason"]


async def test_when_every_alert_is_rejected_the_answer_is_422_with_the_reasons(serve: Serve) -> None:
    async with serve() as service:
        status, answer = await service.post("/webhook/am", body(one(labels={}), "x"), BEARER)
        assert (status, answer["rejected"]) == (422, 2)
        assert await service.sink.stored() == ()


async def test_an_empty_batch_is_answered_202_with_zeros(serve: Serve) -> None:
    async with serve() as service:
        status, answer = await service.post("/webhook/am", body(), BEARER)
        assert (status, answer["accepted"], answer["results"]) == (202, 0, [])


@pytest.mark.parametrize(
    ("raw", "status", "told"),
    [
        (b"", 400, "empty"),
        (b'{"alerts": [}', 400, "line 1 column 13"),
        (b"\x1f\x8b\x08\x00", 400, "not JSON"),
        (b"[]", 422, "list"),
        (b'{"text": "hello"}', 422, "no `alerts`"),
        (body(*[one(f"A{n}") for n in range(6)]), 413, "6 alerts, the limit is 5"),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused_whole(
    serve: Serve, raw: bytes, status: int, told: str
) -> None:
    async with serve(limits=Limits(alerts=5)) as service:
        got, answer = await service.post("/webhook/am", raw, BEARER)
        assert (got, await service.sink.stored()) == (status, ())
        assert told in answer["error"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_a_wrong_content_type_does_not_lose_an_alert(serve: Serve, content_type: str) -> None:
    async with serve() as service:
        status, _ = await service.post("/webhook/am", GROUPED, BEARER | {"Content-Type": content_type})
        assert status == 202


async def test_put_is_taken_like_post(serve: Serve) -> None:
    async with serve(source("gr", "grafana", bearer="s3cr3t")) as service:
        status, answer = await service.post("/webhook/gr", GRAFANA, BEARER, method="PUT")
        assert (status, answer["accepted"]) == (202, 2)


async def test_a_gzip_body_is_understood(serve: Serve) -> None:
    async with serve() as service:
        headers = BEARER | {"Content-Encoding": "gzip"}
        status, answer = await service.post("/webhook/am", gzip.compress(GROUPED), headers)
        assert (status, answer["accepted"]) == (202, 3)


@pytest.mark.parametrize(
    ("raw", "encoding", "status"),
    [
        (gzip.compress(b" " * 50_000_000), "gzip", 413),
        (b"not gzip", "gzip", 400),
        (gzip.compress(GROUPED)[:-9], "gzip", 400),
        (gzip.compress(GROUPED) + b"tail", "gzip", 400),
        (GROUPED, "br", 415),
    ],
)
async def test_a_bad_encoding_is_refused_and_a_bomb_stays_small(
    serve: Serve, raw: bytes, encoding: str, status: int
) -> None:
    async with serve() as service:
        got, answer = await service.post("/webhook/am", raw, BEARER | {"Content-Encoding": encoding})
        assert got == status
        assert answer["error"]
        assert await service.sink.stored() == ()


async def test_when_the_store_fails_the_sender_is_told_to_come_again(serve: Serve) -> None:
    async with serve() as service:
        service.sink.broken = Unavailable("store", "disk full at /var/lib", retry_after=timedelta(seconds=7))
        async with service.client.post(service.url("/webhook/am"), data=GROUPED, headers=BEARER) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
            assert "disk full" not in await answer.text()
        service.sink.broken = None
        status, again = await service.post("/webhook/am", GROUPED, BEARER)
        assert (status, again["accepted"]) == (202, 3)


async def test_a_store_that_hangs_is_a_store_that_fails(serve: Serve) -> None:
    async with serve(store_seconds=0.05) as service:
        service.sink.open.clear()
        async with service.client.post(service.url("/webhook/am"), data=GROUPED, headers=BEARER) as answer:
            assert (answer.status, int(answer.headers["Retry-After"]) >= 1) == (503, True)


async def test_the_answer_waits_until_the_alerts_are_durable(serve: Serve) -> None:
    async with serve() as service:
        service.sink.open.clear()
        answering = asyncio.create_task(service.post("/webhook/am", GROUPED, BEARER))
        await service.sink.entered.wait()
        assert (await service.post("/webhook/am", b"{", BEARER))[0] == 400
        assert not answering.done()
        service.sink.open.set()
        assert (await answering)[0] == 202


async def test_a_large_batch_is_stored_whole(serve: Serve) -> None:
    async with serve() as service:
        alerts = [one(f"Alert{n}", annotations={"summary": "x" * 100}) for n in range(10_000)]
        status, answer = await service.post("/webhook/am", body(*alerts), BEARER)
        assert (status, answer["accepted"], len(answer["results"])) == (202, 10_000, 10_000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhook/am", 405),
        ("DELETE", "/webhook/am", 405),
        ("POST", "/webhook/other", 404),
        ("POST", "/webhook/am/extra", 404),
        ("POST", "/webhook/am/extra/more", 404),
        ("POST", "/webhook/", 404),
        ("GET", "/", 404),
        ("GET", "/webhook/../metrics/x", 404),
        ("POST", "/metrics", 405),
    ],
)
async def test_nothing_else_is_there(serve: Serve, method: str, path: str, status: int) -> None:
    async with (
        serve() as service,
        service.client.request(
            method, service.url(path), data=GROUPED if method == "POST" else None, headers=BEARER
        ) as answer,
    ):
        assert answer.status == status
        assert await service.sink.stored() == ()


async def metric(service: Service, line: str) -> bool:
    async with service.client.get(service.url("/metrics")) as answer:
        return line in (await answer.text()).splitlines()


async def test_what_was_received_is_counted(serve: Serve) -> None:
    async with serve() as service:
        await service.post("/webhook/am", GROUPED, BEARER)
        await service.post("/webhook/am", GROUPED, BEARER)
        await service.post("/webhook/am", b"{", BEARER)
        await service.post("/webhook/unknown-name", GROUPED, BEARER)
        assert await metric(service, "assent_alerts_received_total 6.0")
        assert await metric(service, "assent_alerts_coalesced_total 3.0")
        assert await metric(service, 'assent_webhook_seconds_count{code="202",source="am"} 2.0')
        assert await metric(service, 'assent_webhook_seconds_count{code="400",source="am"} 1.0')
        async with service.client.get(service.url("/metrics")) as answer:
            assert "unknown-name" not in await answer.text()
