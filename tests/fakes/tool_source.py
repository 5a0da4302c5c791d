"""A source of tools that answers as a test says, within the limits of the port."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jsonschema

from adapters.evidence.build import answered, nothing
from bot.domain.clock import Clock, SystemClock
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.redaction import clean
from investigators.analyst.ports import ToolSpec


class ToolFailure(Exception):
    """What a scripted tool raises to fail; the text is its reason."""


Answer = Callable[[Mapping[str, Any]], str]


def spec(name: str, description: str = "A tool.", **properties: str) -> ToolSpec:
    """``properties`` maps each argument, all required, to its JSON type."""
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": sorted(properties),
    }
    return ToolSpec(name=name, description=description, schema=schema)


@dataclass
class FakeToolSource:
    """``answers`` by the name of the tool; ``down`` set: not connected, and why. ``asked`` is every call that
    reached a tool."""

    name: str
    specs: Sequence[ToolSpec]
    answers: Mapping[str, Answer]
    down: str | None = None
    clock: Clock = field(default_factory=SystemClock)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def tools(self) -> tuple[ToolSpec, ...]:
        if self.down is not None:
            return ()
        return tuple(sorted(self.specs, key=lambda one: one.name))

    def problem(self) -> str | None:
        return None if self.down is None else f"not connected: {self.down}"

    async def call(self, tool: str, arguments: Mapping[str, Any], window: Window, subject: str) -> Evidence:
        shown = re.sub(r"[^A-Za-z0-9_-]", "", tool)[:128] or "unnamed"
        query = clean(f"{shown}({dict(arguments)!r})", limit=600)

        def ended(status: EvidenceStatus, reason: str) -> Evidence:
            evidence = nothing(
                source=self.name,
                kind="mcp.tool",
                query=query,
                window=window,
                taken_at=self.clock.now(),
                subject=subject,
                reason=reason,
                status=status,
            )
            return replace(evidence, outsider_writable=True)

        if self.down is not None:
            return ended(EvidenceStatus.FAILED, f"not connected: {self.down}")
        found = next((one for one in self.specs if one.name == tool), None)
        if found is None:
            return ended(EvidenceStatus.FAILED, f"there is no tool {shown}, or it is refused")
        try:
            jsonschema.validate(dict(arguments), dict(found.schema))
        except jsonschema.ValidationError as error:
            return ended(EvidenceStatus.FAILED, f"the arguments do not fit: {error.message}")
        self.asked.append((tool, arguments))
        try:
            text = self.answers[tool](arguments)
        except ToolFailure as failure:
            return ended(EvidenceStatus.FAILED, f"the tool failed: {failure}")
        if not text.strip():
            return ended(EvidenceStatus.EMPTY, "the tool answered with nothing")
        return answered(
            source=self.name,
            kind="mcp.tool",
            query=query,
            window=window,
            taken_at=self.clock.now(),
            summary=f"{shown} answered with {len(text)} characters",
            subject=subject,
            excerpt=text,
            outsider_writable=True,
        )
