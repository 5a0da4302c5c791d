"""A local Messages API: real HTTP on the loopback, the real rules, scripted turns, and faults on request.

Give ``script`` a list, used up turn by turn, or a function of the request and its number. Turns are
:class:`Says` (any content blocks, also a hijacked model's) or :class:`Fault`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.servers.messages_rules import MODELS, Refused, bad, breakpoints, check, signature, without_cache

KEY = "sk-ant-local-0123456789"
VERSION = "2026-10-21"
Block = dict[str, Any]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """One answer. ``stop`` None follows from the blocks; ``usage`` replaces what would be counted; a thinking
    block without a signature is given one."""

    content: list[Block]
    stop: str | None = None
    usage: dict[str, Any] | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``kind``: status, drop, drop_in_body, hang, page, truncated. ``hang`` lasts until the client goes."""

    kind: str = "status"
    status: int = 500
    message: str = "injected fault"
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


Turn = Says | Fault
Script = list[Turn] | Callable[[dict[str, Any], int], Turn]


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def call(tool: str, arguments: Any, name: str) -> Block:
    return {"type": "tool_use", "id": name, "name": tool, "input": arguments}


def thinking(said: str) -> Block:
    return {"type": "thinking", "thinking": said}


def says(said: str) -> Says:
    return Says(content=[text(said)])


RATE_LIMIT_OF_AN_HOUR = Fault(status=429, message="rate limited", headers={"retry-after": "3600"})
SPEND_LIMIT = Fault(status=429, message="limit", code="enforced_spend_limit_reached")
OVERLOADED = Fault(status=529, message="Overloaded")
SERVER_ERROR = Fault(status=500, message="Internal server error")
WRONG_KEY = Fault(status=401, message="invalid x-api-key")
UNKNOWN_MODEL = Fault(status=404, message="model: claude-nobody")
DROPPED = Fault(kind="drop")
DROPPED_IN_BODY = Fault(kind="drop_in_body")
SLOW = Fault(kind="hang")
PAGE = Fault(kind="page")
TRUNCATED = Fault(kind="truncated")
REFUSAL = Says(content=[], stop="refusal")
CUT = Says(content=[text('{"status": "diag')], stop="max_tokens")

FAULTS: dict[str, Turn] = {
    "rate limit of an hour": RATE_LIMIT_OF_AN_HOUR,
    "spend limit": SPEND_LIMIT,
    "overloaded": OVERLOADED,
    "server error": SERVER_ERROR,
    "wrong key": WRONG_KEY,
    "unknown model": UNKNOWN_MODEL,
    "dropped": DROPPED,
    "dropped in the body": DROPPED_IN_BODY,
    "slow": SLOW,
    "page": PAGE,
    "truncated": TRUNCATED,
    "refusal": REFUSAL,
    "cut": CUT,
}
"""Every way in which an answer may not come, by name."""


