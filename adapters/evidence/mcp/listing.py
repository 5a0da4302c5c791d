"""Which of a server's tools may be used, and why the others may not."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.domain.redaction import redact, strip_invisible
from config.schema import McpTool
from investigators.analyst.ports import ToolSpec

MAX_DESCRIPTION = 2_000
"""Characters: what a model is shown of one, so that nothing of what a person accepted is cut off. The longest
of mcp-grafana 2.1 has 1,076."""
MAX_SCHEMA = 24_000
"""Characters of the schema as JSON; the longest of mcp-grafana 2.1 has 2,403."""
MAX_DEPTH = 40
MAX_TOOLS = 1_000
"""Tools that a server may list; what comes after them does not exist."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A tool as the server describes it. Nothing of it is checked or redacted."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(repr=False)
    read_only: bool | None = None
    destructive: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """``spec`` is what a model sees; ``listed`` what arguments are checked against; ``repeatable``: a call
    that was cut off may be made again."""

    spec: ToolSpec
    listed: Listed
    repeatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Of an allow-list: what may be used, by the name a model sees, and why the rest may not, by the name
    the server uses."""

    usable: Mapping[str, Usable]
    refused: Mapping[str, str]


def digest(tool: Listed) -> str | None:
    """SHA-256 of name, description and schema as RFC 8785 JSON, lower-case hex; None where they have none."""
    import rfc8785

    said: Any = {"name": tool.name, "description": tool.description, "inputSchema": tool.schema}
    try:
        return hashlib.sha256(rfc8785.dumps(said)).hexdigest()
    except (rfc8785.CanonicalizationError, ValueError, RecursionError):
        return None


def judge(
    server: str, allowed: Sequence[McpTool], listed: Sequence[Listed], pins: Mapping[str, str]
) -> Judged:
    """``pins`` are the accepted hashes, by the name the server uses."""
    usable: dict[str, Usable] = {}
    refused: dict[str, str] = {}
    known = {tool.name: tool for tool in listed}
    times = Counter(tool.name for tool in listed)
    for entry in sorted(allowed, key=lambda entry: entry.name):
        tool = known.get(entry.name)
        reason = "the server lists it twice" if times[entry.name] > 1 else flaw(entry, tool)
        name = called(server, entry.name)
        if reason is None and tool is not None:
            reason = _unaccepted(tool, pins.get(entry.name))
            if reason is None and name in usable:
                reason = "another tool has its name already"
        if reason is not None or tool is None:
            refused[entry.name] = reason or "the server has no such tool"
            continue
        spec = ToolSpec(name=name, description=shown(tool.description), schema=shown_schema(tool.schema))
        usable[name] = Usable(spec=spec, listed=tool, repeatable=not entry.allow_write_hint)
    return Judged(usable=dict(sorted(usable.items())), refused=refused)


def flaw(entry: McpTool, tool: Listed | None) -> str | None:
    """What forbids a tool whatever was pinned."""
    from adapters.evidence.mcp.arguments import schema_flaw

    if tool is None:
        return "the server has no such tool"
    if not entry.allow_write_hint:
        if tool.destructive is True:
            return "the server says that it may destroy; if you know better: allow_write_hint: true"
        if tool.read_only is False:
            return "the server says that it does not only read; if you know better: allow_write_hint: true"
    if len(tool.description) > MAX_DESCRIPTION:
        return f"its description is longer than {MAX_DESCRIPTION} characters"
    return schema_flaw(tool.schema)


def _unaccepted(tool: Listed, pinned: str | None) -> str | None:
    now = digest(tool)
    if now is None:
        return "its description or schema has no canonical form"
    if pinned is None:
        return "it is not pinned; look at it with: assent mcp pin"
    if pinned != now:
        return "it changed since it was pinned; look at it with: assent mcp diff"
    return None


def called(server: str, tool: str) -> str:
    """What a model calls it: ``server__tool`` where that is a name, else the part that is with eight digits
    of the whole one's hash, so that two tools never share one."""
    whole = f"{server}__{tool}"
    if _NAME.fullmatch(whole):
        return whole
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_NOT_A_NAME.sub('_', whole)[:119]}-{mark}"


def shown(text: str) -> str:
    """A server's words as far as they may be shown."""
    return redact(strip_invisible(text))


def shown_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with every text of it as far as it may be shown."""
    return {key: _shown(value) for key, value in schema.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """How a tool differs from what was pinned, each way in one line that may be shown."""

    ways: tuple[str, ...]


def differing(
    description: str, schema: Mapping[str, Any], new_description: str, new_schema: Mapping[str, Any]
) -> Differing:
    """Between two states as they may be shown. Nothing in ``ways``: only what is not shown differs."""
    ways = []
    if description != new_description:
        ways += [f"description was: {description!r}", f"description is now: {new_description!r}"]
    old, new = dict(_leaves(schema)), dict(_leaves(new_schema))
    for place in sorted(old.keys() | new.keys()):
        if place not in new:
            ways.append(f"schema lost {place}: {old[place]}")
        elif place not in old:
            ways.append(f"schema gained {place}: {new[place]}")
        elif old[place] != new[place]:
            ways.append(f"schema changed {place}: {old[place]} → {new[place]}")
    return Differing(ways=tuple(ways))


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{place}/{key}")
    else:
        yield place or "/", json.dumps(value, ensure_ascii=False)
