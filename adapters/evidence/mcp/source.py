"""A server's tools as a model may use them, and what they say as evidence."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.evidence.build import answered, nothing
from adapters.evidence.mcp.arguments import as_json, check
from adapters.evidence.mcp.listing import Judged, Listed, Usable, judge
from adapters.evidence.mcp.owner import Owner
from adapters.evidence.mcp.pins import pins_of
from adapters.evidence.mcp.words import Masks, Refused
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable, UserError
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import McpSource
from investigators.analyst.ports import ToolSpec

KIND = "mcp.tool"
_ADDRESS = re.compile(r"https?://[^@?\s]+")
_QUERY = 600
"""Characters of the call as evidence shows it."""
_FRESH = timedelta(seconds=10)
_FIRST = 12.0
"""Seconds that a first connection is waited for where somebody waits for it."""


def missing() -> str | None:
    """What is to be installed; None where everything is."""
    if all(importlib.util.find_spec(name) is not None for name in ("mcp", "jsonschema")):
        return None
    return "its client is not installed; install it with: pip install 'assent[mcp]'"


class McpTools:
    """One server, from :meth:`__aenter__` on. It is connected to in the background: a server that is down
    has no tools until it is up."""

    def __init__(
        self,
        section: McpSource,
        data_dir: Path,
        clock: Clock,
        environment: Mapping[str, str],
        *,
        fresh_for: timedelta = _FRESH,
    ) -> None:
        """``environment`` is what a command gets besides its own variables. Before a call the tools are
        listed anew if that was ``fresh_for`` ago: what answers at an address may have been replaced."""
        self.name = section.name
        self._section = section
        self._data_dir = data_dir
        self._clock = clock
        self._masks = Masks(_secrets(section))
        self._seen: tuple[tuple[Listed, ...], Mapping[str, str]] = ((), {})
        self._judged = Judged(usable={}, refused={})
        self._pins_problem: str | None = None
        self._owner = Owner(section, environment, self._masks, self._take, fresh_for.total_seconds())

    async def __aenter__(self) -> Self:
        self._owner.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._owner.close()

    def tools(self) -> tuple[ToolSpec, ...]:
        if not self._owner.connected:
            return ()
        return tuple(one.spec for one in self._judged.usable.values())

    def problem(self) -> str | None:
        if not self._owner.connected:
            return f"not connected: {self._owner.reason}"
        if self._pins_problem is not None:
            return f"no tool may be used: {self._pins_problem}"
        if not self._judged.refused:
            return None
        why = "; ".join(f"{self._masks.line(name)} ({reason})" for name, reason in self.refused.items())
        return f"refused: {why}"

    @property
    def refused(self) -> Mapping[str, str]:
        """Why tools of the allow-list may not be used, by the name that the server uses."""
        return self._judged.refused

    async def call(self, tool: str, arguments: Mapping[str, Any], window: Window, subject: str) -> Evidence:
        """``tool`` as :meth:`tools` names it."""
        build = self._builder(window, subject)
        shown = self._masks.line(tool, limit=130)
        query = f"{shown}(…)"
        try:
            text = as_json(arguments)
            query = self._masks.excerpt(f"{shown}({text})", limit=_QUERY)
            usable = self._judged.usable.get(tool)
            if usable is None:
                raise Refused(f"there is no tool {shown}, or it is refused")
            await asyncio.to_thread(check, arguments, usable.listed.schema)
            answer = await self._owner.call(
                usable.listed.name,
                arguments,
                permitted=partial(self._is_still, tool, usable),
                repeatable=usable.repeatable,
            )
        except Refused as refused:
            return build(query, EvidenceStatus.FAILED, self._masks.line(str(refused), limit=400))
        if answer.failed:
            said = self._masks.line(answer.text) or "it does not say why"
            return build(query, EvidenceStatus.FAILED, f"the tool failed: {said}")
        text = self._masks.excerpt(answer.text)
        if not text.strip():
            return build(query, EvidenceStatus.EMPTY, "the tool answered with nothing")
        return answered(
            source=self.name,
            kind=KIND,
            query=query,
            window=window,
            taken_at=self._clock.now(),
            summary=f"{shown} answered with {len(answer.text)} characters",
            subject=subject,
            excerpt=text,
            outsider_writable=True,
        )

    def _is_still(self, tool: str, usable: Usable) -> bool:
        return self._judged.usable.get(tool) == usable

    async def listing(self) -> tuple[Listed, ...]:
        """Everything that the server lists, once it is connected. Raises Unavailable."""
        await self._connected()
        return self._seen[0]

    async def probe(self) -> str:
        """How many tools can be used. Raises Unavailable where the server cannot be reached, or one of the
        allow-list is refused."""
        await self._connected()
        usable, allowed = len(self._judged.usable), len(self._section.tools)
        said = f"connected, {usable} of {allowed} tools can be used"
        if (problem := self.problem()) is not None:
            raise Unavailable(self.name, f"{said}; {problem}")
        return said

    async def _connected(self) -> None:
        await self._owner.tried(min(_FIRST, self._section.timeout.total_seconds() + 1))
        if not self._owner.connected:
            raise Unavailable(self.name, f"not connected: {self._owner.reason}")

    async def _take(self, listed: Sequence[Listed]) -> None:
        # Read anew each time: what was accepted meanwhile counts without a restart.
        pins, problem = await asyncio.to_thread(self._pins)
        if (tuple(listed), pins) != self._seen:
            judged = await asyncio.to_thread(judge, self.name, self._section.tools, listed, pins)
            self._judged, self._seen = judged, (tuple(listed), pins)
        self._pins_problem = problem

    def _pins(self) -> tuple[Mapping[str, str], str | None]:
        try:
            pins = pins_of(self._section, self._data_dir)
        except UserError as error:
            return {}, str(error)
        return {name: pin.hash for name, pin in pins.items()}, None

    def _builder(self, window: Window, subject: str) -> Callable[[str, EvidenceStatus, str], Evidence]:
        def build(query: str, status: EvidenceStatus, reason: str) -> Evidence:
            return nothing(
                source=self.name,
                kind=KIND,
                query=query,
                window=window,
                taken_at=self._clock.now(),
                subject=subject,
                reason=reason,
                status=status,
                outsider_writable=True,
            )

        return build


def _secrets(section: McpSource) -> Iterator[str]:
    auth = section.auth
    if auth.bearer is not None:
        yield auth.bearer.get_secret_value()
    if auth.basic is not None:
        yield auth.basic.password.get_secret_value()
    values = [one.value for one in section.headers] + [one.value for one in section.env]
    for value in values:
        # The address of what a server looks at stands in all that it says, and is no secret.
        if not _ADDRESS.fullmatch(value.get_secret_value()):
            yield value.get_secret_value()
