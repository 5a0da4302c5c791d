"""Who may deliver, and how little a stranger learns."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.alerts import parsers
from adapters.http import open_listener
from bot.domain.errors import ConfigError, Unavailable
from bot.telemetry import Metrics
from config.schema import Limits, Listen, Source
from tests.adapters.http.conftest import BEARER, MovableClock, Serve, Service, source
from tests.fakes.alert_sink import InMemoryAlertSink

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
BODY = (PAYLOADS / "alertmanager-0.28_firing_single.json").read_bytes()
VECTORS = json.loads((PAYLOADS / "grafana_hmac_vectors.json").read_text())
SIGNATURE = "X-Grafana-Alerting-Signature"
TIMESTAMP = "X-Grafana-Timestamp"


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def grafana_body(name: str) -> bytes:
    return (PAYLOADS / f"grafana_{name}.json").read_bytes()


async def refused(service: Service, path: str, headers: Any, body: bytes = BODY) -> str:
    """Send it, see that it is refused and nothing stored, and return all that the sender learns."""
    async with service.client.post(service.url(path), data=body, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 401, text
        assert await service.sink.stored() == ()
        return f"{answer.headers['WWW-Authenticate']} {text}"


async def test_the_right_bearer_token_is_let_in(serve: Serve) -> None:
    async with serve(source(bearer='s3cr3t~!"&')) as service:
        headers = {"Authorization": 'bearer s3cr3t~!"&'}
        assert (await service.post("/webhook/am", BODY, headers))[0] == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer s3cr3"},
        {"Authorization": "Bearer s3cr3tt"},
        {"Authorization": "Bearer S3CR3T"},
        {"Authorization": "s3cr3t"},
        {"Authorization": "Basic s3cr3t"},
        {"X-Api-Key": "s3cr3t"},
        [("Authorization", "Bearer s3cr3t"), ("Authorization", "Bearer s3cr3t")],
    ],
)
async def test_any_other_bearer_token_is_refused(serve: Serve, headers: Any) -> None:
    async with serve() as service:
        assert await refused(service, "/webhook/am", headers) == (
            'Bearer realm="assent" {"error":"not authorised"}'
        )


async def test_the_right_user_and_password_are_let_in(serve: Serve) -> None:
    async with serve(source(basic={"username": "am", "password": "p:w"})) as service:
        assert (await service.post("/webhook/am", BODY, basic("am:p:w")))[0] == 202


@pytest.mark.parametrize(
    "headers",
    [{}, basic("am:wrong"), basic("other:p:w"), basic("am"), basic(""), {"Authorization": "Basic !!"}],
)
async def test_wrong_user_and_wrong_password_are_refused_alike(serve: Serve, headers: Any) -> None:
    async with serve(source(basic={"username": "am", "password": "p:w"})) as service:
        assert await refused(service, "/webhook/am", headers) == (
            'Basic realm="assent", charset="UTF-8" {"error":"not authorised"}'
        )


async def test_a_secret_in_the_path_is_let_in_and_any_other_refused(serve: Serve) -> None:
    async with serve(source(path_secret="pa~th.1")) as service:
        for path in ("/webhook/am", "/webhook/am/wrong", "/webhook/am/%FF"):
            await refused(service, path, BEARER)
        assert (await service.post("/webhook/am/pa%7Eth.1", BODY))[0] == 202


@pytest.mark.parametrize("name", sorted(VECTORS))
async def test_grafana_signature_vectors_are_let_in(serve: Serve, name: str) -> None:
    vector = VECTORS[name]
    plain = source("gr", "grafana", hmac={"secret": vector["secret"]})
    timed = source("grt", "grafana", hmac={"secret": vector["secret"], "timestamp_header": TIMESTAMP})
    async with serve(plain, timed) as service:
        signature = vector[f"{SIGNATURE} (no timestamp header)"]
        for given in (signature, f"sha256={signature}"):
            assert (await service.post("/webhook/gr", grafana_body(name), {SIGNATURE: given}))[0] == 202
        headers = {SIGNATURE: vector["signature with timestamp header"], TIMESTAMP: vector["timestamp"]}
        assert (await service.post("/webhook/grt", grafana_body(name), headers))[0] == 202


@pytest.mark.parametrize(
    "change",
    ["no signature", "empty", "of another body", "one byte more", "upper case", "twice", "non-ascii"],
)
async def test_a_signature_that_does_not_match_is_refused(serve: Serve, change: str) -> None:
    good = VECTORS["resolved"][f"{SIGNATURE} (no timestamp header)"]
    headers: Any = {
        "no signature": {},
        "empty": {SIGNATURE: ""},
        "of another body": {SIGNATURE: VECTORS["firing_single"][f"{SIGNATURE} (no timestamp header)"]},
        "one byte more": {SIGNATURE: good},
        "upper case": {SIGNATURE: good.upper()},
        "twice": [(SIGNATURE, good), (SIGNATURE, good)],
        "non-ascii": {SIGNATURE: "é" * 64},
    }[change]
    body = grafana_body("resolved") + (b" " if change == "one byte more" else b"")
    async with serve(source("gr", "grafana", hmac={"secret": "s3cr3t"})) as service:
        assert "HMAC-SHA256" in await refused(service, "/webhook/gr", headers, body)


PING = json.dumps(
    {"event": {"event_type": "pagey.ping", "data": {"message": "Hello from your friend Pagey!"}}}
).encode()


def pagerduty(secret: str, body: bytes = PING) -> str:
    """One signature as PagerDuty's documentation computes it."""
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "secrets", [["s3cr3t"], ["old", "s3cr3t"], ["s3cr3t", "new"], [*map(str, range(20)), "s3cr3t"]]
)
async def test_any_one_of_pagerdutys_signatures_is_enough(serve: Serve, secrets: list[str]) -> None:
    async with serve(source("pd", "pagerduty", hmac={"secret": "s3cr3t"})) as service:
        for separator in (",", ", "):
            headers = {"X-PagerDuty-Signature": separator.join(pagerduty(secret) for secret in secrets)}
            status, answer = await service.post("/webhook/pd", PING, headers)
            assert (status, answer["results"]) == (202, [])
            assert "test event" in answer["note"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "v1=",
        "v1=,v1=",
        pagerduty("other"),
        pagerduty("s3cr3t", b"another body"),
        pagerduty("s3cr3t").removeprefix("v1="),
        pagerduty("s3cr3t").replace("v1=", "v2="),
        pagerduty("s3cr3t").replace("v1=", "sha256="),
        pagerduty("s3cr3t").upper(),
        pagerduty("s3cr3t")[:-1],
        "v1=é",
    ],
)
async def test_no_other_signature_of_pagerdutys_is_let_in(serve: Serve, value: str) -> None:
    async with serve(source("pd", "pagerduty", hmac={"secret": "s3cr3t"})) as service:
        assert "HMAC-SHA256" in await refused(service, "/webhook/pd", {"X-PagerDuty-Signature": value}, PING)
        await refused(service, "/webhook/pd", {SIGNATURE: pagerduty("s3cr3t")}, PING)


