"""Slow, oversized and broken requests, health, and the end of service; over plain sockets where needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.schema import Limits
from tests.adapters.http.conftest import BEARER, Serve, Service, source

BODY = (Path(__file__).parents[2] / "data" / "payloads" / "alertmanager-0.28_firing_single.json").read_bytes()
HEAD = b"POST /webhook/am HTTP/1.1\r\nHost: bot\r\nAuthorization: Bearer s3cr3t\r\n"


@asynccontextmanager
async def connection(service: Service) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.listener.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])


async def test_a_content_length_over_the_limit_is_refused_before_anything_is_read(serve: Serve) -> None:
    async with serve(limits=Limits(body_bytes=1024)) as service, connection(service) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 10485760\r\n\r\n")
        assert await status_of(reader) == 413


async def test_a_chunked_body_over_the_limit_is_refused_while_it_still_flows(serve: Serve) -> None:
    async with serve(limits=Limits(body_bytes=1024)) as service, connection(service) as (reader, writer):
        writer.write(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n1\r\n \r\n"
        )
        assert await status_of(reader) == 413


async def test_ten_megabytes_are_answered_413_with_the_limit(serve: Serve) -> None:
    async with serve() as service:
        status, answer = await service.post("/webhook/am", b" " * 10_000_000, BEARER)
        assert (status, "4194304 bytes" in answer["error"]) == (413, True)


async def test_a_chunked_body_within_the_limit_is_taken(serve: Serve) -> None:
    async with serve() as service, connection(service) as (reader, writer):
        chunk = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert await status_of(reader) == 202


async def test_a_body_that_trickles_is_cut_off(serve: Serve) -> None:
    async with serve(read_seconds=0.1) as service, connection(service) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 500\r\n\r\n{")
        assert await status_of(reader) == 408


async def test_headers_that_trickle_are_cut_off(serve: Serve) -> None:
    async with serve(header_seconds=0.1) as service, connection(service) as (reader, writer):
        writer.write(HEAD)
        assert await reader.read() == b""


async def test_a_wrong_token_is_refused_without_waiting_for_the_body(serve: Serve) -> None:
    async with serve() as service, connection(service) as (reader, writer):
        writer.write(b"POST /webhook/am HTTP/1.1\r\nHost: bot\r\nContent-Length: 4000000\r\n\r\n")
        assert await status_of(reader) == 401


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5\r\nabcdeXX"])
async def test_broken_chunks_are_a_client_error(serve: Serve, rest: bytes) -> None:
    async with serve() as service, connection(service) as (reader, writer):
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        writer.write(rest)
        assert await status_of(reader) == 400
        assert await service.sink.stored() == ()


async def test_a_sender_that_breaks_off_loses_nothing_of_others(serve: Serve) -> None:
    async with serve() as service:
        async with connection(service) as (_, writer):
            writer.write(HEAD + b"Content-Length: 500\r\n\r\n{")
            await writer.drain()
        assert (await service.post("/webhook/am", BODY, BEARER))[0] == 202


async def test_an_accepted_alert_is_stored_even_if_the_sender_hangs_up_before_the_answer(
    serve: Serve,
) -> None:
    async with serve() as service:
        service.sink.open.clear()
        async with connection(service) as (_, writer):
            writer.write(HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
            await service.sink.entered.wait()
        service.sink.open.set()
        await service.listener.stop_accepting()
    assert len(await service.sink.stored()) == 1


async def test_alive_says_nothing_about_the_store(serve: Serve) -> None:
    async with serve() as service:
        service.ready["store"] = "down"
        async with service.client.get(service.url("/healthz")) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "alive"})


async def test_ready_names_what_is_not(serve: Serve) -> None:
    async with serve() as service:
        async with service.client.get(service.url("/readyz")) as answer:
            assert (answer.status, (await answer.json())["ready"]) == (200, True)
        service.ready["chat"] = "homeserver refused the token=abcdef"
        async with service.client.get(service.url("/readyz")) as answer:
            assert answer.status == 503
            assert await answer.json() == {
                "ready": False,
                "checks": {
                    "store": {"ok": True, "reason": None},
                    "chat": {"ok": False, "reason": "homeserver refused the token=[redacted:secret]"},
                },
            }


async def test_a_readiness_check_that_hangs_is_not_ready(serve: Serve) -> None:
    async def never() -> Mapping[str, str | None]:
        await asyncio.Event().wait()
        return {}

    async with serve(readiness=never, readiness_seconds=0.05) as service:
        async with service.client.get(service.url("/readyz")) as answer:
            assert answer.status == 503
            assert "no answer" in await answer.text()


async def test_metrics_are_prometheus_text(serve: Serve) -> None:
    async with serve() as service, service.client.get(service.url("/metrics")) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert 'assent_build_info{python="' in await answer.text()


async def test_stopping_refuses_new_work_and_finishes_what_it_took(serve: Serve) -> None:
    async with serve(source("am", bearer="s3cr3t")) as service:
        async with connection(service) as (kept, kept_writer):
            kept_writer.write(b"GET /healthz HTTP/1.1\r\nHost: bot\r\n\r\n")
            assert await status_of(kept) == 200
            while await kept.readline() != b"\r\n":
                pass
            await kept.readexactly(len(b'{"status":"alive"}'))
            service.sink.open.clear()
            answering = asyncio.create_task(service.post("/webhook/am", BODY, BEARER))
            await service.sink.entered.wait()
            await service.listener.stop_accepting()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", service.listener.port)
            kept_writer.write(HEAD + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
            assert await status_of(kept) == 503
            service.sink.open.set()
            assert (await answering)[0] == 202
    assert len(await service.sink.stored()) == 1


async def test_leaving_waits_for_a_request_in_flight(serve: Serve) -> None:
    async with serve() as service:
        service.sink.open.clear()
        answering = asyncio.create_task(service.post("/webhook/am", BODY, BEARER))
        await service.sink.entered.wait()
        asyncio.get_running_loop().call_soon(service.sink.open.set)
        await service.listener.stop_accepting()
        assert (await answering)[0] == 202


async def test_an_idle_listener_stops_at_once(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    async with serve() as service:
        await service.post("/webhook/am", BODY, BEARER)
        started = loop.time()
    assert loop.time() - started < 1
