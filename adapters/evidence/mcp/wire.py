"""The library, and nothing of it beyond this module: connections of all three transports, bounded.

Importing this imports the library, which takes most of a second: only the owner of a connection does, when it
connects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Self
from urllib.parse import urljoin

import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from adapters.evidence.mcp.child import child
from adapters.evidence.mcp.listing import MAX_TOOLS, Listed
from adapters.evidence.mcp.results import Answer, Part, joined
from adapters.evidence.mcp.shrink import shrunk
from adapters.evidence.mcp.words import Lost, Refused
from config.schema import McpSource

MAX_BODY = MAX_EVENT = 1024 * 1024
"""Bytes of one answer, and of one event; for ``sse`` this is the library's own limit."""
_CHANGED = "notifications/tools/list_changed"
_PAGES = 20
_FAREWELL = 2.0
_STREAM_SILENCE = 600.0
"""Seconds without a byte after which a stream of events counts as dead. Calls have their own time."""

Ended = Callable[[Exception], None]


class Session:
    """One connection. Of its methods any number may run at once."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self) -> tuple[Listed, ...]:
        """At most MAX_TOOLS. Raises whatever the library raises."""
        listed: list[Listed] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            listed += [_listed(tool) for tool in page.tools]
            cursor = page.next_cursor
            if not cursor or len(listed) >= MAX_TOOLS:
                break
        return tuple(listed[:MAX_TOOLS])

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Raises whatever the library raises."""
        # Not the library's own call_tool: it checks the result against a schema of the server's, whose
        # expressions may take for ever, and answers questions that the server puts in between.
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        )
        result = await self._client.session.send_request(request, types.CallToolResult)
        parts = [_part(block) for block in result.content]
        return Answer(text=joined(parts, result.structured_content), failed=result.is_error)


