"""`assent mcp pin | diff`: look at what servers say of their tools, and accept it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.evidence.mcp import Listed, Pin, differing, flaw, pin_file, pin_of, pins_of
from bot.app.mcp import tools_of
from bot.app.seams import Seams
from bot.cli.loading import load_config
from bot.cli.output import complain, say, say_json
from bot.domain.errors import Unavailable, UserError
from bot.domain.redaction import clean
from bot.telemetry import configure_logging
from config.schema import Config, McpSource


async def mcp(arguments: argparse.Namespace) -> int:
    """``pin``: 0 when the pins are as the servers are. ``diff``: 1 when something differs."""
    config = load_config(arguments.config)
    # What is asked for goes to standard output, and nothing else does.
    configure_logging(config.telemetry.log_format, "error", sys.stderr)
    sections = _chosen(config, arguments.server)
    if arguments.action == "diff":
        return await _diff(config, sections, as_json=arguments.json)
    for section in sections:
        if section.pins:
            raise UserError(
                f"{section.name}: its pins stand in the configuration; remove pins: there, or write the "
                "hashes that assent mcp diff shows"
            )
    done = [await _pin(config, section, yes=arguments.yes) for section in sections]
    return 0 if all(done) else 1


def _chosen(config: Config, name: str | None) -> Sequence[McpSource]:
    known = config.evidence.mcp
    chosen = [section for section in known if name in (None, section.name)]
    if not known:
        raise UserError("the configuration has no evidence.mcp")
    if not chosen:
        names = ", ".join(section.name for section in known)
        raise UserError(f"there is no server {clean(name or '', limit=60)}; use one of: {names}")
    return chosen


async def _listing(config: Config, section: McpSource) -> Mapping[str, Listed]:
    """What the server lists of the allow-list, by name. Raises Unavailable."""
    async with tools_of(section, config, Seams()) as source:
        listed = await source.listing()
    wanted = {tool.name for tool in section.tools}
    return {tool.name: tool for tool in listed if tool.name in wanted}


async def _pin(config: Config, section: McpSource, *, yes: bool) -> bool:
    try:
        listed = await _listing(config, section)
    except Unavailable as error:
        complain(str(error))
        return False
    known = pins_of(section, config.data_dir)
    pins: dict[str, Pin] = {}
    say(f"{section.name}:")
    for entry in section.tools:
        tool = listed.get(entry.name)
        reason = flaw(entry, tool)
        pin = None if tool is None or reason is not None else pin_of(tool)
        if pin is None:
            say(f"\n  ✘ {entry.name}: refused: {reason or 'it has no canonical form'}")
            continue
        pins[entry.name] = pin
        old = known.get(entry.name)
        state = "new" if old is None else "as pinned" if old.hash == pin.hash else "CHANGED"
        say(f"\n  {entry.name} ({state})\n    {pin.hash}")
        say(_indented(pin.description or "(no description)"))
        say(_indented(f"arguments: {', '.join(_arguments(pin.schema or {})) or 'none'}"))
    if {name: pin.hash for name, pin in pins.items()} == {name: pin.hash for name, pin in known.items()}:
        say("\nNothing differs from what is pinned.")
        return True
    if not yes and not await _agrees(len(pins)):
        say("Nothing was written.")
        return False
    file = pin_file(section, config.data_dir)
    file.keep(section.name, pins)
    say(f"\npinned {len(pins)} tools of {section.name} in {file.path}")
    return True


async def _agrees(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UserError("nobody is there to ask; look at the above, then use --yes")
    say(f"\nA model will read these descriptions and may call these {count} tools. Accept them? [y/N]")
    answer = await asyncio.to_thread(sys.stdin.readline)
    return answer.strip().lower() in ("y", "yes")


def _arguments(schema: Mapping[str, Any]) -> list[str]:
    properties, required = schema.get("properties"), schema.get("required")
    names = properties if isinstance(properties, Mapping) else {}
    needed = required if isinstance(required, list) else []
    return [clean(name, limit=60) + ("" if name in needed else "?") for name in names]


def _indented(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.splitlines())


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """``state``: same, changed, new, gone or refused."""

    tool: str
    state: str
    pinned: str | None = None
    now: str | None = None
    details: tuple[str, ...] = ()


async def _diff(config: Config, sections: Sequence[McpSource], *, as_json: bool) -> int:
    found: list[dict[str, Any]] = []
    for section in sections:
        pins = pins_of(section, config.data_dir)
        try:
            states = _states(section, pins, await _listing(config, section))
            found.append({"server": section.name, "reason": None, "tools": states})
        except Unavailable as error:
            found.append({"server": section.name, "reason": error.reason, "tools": []})
    good = all(
        one["reason"] is None and all(state.state == "same" for state in one["tools"]) for one in found
    )
    if as_json:
        say_json({"ok": good, "servers": [{**one, "tools": _plain(one["tools"])} for one in found]})
        return 0 if good else 1
    for one in found:
        if one["reason"] is not None:
            complain(f"{one['server']}: {one['reason']}")
        for state in one["tools"]:
            mark = "✔" if state.state == "same" else "✘"
            say(f"{mark} {one['server']} {state.tool}: {state.state}")
            if state.state not in ("same", "refused"):
                say(f"    pinned {state.pinned or 'nothing'}\n    now    {state.now or 'nothing'}")
            for detail in state.details:
                say(f"    {detail}")
    say("\nNothing differs." if good else "\nAccept what is right with: assent mcp pin")
    return 0 if good else 1


def _plain(states: Sequence[_State]) -> list[dict[str, Any]]:
    return [
        {
            "tool": one.tool,
            "state": one.state,
            "pinned": one.pinned,
            "now": one.now,
            "details": list(one.details),
        }
        for one in states
    ]


def _states(section: McpSource, pins: Mapping[str, Pin], listed: Mapping[str, Listed]) -> list[_State]:
    states = [
        _state(entry.name, flaw(entry, listed.get(entry.name)), pins, listed) for entry in section.tools
    ]
    dropped = sorted(pins.keys() - {entry.name for entry in section.tools})
    details = ("pinned, but no longer in tools: of the configuration",)
    return states + [
        _State(tool=name, state="gone", pinned=pins[name].hash, details=details) for name in dropped
    ]


def _state(name: str, reason: str | None, pins: Mapping[str, Pin], listed: Mapping[str, Listed]) -> _State:
    pinned, tool = pins.get(name), listed.get(name)
    before = None if pinned is None else pinned.hash
    if tool is None:
        return _State(tool=name, state="gone", pinned=before, details=("the server has no such tool",))
    now = None if reason is not None else pin_of(tool)
    if now is None:
        reason = reason or "it has no canonical form"
        return _State(tool=name, state="refused", pinned=before, details=(reason,))
    if pinned is None:
        return _State(tool=name, state="new", now=now.hash)
    if pinned.hash == now.hash:
        return _State(tool=name, state="same", pinned=before, now=now.hash)
    return _State(tool=name, state="changed", pinned=before, now=now.hash, details=_ways(pinned, now))


def _ways(pinned: Pin, now: Pin) -> tuple[str, ...]:
    if pinned.description is None or pinned.schema is None:
        return ("only its hash was pinned, so what changed is not known",)
    ways = differing(pinned.description, pinned.schema, now.description or "", now.schema or {}).ways
    return ways or ("only characters that are not shown differ: invisible ones, or masked secrets",)
