"""What a model may read: its calls checked, asked, bounded, and given back in envelopes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot.domain.clock import Clock
from bot.domain.errors import InputError
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.ids import EvidenceId
from bot.domain.redaction import redact
from bot.domain.threads import in_thread
from investigators.analyst.arguments import checked
from investigators.analyst.catalogue import subject_of, tools_of, window_of
from investigators.analyst.citations import Exhibits
from investigators.analyst.envelope import safe_text, sealed
from investigators.analyst.ports import Limits, ToolCall, ToolResult, ToolSource, ToolSpec
from investigators.calls import Call
from investigators.gathering import ask_all, evidence_id
from investigators.ports import Case
from investigators.queries import Sources
from investigators.wide import WideAsk

MCP_KIND = "mcp.tool"
ASKER = "m"
"""Numbers the answers to a model apart from those to the plan."""
_PARALLEL = 4
_MOST_ARGUMENTS = 8_000
"""Characters of the arguments of one call to another server."""
_DESCRIPTION = 2_000
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 128
_DEEP = 40
"""Levels of a schema or of arguments; what is deeper is not sent on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A call that will be asked, and the numbers of its answers."""

    call: ToolCall
    calls: tuple[Call, ...]
    ids: tuple[EvidenceId, ...]
    shaped: bool


class ToolBox:
    """The tools of one investigation, the same from its beginning to its end. ``evidence`` holds every
    answer, in the order asked. ``machines`` may be looked into beside those that the alerts name."""

    def __init__(
        self,
        case: Case,
        sources: Sources,
        servers: Sequence[ToolSource],
        exhibits: Exhibits,
        limits: Limits,
        clock: Clock,
        pool: Executor | None = None,
        machines: frozenset[str] = frozenset(),
    ) -> None:
        self._case = case
        self._exhibits = exhibits
        self._limits = limits
        self._clock = clock
        self._pool = pool
        self._subject = subject_of(case, sources)
        self._own = {tool.spec.name: tool for tool in tools_of(case, sources, machines)}
        self._theirs = _named(servers, frozenset(self._own))
        self._asked: dict[str, tuple[EvidenceId, ...]] = {}
        self._count = 0
        self.evidence: list[Evidence] = []
        self.specs: tuple[ToolSpec, ...] = tuple(
            sorted(
                [
                    *(tool.spec for tool in self._own.values()),
                    *(_shown(name, server, spec) for name, (server, spec) in self._theirs.items()),
                ],
                key=lambda spec: spec.name,
            )
        )

    async def run(self, calls: Sequence[ToolCall], most: int) -> tuple[ToolResult, ...]:
        """One result for each call, in their order. Beyond ``most`` calls nothing is asked."""
        planned: list[_Planned | ToolResult] = []
        for number, call in enumerate(calls):
            if number >= most:
                planned.append(_refused(call, "no tool calls are left: answer with what you have"))
                continue
            try:
                planned.append(await self._planned(call))
            except InputError as error:
                planned.append(_refused(call, str(error)))
        wanted = [one for one in planned if isinstance(one, _Planned)]
        answers = iter(await self._answers(wanted))
        return tuple(
            one if isinstance(one, ToolResult) else self._result(one, next(answers)) for one in planned
        )

    async def _planned(self, call: ToolCall) -> _Planned:
        if call.name in self._own:
            tool = self._own[call.name]
            arguments = checked(tool.arguments, call.arguments)
            key = _canonical(call.name, arguments)
            self._refuse_again(key)
            calls = await in_thread(self._pool, tool.build, arguments)
            shaped = tool.shapes(arguments)
        elif call.name in self._theirs:
            server, spec = self._theirs[call.name]
            key = _canonical(call.name, _harmless(call.arguments))
            self._refuse_again(key)
            calls, shaped = [self._their_call(server, spec, call.arguments)], True
        else:
            raise InputError(f"there is no such tool; there are: {', '.join(s.name for s in self.specs)}")
        if not calls:
            raise InputError("no source covers this question: name another object, or use another tool")
        numbers = range(self._count, self._count + len(calls))
        self._count += len(calls)
        ids = tuple(
            evidence_id(self._case, f"{ASKER}{number}", one.source)
            for number, one in zip(numbers, calls, strict=True)
        )
        self._asked[key] = ids
        return _Planned(call=call, calls=tuple(calls), ids=ids, shaped=shaped)

    def _refuse_again(self, key: str) -> None:
        if key in self._asked:
            raise InputError(f"this was asked already: see evidence {', '.join(self._asked[key])}")

    async def _answers(self, planned: Sequence[_Planned]) -> list[tuple[Evidence, ...]]:
        """A few at a time, each with its own time limit."""
        first = self._count - sum(len(one.calls) for one in planned)
        calls = [call for one in planned for call in one.calls]
        found: list[Evidence] = []
        for start in range(0, len(calls), _PARALLEL):
            answers = await ask_all(
                self._case,
                calls[start : start + _PARALLEL],
                self._limits.tool_timeout,
                self._clock,
                first + start,
                self._pool,
                asker=ASKER,
            )
            found += [answer.evidence for answer in answers]
        rest = iter(found)
        grouped = []
        for one in planned:
            mine = tuple(next(rest) for _ in one.calls)
            grouped.append(
                tuple(replace(item, outsider_writable=True) for item in mine) if one.shaped else mine
            )
            self.evidence += grouped[-1]
        return grouped

    def _their_call(self, server: ToolSource, spec: ToolSpec, arguments: Mapping[str, Any]) -> Call:
        window, subject = window_of(self._case, {}), self._subject
        return Call(
            ask=WideAsk(choices=(), window=window, subject=subject),
            source=server.name,
            kind=MCP_KIND,
            text=spec.name,
            window=window,
            manual=None,
            start=partial(_call_server, server, spec.name, dict(arguments), window, subject),
            in_words=True,
        )

    def _result(self, planned: _Planned, answers: Sequence[Evidence]) -> ToolResult:
        limit = max(500, self._limits.result_characters // max(1, len(answers)))
        return ToolResult(
            call_id=planned.call.id,
            text="\n".join(self._exhibits.show(one, limit) for one in answers),
            failed=all(one.status is EvidenceStatus.FAILED for one in answers),
        )


async def _call_server(
    server: ToolSource, tool: str, arguments: Mapping[str, Any], window: Window, subject: str
) -> Evidence:
    answer = await server.call(tool, arguments, window, subject)
    # Whatever it calls itself, it is this server's word, and whoever it read may have written it.
    return replace(answer, source=server.name, outsider_writable=True)


def _named(servers: Sequence[ToolSource], taken: frozenset[str]) -> dict[str, tuple[ToolSource, ToolSpec]]:
    found: dict[str, tuple[ToolSource, ToolSpec]] = {}
    for server in servers:
        for spec in server.tools():
            prefix = f"{server.name}__"
            full = spec.name if spec.name.startswith(prefix) else prefix + spec.name
            name = _UNSAFE.sub("_", full)[:_LONGEST_NAME]
            if name not in taken and name not in found:
                found[name] = (server, spec)
    return found


def _shown(name: str, server: ToolSource, spec: ToolSpec) -> ToolSpec:
    """What another server says of its tool is data as well."""
    said = sealed({"source": safe_text(server.name, 60)}, safe_text(spec.description, _DESCRIPTION))
    schema = _visible(spec.schema)
    return ToolSpec(
        name=name,
        description=f"A read-only tool of another server, which describes it so: {said}",
        schema=schema if isinstance(schema, dict) else {"type": "object"},
    )


def _visible(value: Any, depth: int = 0) -> Any:
    """A schema without invisible characters and secrets."""
    if depth > _DEEP:
        return None
    if isinstance(value, Mapping):
        return {safe_text(str(k), 200): _visible(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(one, depth + 1) for one in value]
    return safe_text(value, _DESCRIPTION) if isinstance(value, str) else value


def _harmless(arguments: object) -> Mapping[str, Any]:
    """Arguments for another server, which checks them by its own schema. Raises InputError."""
    if not isinstance(arguments, Mapping):
        raise InputError("the arguments must be an object")
    try:
        text = json.dumps(arguments, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InputError("the arguments must be plain JSON") from None
    if len(text) > _MOST_ARGUMENTS:
        raise InputError(f"the arguments must not be longer than {_MOST_ARGUMENTS} characters")
    if redact(text) != text:
        raise InputError("the arguments must not hold what looks like a secret")
    return arguments


def _canonical(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([name, arguments], sort_keys=True, ensure_ascii=False)


def _refused(call: ToolCall, reason: str) -> ToolResult:
    """In our own words: nothing of the call is repeated."""
    return ToolResult(call_id=call.id, text=json.dumps({"failed": reason}, ensure_ascii=False), failed=True)
