"""A message as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.chat.rendering import neutral, shown
from bot.domain.message import Bullets, Code, Fields, Message, Paragraph, Span


def render(message: Message) -> str:
    """Every word of the message, without anything that could steer the terminal."""
    lines = [neutral(message.title)]
    for block in message.blocks:
        lines.append("")
        match block:
            case Paragraph(spans=spans):
                lines.append(_text(spans))
            case Fields(pairs=pairs):
                width = max((len(label) for label, _ in pairs), default=0)
                lines += [f"{label:<{width}}  {_text(spans)}" for label, spans in pairs]
            case Bullets(items=items, title=title):
                lines += [f"{title}:"] if title else []
                lines += [f"  • {_text(item)}" for item in items]
            case Code(text=text):
                lines += [f"    {line}" for line in neutral(text).splitlines()]
    return "\n".join(lines)


def _text(spans: Sequence[Span]) -> str:
    return "".join(shown(item) + (f" <{item.link}>" if item.link else "") for item in spans)
