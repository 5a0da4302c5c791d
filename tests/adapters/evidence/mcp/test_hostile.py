"""Servers that do not keep to the protocol, and secrets that come back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.evidence.mcp import McpTools
from bot.domain.clock import SystemClock
from bot.domain.errors import Unavailable
from bot.domain.evidence import EvidenceStatus
from config.schema import McpSource
from tests.adapters.evidence.mcp.world import WINDOW, accepted, section, tools_of, until
from tests.servers.api import FLOOD, Api
from tests.servers.mcp_server import McpServer

TOKEN = "our-own-credential-5f1c"
CANARY = "glpat-aaaabbbbccccddddeeee"


class Anything(Api):
    """Answers each request as the test says."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)


@pytest.fixture
async def api() -> AsyncIterator[Anything]:
    async with Anything() as server:
        yield server


@pytest.fixture
async def elsewhere() -> AsyncIterator[Anything]:
    async with Anything() as server:
        yield server


def source_at(url: str, directory: Path, **changes: Any) -> McpTools:
    given = {"name": "test", "transport": "http", "url": url, "tools": ["look"], "timeout": "3s"}
    config = McpSource.model_validate(given | {"auth": {"bearer": TOKEN}} | changes)
    return McpTools(config, directory, SystemClock(), {})


async def reason_of(source: McpTools) -> str:
    async with source:
        with pytest.raises(Unavailable) as caught:
            await source.probe()
        assert source.tools() == ()
    assert len(asyncio.all_tasks()) <= 3  # this test, and two servers'
    return caught.value.reason


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_server_is_not_followed(
    api: Anything, elsewhere: Anything, tmp_path: Path, transport: str, status: int
) -> None:
    async def fault(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"{elsewhere.url}login?token={CANARY}"})

    api.fault = fault
    said = await reason_of(source_at(api.url, tmp_path, transport=transport))
    assert said == f"not connected: answered {status}, a redirect to another server; the url or auth is wrong"
    assert elsewhere.asked == []
    assert api.headers[0]["Authorization"] == f"Bearer {TOKEN}"


async def test_an_endpoint_on_another_server_is_not_spoken_to(
    api: Anything, elsewhere: Anything, tmp_path: Path
) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"event: endpoint\ndata: {elsewhere.url}messages\n\n".encode())
        await asyncio.sleep(2)
        return response

    api.fault = fault
    assert "not connected: " in await reason_of(source_at(api.url, tmp_path, transport="sse"))
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "answered 401, the credential is missing, wrong or may not"),
        (403, "answered 403, the credential is missing, wrong or may not"),
        (429, "answered 429"),
        (500, "answered 500"),
        (503, "answered 503"),
    ],
)
@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_bad_status_is_told(
    api: Anything, tmp_path: Path, transport: str, status: int, said: str
) -> None:
    async def fault(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=f"Bearer {TOKEN} {CANARY}")

    api.fault = fault
    assert await reason_of(source_at(api.url, tmp_path, transport=transport)) == f"not connected: {said}"


def stream(kind: str, first: bytes, chunk: bytes) -> Any:
    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(first)
        sent = 0
        while sent < FLOOD:
            await response.write(chunk)
            sent += len(chunk)
        return response

    return fault


@pytest.mark.parametrize(
    ("kind", "first", "chunk"),
    [
        ("application/json", b'{"jsonrpc": "2.0", "id": 1, "result": "', b"x" * 65_536),
        ("text/event-stream", b"event: message\ndata: ", b"x" * 65_536),
        ("text/event-stream", b"", b"event: message\ndata: {}\n\n" * 1_000),
        ("text/html", b"<html>", b"x" * 65_536),
    ],
)
async def test_a_flood_is_not_read_to_its_end(
    api: Anything, tmp_path: Path, kind: str, first: bytes, chunk: bytes
) -> None:
    api.fault = stream(kind, first, chunk)
    assert "not connected: " in await reason_of(source_at(api.url, tmp_path))


async def test_what_comes_compressed_is_not_unpacked(api: Anything, tmp_path: Path) -> None:
    async def fault(_request: web.Request) -> web.StreamResponse:
        response = web.json_response({"jsonrpc": "2.0"})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    api.fault = fault
    said = await reason_of(source_at(api.url, tmp_path))
    assert said == "not connected: answered compressed, which it was asked not to"


