"""The ``claude`` command of somebody who has signed in with it: one run per turn, everything told anew.

The command is started without tools, settings and servers of its own. Ours are offered in the prompt, and
asked for in JSON:

- the prompt, on stdin, is one JSON object: ``instructions``, ``tools`` (name, description, arguments as JSON
  Schema), ``answer_schema`` or null, and ``conversation``, a list of turns ``{"from": "operator", "text"}``,
  ``{"from": "tool", "call", "failed", "text"}`` and ``{"from": "you", …}``; what somebody else wrote stands
  in JSON strings and cannot begin a turn;
- the answer is one JSON object: ``{"calls": [{"name", "arguments"}]}`` to use tools, or ``{"answer": …}``.
  What is neither counts as an answer in words.

The price is what the command reports; it counts although with a subscription nobody is billed for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.model.answers import extracted, parsed, whole
from adapters.model.prices import Prices, Projection
from adapters.model.turns import Answer, Failed, Told, Turns, failed
from bot.domain.clock import Clock
from bot.telemetry import Metrics
from config.model import ModelSection
from investigators.analyst.ports import (
    Conversation,
    FailureKind,
    Opening,
    Spending,
    Stop,
    Tier,
    ToolCall,
    Usage,
)

_FLAGS = (
    *("--print", "--output-format", "json", "--max-turns", "1"),
    *("--tools", "", "--setting-sources", "", "--strict-mcp-config"),
    *(
        "--system-prompt",
        "You answer a program. The message is one JSON object; do what its instructions say, and answer "
        "with one JSON object and nothing else.",
    ),
)
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "CLAUDE_CONFIG_DIR")
"""Of our environment, which may hold secrets: what a program needs to run, and where its sign-in is."""
_OUTPUT_BYTES = 2 * 1024 * 1024

_PROTOCOL = """

# How to answer

