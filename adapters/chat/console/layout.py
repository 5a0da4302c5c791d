"""Message → lines. Everything a message says stands behind a gutter or an indentation of ours, so that no
text can pose as another message or as a card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from adapters.chat.console.terminal import BOLD, CODE, DIM, LINK, TONES, Line, Piece, text_width, wrap
from adapters.chat.rendering import neutral, safe_link, shown
from bot.domain.message import Block, Bullets, Code, Fields, Message, Paragraph, Span

THREAD = "  "
_LONGEST_LABEL = 24
_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029]")


def body(message: Message, columns: int) -> list[Line]:
    """The blocks of a message, wrapped to ``columns``, without any gutter."""
    lines: list[Line] = []
    for block in message.blocks:
        lines.extend(_block(block, columns))
    return lines


def title(message: Message) -> str:
    """The title on one line, without effects."""
    return _one_line(message.title)


def root(message: Message, room: str, at: datetime, columns: int) -> list[Line]:
    style = f"{BOLD};{TONES[message.tone]}"
    rule = f"── {room} ── {at:%H:%M:%S} UTC "
    return [
        (),
        (Piece(text=rule + "─" * max(columns - text_width(rule), 0), style=DIM),),
        *_headed("● ", title(message), style, "", columns),
        *_behind("│ ", TONES[message.tone], body(message, columns - 2)),
    ]


def reply(message: Message, columns: int) -> list[Line]:
    return [
        *_headed("↳ ", title(message), BOLD, THREAD, columns),
        *_behind(THREAD + "  ", "", body(message, columns - 4)),
    ]


def card(message: Message, mark: str, lines: Sequence[Line], prompt: str | None, columns: int) -> list[Line]:
    """A card in its box; ``mark`` follows the corner, ``prompt`` says how to answer it."""
    tone = TONES[message.tone]
    foot = f"╰─ {prompt}" if prompt else "╰─"
    return [
        *_headed(f"╭{mark} ", title(message), f"{BOLD};{tone}", THREAD, columns),
        *_behind(THREAD + "│ ", tone, lines),
        (Piece(text=THREAD + foot, style=tone),),
    ]


def update(message: Message, lines: Sequence[Line], columns: int) -> list[Line]:
    """An edit: the title again and only what changed below it."""
    return [
        *_headed("✎ ", title(message), f"{BOLD};{TONES[message.tone]}", "", columns),
        *_behind("│ ", DIM, lines),
    ]


def private(message: Message, columns: int) -> list[Line]:
    return [
        *_headed("🔒 only for you: ", title(message), BOLD, THREAD, columns),
        *_behind(THREAD + "   ", "", body(message, columns - 5)),
    ]


def _rows(text: str) -> list[str]:
    """Everything that ends a line ends it here, so that the gutter stands before what follows."""
    return [row.expandtabs(4) for row in _LINE_END.split(text)]


def _one_line(text: str) -> str:
    return " ".join(neutral(text).split())


def plain(line: Line) -> str:
    return "".join(piece.text for piece in line)


def _headed(mark: str, text: str, style: str, indent: str, columns: int) -> list[Line]:
    gap = " " * text_width(mark)
    first, *rest = wrap((Piece(text=text, style=style),), columns - text_width(indent + mark))
    return [
        (Piece(text=indent + mark, style=style), *first),
        *((Piece(text=indent + gap), *line) for line in rest),
    ]


def _behind(gutter: str, style: str, lines: Sequence[Line]) -> list[Line]:
    return [(Piece(text=gutter, style=style), *line) for line in lines]


def _block(block: Block, columns: int) -> list[Line]:
    match block:
        case Paragraph(spans=spans):
            return _wrapped(_pieces(spans), columns)
        case Bullets(items=items, title=heading):
            lines = _wrapped([Piece(text=_one_line(heading), style=BOLD)], columns) if heading else []
            for item in items:
                lines.extend(_wrapped([Piece(text="• "), *_pieces(item)], columns, 2))
            return lines
        case Fields(pairs=pairs):
            lines = []
            labels = [_one_line(label) for label, _ in pairs]
            wide = min(max((text_width(label) for label in labels), default=0), _LONGEST_LABEL) + 2
            for label, (_, spans) in zip(labels, pairs, strict=True):
                pad = " " * max(wide - text_width(label), 2)
                lines.extend(_wrapped([Piece(text=label + pad, style=DIM), *_pieces(spans)], columns, wide))
            return lines
        case Code(text=text):
            lines = []
            for source in _rows(neutral(text)):
                lines.extend(wrap((Piece(text=source, style=CODE),), columns))
            return lines


def _pieces(spans: Sequence[Span]) -> list[Piece]:
    pieces: list[Piece] = []
    for span in spans:
        text = "\n".join(_rows(shown(span)))
        link = safe_link(span)
        style = ";".join(filter(None, (BOLD if span.strong else "", CODE if span.code else "")))
        pieces.append(Piece(text=text, style=style))
        if link is not None and link != text:
            pieces.append(Piece(text=f" <{link}>", style=LINK))
    return pieces


def _wrapped(pieces: Sequence[Piece], columns: int, hanging: int = 0) -> list[Line]:
    """Wrap pieces whose text may hold line breaks."""
    rows: list[list[Piece]] = [[]]
    for piece in pieces:
        first, *rest = piece.text.split("\n")
        rows[-1].append(Piece(text=first, style=piece.style))
        for text in rest:
            rows.append([Piece(text=" " * hanging), Piece(text=text, style=piece.style)])
    return [line for row in rows for line in wrap(tuple(row), columns, hanging)]