async def test_only_pagerduty_may_send_a_list_of_signatures(serve: Serve) -> None:
    bare = pagerduty("s3cr3t", BODY).removeprefix("v1=")
    async with serve(source("gr", "grafana", hmac={"secret": "s3cr3t"})) as service:
        for value in (f"{bare},{bare}", f"v1={bare}"):
            await refused(service, "/webhook/gr", {SIGNATURE: value})


async def test_pagerdutys_event_is_stored_and_its_note_is_told(serve: Serve) -> None:
    body = json.dumps(
        {"event": {"event_type": "incident.triggered", "data": {"id": "PGR0VU2", "title": "A bump"}}}
    ).encode()
    async with serve(source("pd", "pagerduty", hmac={"secret": "s3cr3t"})) as service:
        headers = {"X-PagerDuty-Signature": pagerduty("s3cr3t", body)}
        status, answer = await service.post("/webhook/pd", body, headers)
        assert (status, answer["accepted"], "note" in answer) == (202, 1, False)
        assert [alert.name for alert in await service.sink.stored()] == ["A bump"]


@pytest.mark.parametrize(("seconds", "let_in"), [(-301, False), (-300, True), (300, True), (301, False)])
async def test_a_signed_timestamp_is_fresh_for_300_seconds(serve: Serve, seconds: int, let_in: bool) -> None:
    vector = VECTORS["resolved"]
    headers = {SIGNATURE: vector["signature with timestamp header"], TIMESTAMP: vector["timestamp"]}
    timed = source("gr", "grafana", hmac={"secret": "s3cr3t", "timestamp_header": TIMESTAMP})
    async with serve(timed) as service:
        service.clock.advance(timedelta(seconds=seconds))
        if let_in:
            assert (await service.post("/webhook/gr", grafana_body("resolved"), headers))[0] == 202
        else:
            await refused(service, "/webhook/gr", headers, grafana_body("resolved"))


