"""Log lines → templates: what stays when the variable parts are masked.

A fixed-depth tree in the manner of Drain (He et al., ICWS 2017): lines are grouped by number of tokens and
first token, and join the most similar template of their group. ``drain3`` pins old releases of libraries
that others need, so the small part we use is here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from operator import eq
from typing import Protocol

WILDCARD = "<*>"
_SIMILAR = 0.55
_MAX_TOKENS = 60
_MAX_TEMPLATES = 1_000
_MOST_TEXT = 1_000

_TIME = re.compile(
    r"^\s*(?:<\d+>)?[\[(]?(?:\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\S*|[A-Z][a-z]{2} {1,2}\d{1,2} [\d:]{8}"
    r"|\d{10}(?:[.,]?\d+)?)[\])]?\s*"
)
_TIME_FIELD = re.compile(r"(\"(?:@timestamp|timestamp|time|ts|asctime)\"\s*:\s*)(?:\"[^\"]*\"|[\d.]+)")
_VARIABLE = re.compile(
    # One class for the first character of all, so that most others are passed over at once.
    r"[\da-fA-F](?:(?<=0)x[0-9a-fA-F]+"
    r"|(?<=\b[0-9a-fA-F])[0-9a-fA-F]{7}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|(?<=\b[0-9a-f])[0-9a-f]{11,}\b"
    r"|(?<=\d)\d*(?:[.:,_-]\d+)*(?:[a-zA-Zµ%]{1,3}\b)?)"
)


class Level(IntEnum):
    """How bad a line says it is."""

    PLAIN = 0
    WARNING = 1
    ERROR = 2
    FATAL = 3


_FATAL = re.compile(
    r"\b(?:FATAL|CRITICAL|EMERG|PANIC|fatal error|Segmentation fault|OutOfMemoryError|MemoryError)\b|\bpanic:"
)
_ERROR = re.compile(
    r"\b(?:ERROR|ERR|SEVERE|Traceback|[A-Z][A-Za-z]*(?:Error|Exception))\b|\b(?:error|failed)\b[:=]"
)
_FATAL_PARTS = (
    "FATAL",
    "CRITICAL",
    "EMERG",
    "PANIC",
    "fatal error",
    "Segmentation fault",
    "MemoryError",
    "panic:",
)
_ERROR_PARTS = ("ERR", "rror", "xception", "SEVERE", "Traceback", "failed")
"""Every text that matches the pattern holds one of these."""
_WARNING = re.compile(r"\b(?:WARNING|WARN)\b")
_FIELD_LEVEL = re.compile(r"(?:\"(?:level|severity|levelname)\"\s*:\s*\"|\blevel=\"?)([A-Za-z]+)")
_BY_NAME = {
    "fatal": Level.FATAL, "critical": Level.FATAL, "crit": Level.FATAL, "panic": Level.FATAL,
    "error": Level.ERROR, "err": Level.ERROR, "severe": Level.ERROR,
    "warning": Level.WARNING, "warn": Level.WARNING,
}  # fmt: skip


_FIELD_PARTS = ("level", "severity")
_WARNING_PARTS = ("WARN",)


def level_of(text: str) -> Level:
    """The level a line carries: its own field when it is structured, else the usual words."""
    return levels_of([text])[0]


def levels_of(texts: Sequence[str]) -> list[Level]:
    """The level of each line. All are looked at together, which is many times cheaper."""
    every = "\n".join(texts)
    # Most lines hold no part of these words, and most parts are in no line.
    fields, fatal, error, warning = (
        tuple(part for part in parts if part in every)
        for parts in (_FIELD_PARTS, _FATAL_PARTS, _ERROR_PARTS, _WARNING_PARTS)
    )
    if not (fields or fatal or error or warning):
        return [Level.PLAIN] * len(texts)
    return [_level(text, fields, fatal, error, warning) for text in texts]


def _level(
    text: str,
    fields: tuple[str, ...],
    fatal: tuple[str, ...],
    error: tuple[str, ...],
    warning: tuple[str, ...],
) -> Level:
    if _holds(text, fields) and (match := _FIELD_LEVEL.search(text[:600])):
        return _BY_NAME.get(match.group(1).lower(), Level.PLAIN)
    if _holds(text, fatal) and _FATAL.search(text):
        return Level.FATAL
    if _holds(text, error) and _ERROR.search(text):
        return Level.ERROR
    return Level.WARNING if _holds(text, warning) and _WARNING.search(text[:200]) else Level.PLAIN


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    for part in parts:  # noqa: SIM110 - any() would take three times as long
        if part in text:
            return True
    return False


class Texts:
    """What is made of lines, each looked at once however often it is asked for."""

    def __init__(self) -> None:
        self._masked: dict[str, str] = {}
        self._levels: dict[str, Level] = {}

    def masked(self, text: str) -> str:
        found = self._masked.get(text)
        if found is None:
            found = self._masked[text] = masked(text)
        return found

    def levels(self, texts: Sequence[str]) -> list[Level]:
        known = self._levels
        fresh = [text for text in texts if text not in known]
        known.update(zip(fresh, levels_of(fresh), strict=True))
        return [known[text] for text in texts]


class Said(Protocol):
    """A line of a log, whatever else is known of it."""

    @property
    def at(self) -> datetime | None: ...

    @property
    def text(self) -> str: ...


@dataclass(slots=True)
class Template:
    """A growing group of lines; ``first`` and ``last`` are times where lines have them."""

    tokens: list[str]
    level: Level
    sample: str
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    members: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """Templates in order of appearance; ``overflow`` counts lines that fitted none once there were too
    many."""

    templates: tuple[Template, ...]
    overflow: int


def mine(lines: Sequence[Said], texts: Texts | None = None) -> Mined:
    """Group lines; ``texts`` is shared with others that look at the same ones. A line without a time takes
    that of the line before it; a stack trace's inner lines (indented, without a time) are left to the line
    that began it."""
    groups: dict[tuple[int, str, Level], list[Template]] = {}
    order: list[Template] = []
    overflow = 0
    at: datetime | None = None
    texts = texts or Texts()
    levels = texts.levels([line.text for line in lines])
    for number, (line, level) in enumerate(zip(lines, levels, strict=True)):
        at = line.at or at
        if line.at is None and line.text[:1] in (" ", "\t"):
            continue
        tokens = texts.masked(line.text[:_MOST_TEXT]).split()[:_MAX_TOKENS]
        if not tokens:
            continue
        group = groups.setdefault((len(tokens), tokens[0], level), [])
        template = _most_similar(group, tokens)
        if template is None:
            if len(order) >= _MAX_TEMPLATES:
                overflow += 1
                continue
            template = Template(tokens=tokens, level=level, sample=line.text, first=at)
            group.append(template)
            order.append(template)
        else:
            if template.tokens != tokens:
                template.tokens = [
                    a if a == b else WILDCARD for a, b in zip(template.tokens, tokens, strict=True)
                ]
        template.count += 1
        template.members.append(number)
        template.last = at
    return Mined(templates=tuple(order), overflow=overflow)


def masked(text: str) -> str:
    """The line without its time, with numbers, ids and addresses masked."""
    if stamp := _TIME.match(text):
        text = text[stamp.end() :]
    if '"' in text:
        text = _TIME_FIELD.sub(r"\1<*>", text)
    return _VARIABLE.sub(WILDCARD, text)


def _most_similar(group: list[Template], tokens: list[str]) -> Template | None:
    best: Template | None = None
    score = _SIMILAR
    for template in group:
        same = sum(map(eq, template.tokens, tokens)) / len(tokens)
        if same >= score:
            best, score = template, same
    return best
