"""What a typed line means, and typed entries as events of the Chat port."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.chat import CommandReceived, Inbound, ReactionAdded, ReactionRemoved
from bot.domain.clock import from_rfc3339

PLATFORM = "console"
SHORTCODES = {
    ":white_check_mark:": "✅",
    ":heavy_check_mark:": "✔️",
    ":x:": "❌",
    ":thumbsup:": "👍",
    ":thumbsdown:": "👎",
    ":eyes:": "👀",
}
_ADDRESSES = ("!assent", "/assent")


@dataclass(frozen=True, slots=True)
class Note:
    """Talk to nobody."""


@dataclass(frozen=True, slots=True)
class React:
    key: str


@dataclass(frozen=True, slots=True)
class TakeBack:
    key: str


@dataclass(frozen=True, slots=True)
class Command:
    text: str


def meaning(line: str) -> Note | React | TakeBack | Command:
    """``# …`` is a note; an emoji or its shortcode a reaction, taken back with ``-`` before it; all else a
    command, with or without ``!assent`` before it."""
    if line.startswith("# "):
        return Note()
    bare = line.removeprefix("-").strip()
    word = SHORTCODES.get(bare, bare)
    if _is_emoji(word):
        return TakeBack(word) if line.startswith("-") else React(word)
    address, _, rest = line.partition(" ")
    return Command(rest.strip() if address.lower() in _ADDRESSES else line)


def _is_emoji(text: str) -> bool:
    """Symbols only: ``?`` or ``…`` are none, ``+`` and ``=`` are not meant as reactions."""
    kinds = {unicodedata.category(char) for char in text}
    return not text.isascii() and "So" in kinds and kinds <= {"So", "Sk", "Mn", "Me", "Cf"}


def inbound(entry: Mapping[str, Any]) -> Inbound:
    """The event of a journal entry of type ``input``."""
    at = from_rfc3339(entry["at"])
    room, sender, event_id = entry["room"], entry["sender"], entry["id"]
    match entry["kind"]:
        case "reaction":
            return ReactionAdded(
                event_id=event_id,
                platform=PLATFORM,
                room=room,
                sender=sender,
                at=at,
                message_id=entry["message"],
                key=entry["key"],
            )
        case "removal":
            return ReactionRemoved(
                event_id=event_id,
                platform=PLATFORM,
                room=room,
                sender=sender,
                at=at,
                removed_event_id=entry["removed"],
            )
        case _:
            return CommandReceived(
                event_id=event_id,
                platform=PLATFORM,
                room=room,
                sender=sender,
                at=at,
                text=entry["text"],
                thread_root=entry["thread"],
            )
