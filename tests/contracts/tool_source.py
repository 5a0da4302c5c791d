"""What every source of tools must do, real or fake."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.evidence.build import EXCERPT_LIMIT
from bot.domain.evidence import Evidence, EvidenceStatus, Window, content_digest
from investigators.analyst.ports import ToolSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call, and a text that its excerpt or reason holds."""

    tool: str
    arguments: Mapping[str, Any]
    says: str


def check_tool_evidence(evidence: Evidence, source: ToolSource, window: Window) -> None:
    assert (evidence.kind, evidence.source) == ("mcp.tool", source.name)
    assert (evidence.window, evidence.subject) == (window, "shop")
    assert evidence.taken_at.tzinfo is not None
    assert evidence.query
    assert evidence.summary
    assert evidence.outsider_writable
    assert not evidence.filled
    assert len(evidence.excerpt) <= EXCERPT_LIMIT
    match evidence.status:
        case EvidenceStatus.OK:
            assert evidence.excerpt.strip()
            assert evidence.content_digest == content_digest(evidence.excerpt)
        case EvidenceStatus.EMPTY:
            assert evidence.reason
            assert not evidence.excerpt
        case EvidenceStatus.FAILED:
            assert evidence.reason
            assert not evidence.excerpt
            assert evidence.content_digest is None


async def check_tool_source(
    source: ToolSource, window: Window, *, good: Example, failing: Example, empty: Example, huge: Example
) -> None:
    """``failing``: the tool itself says so; ``huge``: an answer far beyond what an excerpt holds."""
    specs = source.tools()
    assert [one.name for one in specs] == sorted({one.name for one in specs})
    for one in specs:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", one.name)
        assert one.schema["type"] == "object"
        json.dumps(one.schema)
    assert {good.tool, failing.tool, empty.tool, huge.tool} <= {one.name for one in specs}

    async def ask(tool: str, arguments: Mapping[str, Any]) -> Evidence:
        evidence = await source.call(tool, arguments, window, "shop")
        check_tool_evidence(evidence, source, window)
        return evidence

    found = await ask(good.tool, good.arguments)
    assert found.status is EvidenceStatus.OK, found.reason
    assert good.says in found.excerpt
    assert good.tool in found.query
    assert all(str(value) in found.query for value in good.arguments.values())
    assert (await ask(good.tool, good.arguments)).excerpt == found.excerpt

    failed = await ask(failing.tool, failing.arguments)
    assert failed.status is EvidenceStatus.FAILED
    assert failing.says in (failed.reason or "")

    assert (await ask(empty.tool, empty.arguments)).status is EvidenceStatus.EMPTY
    flood = await ask(huge.tool, huge.arguments)
    assert flood.status is EvidenceStatus.OK
    assert "left out" in flood.excerpt

    for arguments in (
        {},
        {**good.arguments, next(iter(good.arguments)): {"not": "a text"}},
        {next(iter(good.arguments)): None},
    ):
        refused = await ask(good.tool, arguments)
        assert refused.status is EvidenceStatus.FAILED
        assert "arguments" in (refused.reason or "")
    for unknown in ("", "no such tool", f"{good.tool}\u202e", "x" * 1000, good.tool.upper()):
        assert (await ask(unknown, good.arguments)).status is EvidenceStatus.FAILED
