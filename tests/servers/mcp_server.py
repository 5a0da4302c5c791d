"""An MCP server for tests, made with the official library; a process of its own, on all three transports.

``python mcp_server.py TRANSPORT PORT STATE``; STATE is a JSON file that is read at the start and before every
listing, so that a test can change what the server says while it runs. Its keys: ``description`` of the tool
``look``, ``extra`` (texts for the description of ``read_all``), ``token`` that HTTP requests must carry.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.servers.ports import free_port

_START = 30.0

LOOK = "How a service is, by name."


class McpServer:
    """One process that can be killed, frozen and started again on the same port. For ``stdio`` it is the
    client that starts it: see :attr:`command` and :attr:`arguments`."""

    def __init__(self, transport: str, **state: Any) -> None:
        self.transport = transport
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="mcp-")
        self._state = Path(self._directory.name) / "state.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.accepted: dict[str, Any] | None = None
        """What a test knows of its tools; forgotten when they change."""
        self.says(**state)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{'sse' if self.transport == 'sse' else 'mcp'}"

    command = sys.executable

    @property
    def arguments(self) -> list[str]:
        return [__file__, self.transport, str(self.port), str(self._state)]

    @property
    def environment(self) -> Mapping[str, str]:
        """What it takes to import this module."""
        return {"PYTHONPATH": str(Path(__file__).parents[2])}

    def says(self, **state: Any) -> None:
        """Change what the server says from the next listing on."""
        self.accepted, self.state = None, state
        self._state.write_text(json.dumps(state))

    @property
    def log_path(self) -> Path:
        return self._state.with_name("asked")

    @property
    def log(self) -> list[str]:
        """What was asked of the tools, one line each."""
        return self.log_path.read_text().splitlines() if self.log_path.exists() else []

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[psutil.Process]:
        """Every living process that was started from these arguments."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                ours = str(self._state) in (process.info["cmdline"] or [])
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def launch(self) -> None:
        """Start it and wait until it listens."""
        if self.transport == "stdio":
            return
        self._process = subprocess.Popen(
            [self.command, *self.arguments],
            env={"PATH": os.environ["PATH"], **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _START
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < until, "the server does not listen"
                time.sleep(0.05)

    def kill(self) -> None:
        """At once, as the kernel would."""
        for process in self.children():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        for process in self.children():
            process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        if not self.alive():
            self.launch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._directory.cleanup()


def _serve(transport: str, port: int, path: Path) -> None:
    from mcp.server.mcpserver import MCPServer
    from mcp_types import (
        AudioContent,
        CallToolResult,
        EmbeddedResource,
        ImageContent,
        ResourceLink,
        TextContent,
        TextResourceContents,
        ToolAnnotations,
    )

    def state() -> dict[str, Any]:
        said = json.loads(path.read_text())
        assert isinstance(said, dict)
        return said

    def asked(line: str) -> None:
        with path.with_name("asked").open("a") as file:
            file.write(f"{line}\n")

    server = MCPServer("test")
    pixel = base64.b64encode(b"\x89PNG").decode()

    def look(service: str, lines: int = 1) -> str:
        asked(f"look {service}")
        return "\n".join(f"{service} is well, line {number}" for number in range(lines))

    async def slow(seconds: float) -> str:
        asked(f"slow {seconds}")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            asked("slow was cancelled")
            raise
        return "at last"

    def say(text: str, failed: bool = False) -> Any:
        return CallToolResult(content=[TextContent(text=text)], is_error=failed)

    def flood(characters: int) -> Any:
        return CallToolResult(content=[TextContent(text="x" * characters)])

    def mixed() -> Any:
        return CallToolResult(
            content=[
                TextContent(text="a text"),
                ImageContent(data=pixel, mime_type="image/png"),
                AudioContent(data=pixel, mime_type="audio/wav"),
                ResourceLink(name="more", uri="http://127.0.0.1:1/more"),
                EmbeddedResource(resource=TextResourceContents(uri="file:///etc/motd", text="embedded text")),
            ],
            structured_content={"answer": 42},
        )

    def empty() -> Any:
        return CallToolResult(content=[])

    def environment() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}

    def die() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    def spawn() -> str:
        """A process that stays behind when its parent ends."""
        return str(subprocess.Popen(["sleep", "600"]).pid)

    def restart(service: str) -> str:
        asked(f"restart {service}")
        return "restarted"

    def renamed(service: str) -> str:
        return service

    for one in (slow, say, flood, mixed, empty, environment, die, spawn):
        server.add_tool(one, description=f"The tool {one.__name__}.", structured_output=False)
    server.add_tool(look, description=state().get("description", LOOK), structured_output=False)
    server.add_tool(renamed, name="odd.name/é", description="Has a name of its own.", structured_output=False)
    server.add_tool(
        restart,
        description="Restarts a service.",
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True),
        structured_output=False,
    )
    inner = server._tool_manager.list_tools

    def list_tools() -> Any:
        found = inner()
        for tool in found:
            if tool.name == "look":
                said = state()
                tool.description = said.get("description", LOOK)
                if "schema" in said:
                    tool.parameters = said["schema"]
        return found

    server._tool_manager.list_tools = list_tools  # type: ignore[method-assign]
    if transport == "stdio":
        server.run("stdio")
        return
    import uvicorn

    app: Any = server.sse_app() if transport == "sse" else server.streamable_http_app()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        token = state().get("token")
        headers = dict(scope.get("headers", []))
        if scope["type"] == "http" and token and headers.get(b"authorization") != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    uvicorn.run(guarded, host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
