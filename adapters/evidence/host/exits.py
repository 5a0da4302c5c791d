"""Exits that a supervisor wrote down: JSON lines {name, pid, exit_code, signal, at}. All of this blocks."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from adapters.evidence.build import Record
from adapters.evidence.host.logs import Unreadable, bytes_from_end
from bot.domain.clock import from_rfc3339
from bot.domain.evidence import Window
from bot.domain.redaction import clean

_LIMIT = 262_144
_MAX_RECORDS = 200


def read_exits(path: Path, name: str, window: Window) -> tuple[list[Record], str | None]:
    """Exits of ``name`` in the window, oldest first, and what could not be read. Raises Unreadable."""
    data, whole = bytes_from_end(path, _LIMIT)
    lines = data.split(b"\n")
    if not whole:
        lines = lines[1:]
    records: list[Record] = []
    malformed = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            record = _record(orjson.loads(line))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
            malformed += 1
            continue
        at = float(record["at"] or 0)
        if record["name"] == name and window.start.timestamp() <= at < window.end.timestamp():
            records.append(record)
    if malformed and not records and malformed == sum(bool(line.strip()) for line in lines):
        raise Unreadable(f"{path.name}: no line is an exit record {{name, pid, exit_code, signal, at}}")
    notes = [f"{malformed} malformed lines in {path.name}"] if malformed else []
    if len(records) > _MAX_RECORDS:
        notes.append(f"only the last {_MAX_RECORDS} of {len(records)} exits")
    return records[-_MAX_RECORDS:], "; ".join(notes) or None


def _record(value: Any) -> Record:
    at = value["at"]
    moment = from_rfc3339(at) if isinstance(at, str) else datetime.fromtimestamp(float(at), UTC)
    code, signal = value.get("exit_code"), value.get("signal")
    if code is None and signal is None:
        raise ValueError("neither exit_code nor signal")
    return {
        "name": clean(str(value["name"]), limit=64),
        "pid": int(value["pid"]),
        "exit_code": None if code is None else _whole(code),
        "signal": None if signal is None else _whole(signal),
        "at": moment.timestamp(),
    }


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a number")
    return int(value)
