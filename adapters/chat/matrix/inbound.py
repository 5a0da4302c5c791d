"""Matrix events → what the workflow understands. Pure; works on events as the server gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.domain.chat import CommandReceived, Inbound, ReactionAdded, ReactionRemoved

PLATFORM = "matrix"
PREFIX = "!assent"
_LONGEST_COMMAND = 4000
_LONGEST_KEY = 256

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """What the bot is called: its user id and the names a mention may use in a room."""

    user_id: str
    names: tuple[str, ...] = ()


def to_inbound(
    raw: Raw, *, room: str, me: Me, now: datetime, verified: bool = False, direct: bool = False
) -> Inbound | None:
    """Return what the (decrypted) event means, or None when it means nothing to us.

    The bot's own events, edits, notices (other bots), redacted events and talk addressed to nobody mean
    nothing. In a ``direct`` room only commands count. The time is the sender's server's, but never later
    than ``now``: a server with a fast clock must not put a reaction into the future.
    """
    event_id, sender, content = raw.get("event_id"), raw.get("sender"), raw.get("content")
    if not isinstance(event_id, str) or not isinstance(sender, str) or not isinstance(content, Mapping):
        return None
    if sender == me.user_id or _is_redacted(raw):
        return None
    at = _time(raw.get("origin_server_ts"), now)
    match raw.get("type"):
        case "m.reaction" if not direct:
            relation = _mapping(content.get("m.relates_to"))
            target, key = relation.get("event_id"), relation.get("key")
            if relation.get("rel_type") != "m.annotation" or not isinstance(target, str):
                return None
            if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
                return None
            return ReactionAdded(
                event_id=event_id,
                platform=PLATFORM,
                room=room,
                sender=sender,
                at=at,
                message_id=target,
                key=key,
            )
        case "m.room.redaction" if not direct:
            # Room versions before 11 carry the target at the top, later ones in the content.
            target = content.get("redacts", raw.get("redacts"))
            if not isinstance(target, str):
                return None
            return ReactionRemoved(
                event_id=event_id,
                platform=PLATFORM,
                room=room,
                sender=sender,
                at=at,
                removed_event_id=target,
            )
        case "m.room.message":
            text = command_text(content, me, direct=direct)
            if text is None:
                return None
            relation = _mapping(content.get("m.relates_to"))
            root = relation.get("event_id") if relation.get("rel_type") == "m.thread" else None
            return CommandReceived(
                event_id=event_id,
                platform=PLATFORM,
                room=room,
                sender=sender,
                at=at,
                text=text,
                thread_root=root if isinstance(root, str) and not direct else None,
                device_verified=verified,
            )
    return None


def command_text(content: Raw, me: Me, *, direct: bool = False) -> str | None:
    """The text of a command without its address, or None when it is not addressed to the bot.

    Addressed is what begins with ``!assent``, the bot's user id, or one of its names followed by a colon or
    comma, or by a space when the client also marked the mention (``m.mentions``); also behind the quote of an
    old-style reply. In a ``direct`` room everything is.
    """
    body = content.get("body")
    if content.get("msgtype") != "m.text" or not isinstance(body, str):
        return None
    relation = _mapping(content.get("m.relates_to"))
    if relation.get("rel_type") == "m.replace":
        return None
    if "m.in_reply_to" in relation:
        body = _without_quote(body)
    body = body.strip()
    if len(body) > _LONGEST_COMMAND:
        return None
    if re.match(rf"(?i){PREFIX}(?:\s|$)", body):
        return body[len(PREFIX) :].strip()
    mentioned = _mapping(content.get("m.mentions")).get("user_ids")
    marked = isinstance(mentioned, list) and me.user_id in mentioned
    for name in _by_length((me.user_id, *me.names)):
        ending = r"\s*[:,]\s*|\s+|$" if marked or name == me.user_id else r"\s*[:,]\s*"
        match = re.match(rf"(?i)@?{re.escape(name)}(?:{ending})", body)
        if match:
            return body[match.end() :].strip()
    return body if direct and body else None


def since_own_join(events: Sequence[Raw], user_id: str) -> tuple[Sequence[Raw], bool]:
    """The events after the bot's latest entry into the room (all, if it is not among them), and whether
    it is. What was said before the bot came was not said to it."""
    for index in range(len(events) - 1, -1, -1):
        if _is_own_entry(events[index], user_id):
            return events[index + 1 :], True
    return events, False


def _is_own_entry(raw: Raw, user_id: str) -> bool:
    if raw.get("type") != "m.room.member" or raw.get("state_key") != user_id:
        return False
    if _mapping(raw.get("content")).get("membership") != "join":
        return False
    unsigned = _mapping(raw.get("unsigned"))
    before = _mapping(unsigned.get("prev_content") or raw.get("prev_content"))
    return before.get("membership") != "join"


def _is_redacted(raw: Raw) -> bool:
    return "redacted_because" in _mapping(raw.get("unsigned"))


def _without_quote(body: str) -> str:
    lines = body.split("\n")
    while lines and lines[0].startswith(">"):
        lines.pop(0)
    return "\n".join(lines)


def _by_length(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if name.strip()}, key=len, reverse=True)


def _mapping(value: object) -> Raw:
    return value if isinstance(value, Mapping) else {}


def _time(value: object, now: datetime) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return now
    try:
        return min(datetime.fromtimestamp(value / 1000, UTC), now)
    except (OverflowError, OSError, ValueError):
        return now
