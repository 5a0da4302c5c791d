"""Message → the content of Matrix events. Pure; nothing here talks to a server.

Formats: client-server API v1.16, ``m.room.message`` (11.2.1), edits (11.5), threads (11.10), mentions
(11.31). ``m.mentions`` is always the empty object, so that no text can ping anybody; the empty
``com.beeper.linkpreviews`` (MSC4095) asks clients not to preview.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any

from adapters.chat.rendering import neutral, safe_link, shown
from bot.domain.message import Block, Bullets, Code, Fields, Message, Paragraph, Span, Tone

Content = dict[str, Any]

LIMITS = (40_000, 16_000, 4_000)
"""Bytes of content to try in turn. An event may have 65,536 bytes; encrypting adds a third, and the
server and federation add their own fields. The smaller sizes are for servers that still say M_TOO_LARGE."""

_COLOURS = {Tone.WARNING: "#b36b00", Tone.CRITICAL: "#c0392b", Tone.GOOD: "#1e8449", Tone.MUTED: "#7f8c8d"}


def transaction_id(key: str, part: str = "") -> str:
    """The transaction id for (a part of) the effect with this idempotency key: SHA-256, lower-case hex."""
    return sha256((f"{key}\n{part}" if part else key).encode()).hexdigest()


def size(content: Mapping[str, Any]) -> int:
    """Bytes of the content as JSON."""
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def text_content(message: Message, *, notify: bool) -> Content:
    """``m.text`` where people's phones should tell them, ``m.notice`` (silent by the default push rules)
    where not."""
    return {
        "msgtype": "m.text" if notify else "m.notice",
        "body": plain_text(message),
        "format": "org.matrix.custom.html",
        "formatted_body": html_text(message),
        "m.mentions": {},
        "com.beeper.linkpreviews": [],
    }


def in_thread(content: Content, root: str) -> Content:
    """The content as a message of the thread that ``root`` starts, with the fallback for old clients."""
    relation = {
        "rel_type": "m.thread",
        "event_id": root,
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": root},
    }
    return content | {"m.relates_to": relation}


def in_reply(content: Content, to: str) -> Content:
    """The content as a plain reply, for messages that cannot start a thread."""
    return content | {"m.relates_to": {"m.in_reply_to": {"event_id": to}}}


def edit_of(content: Content, target: str) -> Content:
    """An event that replaces ``target``'s content; clients without edits show it with a star."""
    fallback = {
        "msgtype": content["msgtype"],
        "body": f"* {content['body'].partition(chr(10))[0]}",
        "m.mentions": {},
        "com.beeper.linkpreviews": [],
    }
    relation = {"rel_type": "m.replace", "event_id": target}
    return fallback | {"m.new_content": content, "m.relates_to": relation}


def reaction_to(target: str, key: str) -> Content:
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": target, "key": key}}


def plain_text(message: Message) -> str:
    """The fallback body and notification text."""
    return "\n".join((neutral(message.title), *(_plain_block(block) for block in message.blocks)))


def html_text(message: Message) -> str:
    """The formatted body, in the subset of HTML the specification allows (11.2.1.1)."""
    title = f"<strong>{escape(neutral(message.title))}</strong>"
    colour = _COLOURS.get(message.tone)
    if colour is not None:
        title = f'<font color="{colour}" data-mx-color="{colour}">{title}</font>'
    return "".join((f"<p>{title}</p>", *(_html_block(block) for block in message.blocks)))


def _plain_block(block: Block) -> str:
    match block:
        case Paragraph(spans=spans):
            return _plain_spans(spans)
        case Bullets(items=items, title=title):
            lines = [f"- {_plain_spans(item)}" for item in items]
            return "\n".join([neutral(title), *lines] if title else lines)
        case Fields(pairs=pairs):
            return "\n".join(f"{neutral(label)}: {_plain_spans(spans)}" for label, spans in pairs)
        case Code(text=text):
            return neutral(text, preformatted=True)


def _plain_spans(spans: tuple[Span, ...]) -> str:
    return "".join(_plain_span(span) for span in spans)


def _plain_span(span: Span) -> str:
    link = safe_link(span)
    text = shown(span)
    return text if link is None or link == text else f"{text} ({link})"


def _html_block(block: Block) -> str:
    match block:
        case Paragraph(spans=spans):
            return f"<p>{_html_spans(spans)}</p>"
        case Bullets(items=items, title=title):
            head = f"<p>{escape(neutral(title))}</p>" if title else ""
            return head + "<ul>" + "".join(f"<li>{_html_spans(item)}</li>" for item in items) + "</ul>"
        case Fields(pairs=pairs):
            lines = (f"<strong>{escape(neutral(label))}:</strong> {_html_spans(v)}" for label, v in pairs)
            return f"<p>{'<br>'.join(lines)}</p>"
        case Code(text=text):
            return f"<pre><code>{escape(neutral(text, preformatted=True))}</code></pre>"


def _html_spans(spans: tuple[Span, ...]) -> str:
    return "".join(_html_span(span) for span in spans)


def _html_span(span: Span) -> str:
    text = escape(shown(span)).replace("\n", "<br>")
    if span.code:
        text = f"<code>{text}</code>"
    if span.strong:
        text = f"<strong>{text}</strong>"
    link = safe_link(span)
    return text if link is None else f'<a href="{escape(link)}">{text}</a>'
