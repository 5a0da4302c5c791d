"""Log lines → templates: what stays when the variable parts are masked.

A fixed-depth tree in the manner of Drain (He et al., ICWS 2017): lines are grouped by number of tokens and
first token, and join the most similar template of their group. ``drain3`` pins old releases of libraries
that others need, so the small part we use is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from operator import eq

from bot.domain.evidence import LogLine

WILDCARD = "<*>"
_SIMILAR = 0.55
_MAX_TOKENS = 60
_MAX_TEMPLATES = 1_000

_TIME = re.compile(
    r"^\s*(?:<\d+>)?[\[(]?(?:\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\S*|[A-Z][a-z]{2} {1,2}\d{1,2} [\d:]{8}"
    r"|\d{10}(?:[.,]?\d+)?)[\])]?\s*"
)
_TIME_FIELD = re.compile(r"(\"(?:@timestamp|timestamp|time|ts|asctime)\"\s*:\s*)(?:\"[^\"]*\"|[\d.]+)")
_VARIABLE = re.compile(
    r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b[0-9a-f]{12,}\b"
    r"|\d+(?:[.:,_-]\d+)*(?:[a-zA-Zµ%]{1,3}\b)?"
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


def level_of(text: str) -> Level:
    """The level a line carries: its own field when it is structured, else the usual words."""
    # Most lines hold no part of these words; to look for those first is many times cheaper.
    named = "level" in text or "severity" in text
    if named and (match := _FIELD_LEVEL.search(text[:600])):
        return _BY_NAME.get(match.group(1).lower(), Level.PLAIN)
    if _holds(text, _FATAL_PARTS) and _FATAL.search(text):
        return Level.FATAL
    if _holds(text, _ERROR_PARTS) and _ERROR.search(text):
        return Level.ERROR
    return Level.WARNING if "WARN" in text and _WARNING.search(text[:200]) else Level.PLAIN


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    return any(map(text.__contains__, parts))


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


def mine(lines: Iterable[LogLine]) -> Mined:
    """Group lines. A line without a time takes that of the line before it; a stack trace's inner lines
    (indented, without a time) are left to the line that began it."""
    groups: dict[tuple[int, str, Level], list[Template]] = {}
    order: list[Template] = []
    overflow = 0
    at: datetime | None = None
    for number, line in enumerate(lines):
        at = line.at or at
        if line.at is None and line.text[:1] in (" ", "\t"):
            continue
        tokens = mask(line.text)
        if not tokens:
            continue
        level = level_of(line.text)
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


def mask(text: str) -> list[str]:
    """The line's tokens without its time and with numbers, ids and addresses masked."""
    return masked(text[:1000]).split()[:_MAX_TOKENS]


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