Answer with one JSON object and nothing else.
To use tools: {"calls": [{"name": "<tool>", "arguments": {…}}]}. The results come with the next message.
To end: {"answer": <your answer>}. Where answer_schema is given, <your answer> is an object that keeps to it;
otherwise it is text."""
_NO_TOOLS = "You may not use tools on this turn: answer."


class ClaudeCommand:
    """``environment`` is the whole one of this process; little of it is passed on."""

    name = "claude-cli"

    def __init__(
        self,
        section: ModelSection,
        clock: Clock,
        environment: Mapping[str, str],
        metrics: Metrics | None = None,
    ) -> None:
        self._section = section
        self._prices = Prices(section.prices, clock)
        self._metrics = metrics
        self._environment = {name: environment[name] for name in _PASSED_ON if name in environment}
        # What a call can cost depends on it; its own limit would be more than most budgets.
        self._environment["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(section.max_output_tokens)
        if section.api_key is not None:
            self._environment["ANTHROPIC_API_KEY"] = section.api_key.get_secret_value()

    def name_of(self, tier: Tier) -> str:
        return self._section.deep if tier is Tier.DEEP else self._section.fast

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        return _Conversation(self, self.name_of(opening.tier), opening, spending, timeout)

    async def version(self) -> str:
        """What the command says of itself, which costs nothing. Raises ModelFailure."""
        try:
            async with asyncio.timeout(10):
                raw = await self._run(("--version",), b"")
        except Failed as error:
            raise error.failure from None
        return raw.stdout.decode(errors="replace").strip()[:80]

    async def ask(self, model: str, prompt: bytes) -> _Ran:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = "cancelled"
        try:
            ran = await self._run((*_FLAGS, "--model", model), prompt)
            result = "ok" if ran.code == 0 else FailureKind.SERVER_ERROR.value
            return ran
        except Failed as error:
            result = error.failure.kind.value
            raise
        finally:
            if self._metrics is not None:
                self._metrics.model_requests.labels(model=model, result=result).inc()
                self._metrics.model_seconds.labels(model=model).observe(loop.time() - began)

    def cost(self, model: str, usage: Usage, reported: Decimal | None) -> Decimal | None:
        usd = self._prices.cost(model, usage) if reported is None else reported
        if self._metrics is not None:
            for kind in ("input", "output", "cache_read", "cache_write"):
                self._metrics.model_tokens.labels(model=model, kind=kind).inc(getattr(usage, kind))
            if usd is not None:
                self._metrics.model_usd.labels(model=model).inc(float(usd))
        return usd

    def at_most(self, model: str, request_bytes: int) -> Projection:
        return self._prices.at_most(model, request_bytes, self._section.max_output_tokens, cached=True)

    async def _run(self, arguments: tuple[str, ...], prompt: bytes) -> _Ran:
        program = shutil.which(self._section.command, path=self._environment.get("PATH", os.defpath))
        if program is None:
            raise failed(
                FailureKind.UNREACHABLE,
                "the program of model.command cannot be found: install it, or name it",
            )
        # An empty folder, so that no file of a project is read as instructions.
        async with _empty_folder() as folder:
            try:
                process = await asyncio.create_subprocess_exec(
                    program,
                    *arguments,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    cwd=folder,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise failed(
                    FailureKind.UNREACHABLE,
                    f"the program of model.command cannot be started: {error.strerror}",
                ) from None
            writing = asyncio.create_task(_write(process, prompt))
            try:
                stdout = await _read(process)
                return _Ran(await process.wait(), stdout)
            finally:
                writing.cancel()
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()


@dataclass(frozen=True, slots=True)
class _Ran:
    code: int
    stdout: bytes


@asynccontextmanager
async def _empty_folder() -> AsyncIterator[str]:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="assent-model-")
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _write(process: asyncio.subprocess.Process, prompt: bytes) -> None:
    assert process.stdin is not None
    # It may end before it has read everything: its answer says why.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(prompt)
        await process.stdin.drain()
    process.stdin.close()


async def _read(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    kept = bytearray()
    while part := await process.stdout.read(65_536):
        kept += part
        if len(kept) > _OUTPUT_BYTES:
            raise failed(FailureKind.MALFORMED, "the command wrote more than any answer is long", free=False)
    return bytes(kept)


class _Conversation(Turns):
    def __init__(
        self, command: ClaudeCommand, model: str, opening: Opening, spending: Spending, timeout: timedelta
    ) -> None:
        super().__init__(model, spending, timeout)
        self._command = command
        self._schema = opening.answer_schema
        self._frozen: dict[str, Any] = {
            "instructions": opening.system + _PROTOCOL,
            "tools": [
                {"name": tool.name, "description": tool.description, "arguments": dict(tool.schema)}
                for tool in sorted(opening.tools, key=lambda tool: tool.name)
            ],
            "answer_schema": None if opening.answer_schema is None else dict(opening.answer_schema),
        }
        self._turns: list[dict[str, Any]] = []
        self._calls = 0

    def _hear(self, told: Told) -> Projection:
        self._turns += [
            {"from": "tool", "call": result.call_id, "failed": result.failed, "text": result.text}
            for result in told.results
        ]
        words = [told.text] if told.text.strip() else []
        if not told.may_use_tools and self._frozen["tools"]:
            words.append(_NO_TOOLS)
        if words:
            self._turns.append({"from": "operator", "text": "\n\n".join(words)})
        return self._command.at_most(self.model, len(self._prompt()))

    def _prompt(self) -> bytes:
        whole = {**self._frozen, "conversation": self._turns}
        return json.dumps(whole, ensure_ascii=False).encode("utf-8", "replace")

    async def _ask(self, told: Told, deadline: float) -> Answer:
        ran = await self._command.ask(self.model, self._prompt())
        result = _result(ran)
        text, calls = self._understood(result.result)
        self._turns.append(
            {
                "from": "you",
                "calls": [
                    {"id": call.id, "name": call.name, "arguments": dict(call.arguments)} for call in calls
                ],
            }
            if calls
            else {"from": "you", "answer": text}
        )
        usage = Usage(
            input=result.usage.input_tokens,
            output=result.usage.output_tokens,
            cache_read=result.usage.cache_read_input_tokens,
            cache_write=result.usage.cache_creation_input_tokens,
        )
        return Answer(
            text=text,
            calls=calls,
            stop=Stop.REFUSED if result.stop_reason == "refusal" else Stop.DONE,
            usage=usage,
            usd=self._command.cost(self.model, usage, result.total_cost_usd),
        )

    def _understood(self, text: str) -> tuple[str, tuple[ToolCall, ...]]:
        try:
            said = parsed(extracted(text))
        except ValueError:
            return whole(text), ()
        if not isinstance(said, dict):
            return whole(text), ()
        if "answer" in said:
            answer = said["answer"]
            return (answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)), ()
        if not isinstance(said.get("calls"), list) or not self._frozen["tools"]:
            return extracted(text) if self._schema is not None else text, ()
        calls = []
        for one in said["calls"]:
            if not (isinstance(one, dict) and isinstance(one.get("name"), str)):
                raise failed(
                    FailureKind.MALFORMED, "the model asked for a tool without naming it", free=False
                )
            if not isinstance(one.get("arguments"), dict):
                raise failed(FailureKind.MALFORMED, "the model gave a tool no arguments", free=False)
            self._calls += 1
            calls.append(ToolCall(id=f"call_{self._calls}", name=one["name"], arguments=one["arguments"]))
        return "", tuple(calls)

    def _late(self) -> Failed:
        seconds = self._timeout.total_seconds()
        return failed(FailureKind.TIMEOUT, f"the command did not answer within {seconds:g} s", free=False)


_Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Usage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_creation_input_tokens: _Count = 0
    cache_read_input_tokens: _Count = 0


class _Result(BaseModel):
    """The command's ``--output-format json``."""

    model_config = ConfigDict(extra="ignore")

    type: str
    subtype: str = ""
    is_error: bool = False
    result: str = ""
    stop_reason: str | None = None
    total_cost_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] | None = None
    usage: _Usage = _Usage()