@asynccontextmanager
async def connected(
    section: McpSource, environment: Mapping[str, str], *, ended: Ended, changed: Callable[[], None]
) -> AsyncIterator[Session]:
    """A connection, initialised. ``ended`` is told why it can no longer be used, ``changed`` that the server
    says its tools changed. Raises whatever the library raises, in groups too: see :func:`reason`."""
    # Its messages carry what servers say, secrets and all, and would go to the log with their tracebacks.
    for name in ("mcp", "client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)

    async def heard(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed()

    end = _End(ended)
    async with AsyncExitStack() as stack:
        streams = await _transport(section, environment, end.tell, stack)
        client = Client(
            _Watched(streams, end),
            mode="auto" if section.transport == "http" else "legacy",
            read_timeout_seconds=section.timeout.total_seconds() + 5,
            message_handler=heard,
            cache=None,
        )
        yield Session(await stack.enter_async_context(client))


async def _transport(
    section: McpSource, environment: Mapping[str, str], ended: Ended, stack: AsyncExitStack
) -> AbstractAsyncContextManager[Any]:
    if section.transport == "stdio":
        assert section.command is not None
        variables = {one.name: one.value.get_secret_value() for one in section.env}
        return child(section.command, section.args, {**environment, **variables}, ended)
    assert section.url is not None
    url = str(section.url)

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        seconds = section.timeout.total_seconds()
        return httpx2.AsyncClient(
            headers=_headers(section),
            auth=_basic(section),
            transport=_OneOrigin(httpx2.URL(url), ended),
            timeout=httpx2.Timeout(seconds, read=_STREAM_SILENCE),
            follow_redirects=False,
            trust_env=False,
        )

    if section.transport == "sse":
        return sse_client(url, httpx_client_factory=client)
    http = await stack.enter_async_context(client())
    return streamable_http_client(url, http_client=http, max_sse_event_size=MAX_EVENT)


def _headers(section: McpSource) -> dict[str, str]:
    # Compressed, a small answer could become a large one after it was measured.
    headers = {"Accept-Encoding": "identity", "User-Agent": "assent"}
    headers |= {one.name: one.value.get_secret_value() for one in section.headers}
    if section.auth.bearer is not None:
        headers["Authorization"] = f"Bearer {section.auth.bearer.get_secret_value()}"
    return headers


def _basic(section: McpSource) -> httpx2.BasicAuth | None:
    basic = section.auth.basic
    if basic is None or section.auth.bearer is not None:
        return None
    return httpx2.BasicAuth(basic.username, basic.password.get_secret_value())


class _OneOrigin(httpx2.AsyncBaseTransport):
    """Speaks to one scheme, host and port; measures what comes back; says when it is over."""

    def __init__(self, url: httpx2.URL, ended: Ended) -> None:
        self._origin = (url.scheme, url.host, url.port)
        self._ended = ended
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False, retries=0)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            if request.method == "DELETE":
                async with asyncio.timeout(_FAREWELL):
                    return await self._inner.handle_async_request(request)
            self._stays(request.url)
            response = await self._inner.handle_async_request(request)
            try:
                self._look(request, response)
            except BaseException:
                await response.aclose()
                raise
        except (_Stopped, httpx2.TransportError) as error:
            # Some of the library's tasks only log what ends them, and the call would wait for its time.
            if request.method == "POST" or isinstance(error, _Stopped):
                self._ended(error)
            raise
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Measured(response.stream)
        return response

    def _stays(self, url: httpx2.URL) -> None:
        if (url.scheme, url.host, url.port) != self._origin:
            raise _Stopped("points to another server, which is not spoken to")

    def _look(self, request: httpx2.Request, response: httpx2.Response) -> None:
        status = response.status_code
        if status in (301, 302, 303, 307, 308):
            target = httpx2.URL(urljoin(str(request.url), response.headers.get("location", "")))
            if (target.scheme, target.host, target.port) != self._origin:
                raise _Stopped(f"answered {status}, a redirect to another server; the url or auth is wrong")
        if status in (401, 403):
            raise _Stopped(f"answered {status}, the credential is missing, wrong or may not")
        if status == 404 and request.headers.get("mcp-session-id"):
            raise _Stopped("forgot the session, as after a restart")
        if status >= 500 or status == 429:
            raise _Stopped(f"answered {status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Stopped("answered compressed, which it was asked not to")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stopped(httpx2.TransportError):
    """The text is what a person is told."""


class _Measured(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BODY
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise _Stopped(f"the answer is larger than {MAX_BODY // 1024 // 1024} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _End:
    """Tells of the end of a connection, but not of what ends because we leave it."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self.leaving = False

    def tell(self, error: Exception) -> None:
        if not self.leaving:
            self._ended(error)


class _Watched:
    """A transport that says when nothing more will come: otherwise only the next call would notice."""

    def __init__(self, inner: AbstractAsyncContextManager[Any], end: _End) -> None:
        self._inner = inner
        self._end = end

    async def __aenter__(self) -> tuple[Any, Any]:
        received, to_send = await self._inner.__aenter__()
        return _Reading(received, self._end.tell), to_send

    async def __aexit__(self, *error: Any) -> bool | None:
        self._end.leaving = True
        return await self._inner.__aexit__(*error)


class _Reading:
    def __init__(self, stream: Any, ended: Ended) -> None:
        self._stream = stream
        self._ended = ended

    async def _of(self, item: Awaitable[Any]) -> Any:
        try:
            return await item
        except Exception:
            self._ended(Lost("the connection ended"))
            raise

    async def receive(self) -> Any:
        while (message := _looked_at(await self._of(self._stream.receive()))) is None:
            pass
        return message

    async def __anext__(self) -> Any:
        while (message := _looked_at(await self._of(self._stream.__anext__()))) is None:
            pass
        return message

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)


def _looked_at(item: SessionMessage | Exception) -> SessionMessage | Exception | None:
    """Only what we have a use for; None for what we have none for."""
    if isinstance(item, Exception):
        return item
    match item.message:
        case types.JSONRPCResponse(id=number, result=result):
            small = types.JSONRPCResponse(jsonrpc="2.0", id=number, result=shrunk(result))
            return SessionMessage(small, item.metadata)
        case types.JSONRPCNotification(method=method):
            changed = types.JSONRPCNotification(jsonrpc="2.0", method=method)
            return SessionMessage(changed, item.metadata) if method == _CHANGED else None
        case types.JSONRPCRequest(id=number, method=method):
            # What a server asks of us is answered by the library: a ping, and that there is nothing else.
            return SessionMessage(
                types.JSONRPCRequest(jsonrpc="2.0", id=number, method=method), item.metadata
            )
    return item


def reason(error: BaseException) -> str:
    """Why, in one sentence that is not redacted yet: it may hold words of the server's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case Refused() | _Stopped():
            return str(error)
        case httpx2.TimeoutException():
            return "no answer in time"
        case httpx2.ConnectError():
            return "cannot be reached"
        case httpx2.HTTPStatusError():
            return f"answered {error.response.status_code}"
        case httpx2.TransportError():
            return f"the connection broke ({type(error).__name__})"
        case MCPError():
            return f"says: {error.message}"
        case TimeoutError():
            return "no answer in time"
        case OSError():
            return error.strerror or type(error).__name__
        case ValidationError():
            return "answered what is not of the protocol"
        case asyncio.CancelledError():
            return "the connection broke"
    # Whatever else: its text may hold anything, its name is the library's.
    return f"the connection broke ({type(error).__name__})"


def is_over(error: BaseException) -> bool:
    """Whether the connection, not only the call, has failed."""
    if isinstance(error, MCPError):
        return error.code == types.CONNECTION_CLOSED or error.message == "Session terminated"
    return not isinstance(error, ValidationError)


def _listed(tool: types.Tool) -> Listed:
    hints = tool.annotations
    return Listed(
        name=tool.name,
        description=tool.description or "",
        schema=tool.input_schema,
        read_only=None if hints is None else hints.read_only_hint,
        destructive=None if hints is None else hints.destructive_hint,
    )


def _part(block: types.ContentBlock) -> Part:
    match block:
        case types.TextContent():
            return Part(text=block.text)
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return Part(text=resource.text)
        case types.EmbeddedResource():
            return Part(named="a resource that is no text, left out")
        case types.ImageContent():
            return Part(named=f"an image ({block.mime_type[:60]}), not looked at")
        case types.AudioContent():
            return Part(named=f"a sound ({block.mime_type[:60]}), not listened to")
        case types.ResourceLink():
            return Part(named=f"a link to {str(block.uri)[:200]}, not followed")
    return Part(named="something that is no text, left out")
