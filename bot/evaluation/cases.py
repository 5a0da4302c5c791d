"""The cases of a suite, and what each expects. Read for scoring only, never by an investigation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from bot.domain.errors import InputError

ALERT = "alert.json"
EXPECTED = "expected.yaml"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A cause that is right, or an answer that is wrong. What is empty matches anything."""

    object: str = ""
    object_kind: str = ""
    fault: str = ""
    culprit_change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """``judges_changes``: the case says which change is to blame; ``culprit_change`` None: none is."""

    healthy: bool = False
    causes: tuple[Answer, ...] = ()
    judges_changes: bool = False
    culprit_change: str | None = None
    forbidden: tuple[Answer, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        """What the case is counted under."""
        if self.healthy:
            return "healthy"
        if self.causes:
            return self.causes[0].fault or "any fault"
        return "change" if self.culprit_change is not None else "no change"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """``name`` is the path below the suite; ``expected`` None: the case is only run."""

    name: str
    path: Path
    expected: Expected | None
    raw: Any


def find_cases(suite: Path, only: str | None = None) -> list[CaseFile]:
    """Every directory with an alert.json, by name. Raises InputError for a suite without any."""
    if not suite.is_dir():
        raise InputError(f"{suite} is not a directory")
    found = []
    for alert in sorted(suite.rglob(ALERT)):
        name = alert.parent.relative_to(suite).as_posix()
        name = suite.resolve().name if name == "." else name
        if only is None or fnmatchcase(name, only):
            found.append(_case(name, alert.parent))
    if not found:
        which = f" that matches {only!r}" if only is not None else ""
        raise InputError(f"{suite} holds no case{which}: no directory with an {ALERT}")
    return found


def _case(name: str, path: Path) -> CaseFile:
    file = path / EXPECTED
    if not file.is_file():
        return CaseFile(name=name, path=path, expected=None, raw=None)
    try:
        # Everything as text: an id of digits must stay as it is written.
        texts = yaml.load(file.read_bytes(), Loader=yaml.CBaseLoader)  # noqa: S506 - it builds texts only
        raw = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise InputError(f"{file}: {error}") from None
    expected = _expected(texts, file)
    if expected.judges_changes:
        raw["culprit_change"] = expected.culprit_change
    return CaseFile(name=name, path=path, expected=expected, raw=raw)


def _expected(texts: Any, file: Path) -> Expected:
    if not isinstance(texts, dict):
        raise InputError(f"{file}: not a mapping")
    healthy = str(texts.get("healthy", "false")).lower() in ("true", "yes", "on")
    judges = "culprit_change" in texts
    culprit = texts.get("culprit_change")
    if judges and not isinstance(culprit, str):
        raise InputError(f"{file}: culprit_change: one id, or null")
    expected = Expected(
        healthy=healthy,
        causes=_answers(texts, "causes", file),
        judges_changes=judges,
        culprit_change=None if culprit is None or culprit in _NULL else culprit,
        forbidden=_answers(texts, "forbidden", file),
        tags=tuple(str(tag) for tag in _list(texts, "tags", file)),
    )
    if not (expected.healthy or expected.causes or expected.judges_changes):
        raise InputError(f"{file}: expects nothing: give healthy, causes or culprit_change")
    for cause in expected.causes:
        if not cause.object:
            raise InputError(f"{file}: causes: each needs an object")
    return expected


def _answers(texts: Mapping[str, Any], key: str, file: Path) -> tuple[Answer, ...]:
    found = []
    for item in _list(texts, key, file):
        known = {"object", "object_kind", "fault", "culprit_change"}
        if not isinstance(item, dict) or not item or not set(item) <= known:
            raise InputError(f"{file}: {key}: each is a mapping with {', '.join(sorted(known))}")
        found.append(Answer(**{name: "" if text in _NULL else str(text) for name, text in item.items()}))
    return tuple(found)


def _list(texts: Mapping[str, Any], key: str, file: Path) -> list[Any]:
    value = texts.get(key, [])
    if isinstance(value, str) and value in _NULL:
        return []
    if not isinstance(value, list):
        raise InputError(f"{file}: {key}: not a list")
    return value