class MessagesApi:
    """``requests`` holds every body that came to /v1/messages, refused ones included, ``headers`` theirs;
    ``refused`` what the rules said, so that a test can show that nothing was. Without a ``key`` anybody may
    ask."""

    def __init__(
        self, script: Script | None = None, *, models: tuple[str, ...] = MODELS, key: str | None = KEY
    ) -> None:
        self.script: Script = [] if script is None else script
        self.key = key
        self.models = models
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.probes = 0
        self.asked = asyncio.Event()
        self._ids = count(1)
        self._cached: set[str] = set()
        self._released = asyncio.Event()
        self._server: TestServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return str(self._server.make_url("/")).rstrip("/")

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/messages", self._entry)
        app.router.add_get("/v1/models/{id}", self._model)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._released.set()
        await self._server.close()

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.asked.set()
        try:
            self._admitted(request)
            check(body, self.models)
        except Refused as refusal:
            self.refused.append(refusal.message)
            return self._error(refusal.status, refusal.message)
        return await self._answer(request, body, raw)

    def _admitted(self, request: web.Request) -> None:
        self._known(request)
        if request.headers.get("anthropic-version") != VERSION:
            raise bad("anthropic-version: header is required")
        if request.content_type != "application/json":
            raise bad("content-type: must be application/json")

    def _known(self, request: web.Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is not None and self.key not in (request.headers.get("x-api-key"), bearer):
            raise Refused(401, "invalid x-api-key")

    async def _answer(self, request: web.Request, body: dict[str, Any], raw: bytes) -> web.StreamResponse:
        number = len(self.requests)
        if callable(self.script):
            turn = self.script(body, number)
        else:
            assert self.script, "the script has no turn left"
            turn = self.script.pop(0)
        if isinstance(turn, Fault):
            return await self._fail(request, turn)
        await asyncio.sleep(turn.delay)
        return web.json_response(self._message(body, raw, turn), headers=self._ids_of_answer())

    def _message(self, body: dict[str, Any], raw: bytes, turn: Says) -> dict[str, Any]:
        content: list[Block] = []
        for block in turn.content:
            made = dict(block)
            if made.get("type") == "thinking" and "signature" not in made:
                made["signature"] = signature(body, len(body["messages"]), list(content))
            content.append(made)
        calls = any(block.get("type") == "tool_use" for block in content)
        return {
            "id": f"msg_{next(self._ids):024d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": turn.stop or ("tool_use" if calls else "end_turn"),
            "stop_sequence": None,
            "usage": self._usage(body, raw, content) if turn.usage is None else turn.usage,
        }

    def _usage(self, body: dict[str, Any], raw: bytes, content: list[Block]) -> dict[str, Any]:
        """A prefix that ends at a breakpoint and came before is read from the cache, else written to it."""
        whole = max(len(raw) // 4, 1)
        read = written = 0
        if any(True for _ in breakpoints(body)):
            prefixes = _prefixes(body)
            known = [size for key, size in prefixes if key in self._cached]
            longest = prefixes[-1][1]
            read = max(known, default=0)
            written = longest - read
            self._cached.update(key for key, _ in prefixes)
        return {
            "input_tokens": max(whole - read - written, 1),
            "output_tokens": max(len(json.dumps(content)) // 4, 1),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
        }

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        assert request.transport is not None
        match fault.kind:
            case "drop":
                request.transport.abort()
                return web.Response()
            case "drop_in_body":
                response = web.StreamResponse(
                    headers={"Content-Length": "1000", "Content-Type": "application/json"}
                )
                await response.prepare(request)
                await response.write(b'{"id": "msg_1", "type": "message", "content": [')
                request.transport.close()
                return response
            case "hang":
                await self._released.wait()
                return web.Response()
            case "page":
                return web.Response(text="<html><form>Sign in</form></html>", content_type="text/html")
            case "truncated":
                return web.Response(
                    text='{"id": "msg_1", "type": "message", "content": [{"type": "te',
                    content_type="application/json",
                )
            case _:
                return self._error(fault.status, fault.message, fault.code, fault.headers)

    def _error(
        self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None
    ) -> web.Response:
        error: dict[str, Any] = {"type": _TYPES.get(status, "api_error"), "message": message}
        if code:
            error["details"] = {"error_code": code}
        ids = self._ids_of_answer()
        body = {"type": "error", "error": error, "request_id": ids["request-id"]}
        return web.json_response(body, status=status, headers={**ids, **(headers or {})})

    def _ids_of_answer(self) -> dict[str, str]:
        return {"request-id": f"req_{next(self._ids):022d}", "anthropic-organization-id": "org-local"}

    async def _model(self, request: web.Request) -> web.Response:
        self.probes += 1
        name = request.match_info["id"]
        try:
            self._known(request)
            if name not in self.models:
                raise Refused(404, f"model: {name}")
        except Refused as refusal:
            return self._error(refusal.status, refusal.message)
        return web.json_response(
            {"type": "model", "id": name, "display_name": name, "created_at": "2026-09-01T00:00:00Z"}
        )


def _prefixes(body: dict[str, Any]) -> list[tuple[str, int]]:
    """Tools, system, and the conversation up to each message: what they are, and their tokens."""
    found = []
    parts: list[Any] = [body["model"], body.get("tools"), body.get("system")]
    for message in [None, *body["messages"]]:
        parts.append(message)
        shown = json.dumps(without_cache(parts), sort_keys=True)
        found.append((shown, len(shown) // 5))
    return found