@pytest.mark.parametrize(
    "answer",
    [
        {"jsonrpc": "2.0", "id": 1, "result": []},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": f"password=hunter2hunter2 {TOKEN}"}},
        {"jsonrpc": "2.0", "id": 99, "result": {}},
        ["not", "a", "message"],
        {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {"messages": []}},
    ],
)
async def test_an_answer_that_is_none_ends_in_a_reason_without_secrets(
    api: Anything, tmp_path: Path, answer: Any
) -> None:
    async def fault(_request: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    api.fault = fault
    said = await reason_of(source_at(api.url, tmp_path, timeout="1s"))
    assert said.startswith("not connected: ")
    assert "hunter2" not in said
    assert TOKEN not in said


PROGRAMS = {
    "ends": (
        "import sys; sys.exit('password=hunter2hunter2')",
        "the process ended with 1: password=[redacted",
    ),
    "chatters": ("print('Welcome!', flush=True); input()", "said something that is no message"),
    "floods": (
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        "said something that is no message of the protocol, or a longer one than is read",
    ),
    "is silent": ("import time; time.sleep(60)", "no answer in time"),
    "closes its ears": ("import os, time; os.close(0); os.close(1); time.sleep(60)", "the process ended"),
}


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_command_that_is_no_server_is_ended_and_told_of(name: str, tmp_path: Path) -> None:
    text, said = PROGRAMS[name]
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(text))
    given = {"name": "test", "transport": "stdio", "command": sys.executable, "args": [str(script)]}
    config = McpSource.model_validate(given | {"tools": ["look"], "timeout": "2s"})
    source = McpTools(config, tmp_path, SystemClock(), {"PATH": os.environ["PATH"]})
    assert said in await reason_of(source)


async def test_a_command_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    given = {"name": "test", "transport": "stdio", "command": "no-such-server", "tools": ["look"]}
    source = McpTools(McpSource.model_validate(given), tmp_path, SystemClock(), {"PATH": "/nowhere"})
    said = await reason_of(source)
    assert said == "not connected: cannot start no-such-server: No such file or directory"


async def test_no_secret_gets_out_of_a_result_a_failure_a_description_or_a_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with McpServer("http", description=f"Looks. {CANARY}", token=TOKEN) as server:
        config = section(server, auth={"bearer": TOKEN}, tools=["look", "say"])
        async with accepted(server, config, tmp_path) as source:
            said += [f"{source.tools()}", f"{source.problem()}"]
            for failed in (False, True):
                for text in (CANARY, f"api_key={CANARY}", TOKEN, f"x{TOKEN}\u200b", json.dumps({"p": TOKEN})):
                    arguments = {"text": text, "failed": failed}
                    evidence = await source.call("test__say", arguments, WINDOW, "shop")
                    said += [f"{evidence}", evidence.excerpt]
                    expected = EvidenceStatus.FAILED if failed else EvidenceStatus.OK
                    assert evidence.status is expected
                    assert "[redacted:" in evidence.query
                    assert "[redacted:" in (evidence.reason or evidence.excerpt)
            await source.call("test__look", {"service": CANARY, "lines": TOKEN}, WINDOW, "shop")
        wrong = section(server, auth={"bearer": f"{TOKEN}-not"}, tools=["look"])
        async with tools_of(wrong, tmp_path) as source:
            await until(lambda: "401" in (source.problem() or ""))
            said.append(source.problem() or "")
    said += [path.read_text() for path in tmp_path.iterdir()]
    out = capsys.readouterr()
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    said += [out.out, out.err]
    for text in said:
        assert CANARY not in text
        assert TOKEN not in text


async def test_a_cut_off_text_does_not_show_half_a_secret(tmp_path: Path) -> None:
    with McpServer("http") as server:
        async with accepted(server, section(server, tools=["say"]), tmp_path) as source:
            key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0B\n" * 12_000
            for before in (0, 30_000, 65_530):
                text = "y" * before + "\n" + key
                evidence = await source.call("test__say", {"text": text[:15_000]}, WINDOW, "shop")
                assert "MIIEvQ" not in evidence.excerpt