def _result(ran: _Ran) -> _Result:
    try:
        result = _Result.model_validate_json(ran.stdout)
    except ValidationError:
        if ran.code:
            raise failed(
                FailureKind.SERVER_ERROR, f"the command ended with code {ran.code} and no answer", free=False
            ) from None
        raise failed(
            FailureKind.MALFORMED, "the command wrote no answer in its JSON form", free=False
        ) from None
    if result.is_error or result.type != "result" or ran.code:
        raise _told_error(result)
    return result


_ERRORS: tuple[tuple[tuple[str, ...], FailureKind, str], ...] = (
    (("limit reached", "usage limit", "rate limit"), FailureKind.RATE_LIMITED, "the plan's limit is reached"),
    (("credit balance", "spend limit"), FailureKind.SPEND_LIMIT, "the account has no money left"),
    (("login", "api key", "authentication", "401", "403"), FailureKind.KEY, "sign in with the command first"),
    (("overloaded", "529"), FailureKind.OVERLOADED, "the provider is overloaded"),
    (("not_found", "may not exist", "404"), FailureKind.UNKNOWN_MODEL, "the model is not known to it"),
    (("too long", "invalid_request", "400"), FailureKind.REJECTED, "the provider refused the request"),
    (("api error",), FailureKind.SERVER_ERROR, "the provider failed"),
)
"""Words of the command, what they mean, and ours for them: its own may echo the prompt."""


def _told_error(result: _Result) -> Failed:
    said = f"{result.subtype} {result.result}".lower()
    for words, kind, reason in _ERRORS:
        if any(word in said for word in words):
            return failed(kind, reason)
    return failed(FailureKind.SERVER_ERROR, "the command reports an error", free=False)
