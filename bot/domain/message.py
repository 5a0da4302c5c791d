"""What the bot says, as structure: each chat adapter renders and escapes it for its platform.

Text marked ``untrusted`` came from outside (labels, logs, people). Every adapter escapes all text;
for untrusted text it also neutralises mentions, link previews and invisible characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """Colour of a card where the platform has colours."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    GOOD = "good"
    MUTED = "muted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run of text. ``link`` is only ever an https/http URL from configuration or an alert."""

    text: str
    strong: bool = False
    code: bool = False
    untrusted: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullets:
    items: tuple[tuple[Span, ...], ...]
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Label and value pairs, in order."""

    pairs: tuple[tuple[str, tuple[Span, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Preformatted text. Always treated as untrusted."""

    text: str


Block = Paragraph | Bullets | Fields | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: a one-line ``title`` (also the notification text) and blocks below it."""

    title: str
    blocks: tuple[Block, ...] = ()
    tone: Tone = Tone.INFO


def plain(text: str, *, untrusted: bool = False) -> tuple[Span, ...]:
    """A single unadorned span."""
    return (Span(text=text, untrusted=untrusted),)


def paragraph(text: str, *, untrusted: bool = False) -> Paragraph:
    return Paragraph(spans=plain(text, untrusted=untrusted))