@pytest.mark.parametrize("timestamp", [None, "", "0", "-5", "1e9", "1795223901", "9" * 30, "١٧٩٥٢٢٣٩٠٠"])
async def test_a_timestamp_cannot_be_left_out_or_changed(serve: Serve, timestamp: str | None) -> None:
    headers = {SIGNATURE: VECTORS["resolved"]["signature with timestamp header"]}
    if timestamp is not None:
        headers[TIMESTAMP] = timestamp
    timed = source("gr", "grafana", hmac={"secret": "s3cr3t", "timestamp_header": TIMESTAMP})
    async with serve(timed) as service:
        await refused(service, "/webhook/gr", headers, grafana_body("resolved"))


async def test_a_signed_delivery_that_is_repeated_is_not_lost(serve: Serve) -> None:
    signature = hmac.new(b"k", BODY, hashlib.sha256).hexdigest()
    async with serve(source(hmac={"secret": "k"})) as service:
        answers = [await service.post("/webhook/am", BODY, {SIGNATURE: signature}) for _ in range(2)]
        assert [(status, answer["duplicate"]) for status, answer in answers] == [(202, 0), (202, 1)]


async def test_credentials_of_one_source_do_not_open_another(serve: Serve) -> None:
    async with serve(source("one", bearer="first"), source("two", bearer="second")) as service:
        await refused(service, "/webhook/two", {"Authorization": "Bearer first"})


async def test_an_unauthenticated_loopback_source_takes_programs_but_no_web_page(serve: Serve) -> None:
    async with serve(source(unauthenticated=True)) as service:
        await refused(service, "/webhook/am", {"Origin": "https://evil.test"})
        assert (await service.post("/webhook/am", BODY))[0] == 202


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "bot.example.com", "127.0.0.1.example.com"])
async def test_an_unauthenticated_source_on_a_reachable_address_does_not_start(host: str) -> None:
    with pytest.raises(ConfigError, match=r"sources\.am\.auth\.unauthenticated"):
        await start(source(unauthenticated=True), host=host)


async def test_a_port_that_is_taken_is_said_so(serve: Serve) -> None:
    async with serve() as service:
        with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{service.listener.port}"):
            await start(source(), port=service.listener.port)


async def start(*sources: Source, host: str = "127.0.0.1", port: int = 0) -> None:
    async def ready() -> dict[str, str | None]:
        return {}

    async with open_listener(
        Listen(host=host, port=port),
        sources=sources,
        limits=Limits(),
        parsers=parsers(Limits()),
        sink=InMemoryAlertSink(),
        metrics=Metrics(version="1"),
        readiness=ready,
        clock=MovableClock(),
    ):
        pass
