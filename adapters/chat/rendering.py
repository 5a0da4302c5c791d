"""What every chat adapter does to text before its own escaping, and how long messages are cut.

Nothing here knows a platform: :func:`neutral` takes the effects out of outside text, :func:`safe_link`
decides which links may be shown, :func:`split` and :func:`shorten` fit a message into a platform's limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from urllib.parse import urlsplit

from bot.domain.message import Block, Bullets, Code, Fields, Message, Paragraph, Span, paragraph
from bot.domain.redaction import strip_invisible

Fits = Callable[[Message], bool]

_SCHEME = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}):(?=//)|\b(mailto|matrix|tel|javascript|data|magnet):")
_MENTION = re.compile(r"(?i)(?<![a-z0-9])@(?=\w)|@(?=(?:room|everyone|here|channel)\b)|(?<=<)@(?=[!&]?\d)")
_ALIAS = re.compile(r"#(?=[\w.-]+:[\w-]+\.)|(?<=<)#(?=\d)")
_DOTTED = re.compile(r"[\w.-]+")
_INNER_DOT = re.compile(r"(?<=[\w-])\.(?=[\w-])")
_WWW = re.compile(r"(?i)\bwww\.(?=\w)")

_SHORT_TITLE = 120

_NOT_A_DOMAIN = frozenset(
    re.findall(
        r"\w+",
        """
        bak cfg cluster cnf conf cpp csv db default dll err example exe gz hpp html ini internal invalid js
        json jsonl jsx lan local localdomain localhost lock log mount out path pem pid proto rb scope service
        slice sock socket sql sqlite svc svg tar test timer tmp toml ts tsx txt xml yaml yml
        """,
    )
)
"""Last labels of dotted words that are no top-level domain, so that no client makes a link of them."""


def neutral(text: str, *, preformatted: bool = False) -> str:
    """Return outside text without effects, still readable.

    Removes ANSI, control, zero-width, bidirectional and tag characters; breaks URLs and host names
    (``https[:]//evil[.]example[.]com``), so that no client links or previews them: a preview is a request
    that carries the URL to its host. Mentions lose their ``@`` (``＠room``).

    In ``preformatted`` text, which clients do not search for bare host names, dotted names stay as they are:
    ``java.lang.NullPointerException`` must stay legible.
    """
    text = strip_invisible(text)
    text = _MENTION.sub("＠", text)
    text = _ALIAS.sub("＃", text)
    text = _SCHEME.sub(lambda match: f"{match[1] or match[2]}[:]", text)
    return _WWW.sub("www[.]", text) if preformatted else _DOTTED.sub(_broken_host, text)


def _broken_host(match: re.Match[str]) -> str:
    dotted = match[0]
    labels = dotted.split(".")
    if any(before and _like_a_domain(label) for before, label in pairwise(labels)):
        return _INNER_DOT.sub("[.]", dotted)
    return dotted


def _like_a_domain(label: str) -> bool:
    """Whether a client that looks for links might take it for a top-level domain, at least its beginning:
    ``host.example.com-1`` is searched up to ``com``."""
    if label.lower().startswith("xn--"):
        return True
    word = re.split(r"[_-]", label, maxsplit=1)[0]
    return len(word) > 1 and word.isalpha() and word.lower() not in _NOT_A_DOMAIN


def shown(span: Span) -> str:
    """The text of a span as it may be shown, before the platform's own escaping."""
    return neutral(span.text) if span.untrusted else strip_invisible(span.text)


def safe_link(span: Span) -> str | None:
    """The link of a span if it may be followed: http or https, a host, no credentials, no odd characters."""
    link = span.link
    if link is None or re.search(r"[\s<>\"'`\\]", link) or strip_invisible(link) != link:
        return None
    try:
        parts = urlsplit(link)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        return None
    return link


def split(message: Message, fits: Fits) -> tuple[Message, ...]:
    """Return the message as one or more messages that all fit, nothing left out.

    Blocks stay whole where they fit alone; larger ones are cut between lines, items or pairs, and inside
    them only where a single line is too long. Parts after the first carry ``(continued)`` in the title.
    An overlong title is repeated whole below its first words. Raises ValueError when not even one character
    fits beside the title.
    """
    if fits(message):
        return (message,)
    parts: list[Message] = []
    waiting = list(message.blocks)
    current = replace(message, blocks=())
    if not fits(current):
        return split(_with_short_title(message), fits)
    while waiting:
        grown = replace(current, blocks=(*current.blocks, waiting[0]))
        if fits(grown):
            current = grown
            waiting.pop(0)
            continue
        if not current.blocks or not fits(replace(_next(message), blocks=(waiting[0],))):
            head, tail = _cut(waiting[0], partial(_fits_into, current, fits))
            if head is not None:
                current = _with(current, head)
                waiting[0] = tail
            elif not current.blocks:
                raise ValueError("not one character fits beside the title")
        parts.append(current)
        current = _next(message)
    parts.append(current)
    return tuple(parts)


def shorten(message: Message, fits: Fits, note: str) -> Message:
    """Return the message, or as much of its head as fits with ``note`` as the last paragraph.

    For edits, which cannot be split: the reader sees that something is missing.
    """
    if fits(message):
        return message
    ending = paragraph(note)
    first = split(message, lambda part: fits(_with(part, ending)))[0]
    return _with(first, ending)


def _with_short_title(message: Message) -> Message:
    title = message.title
    if len(title) <= _SHORT_TITLE + 1:
        raise ValueError(f"the platform's limit leaves no room for a title of {len(title)} characters")
    whole = paragraph(title, untrusted=True)
    return replace(message, title=f"{title[:_SHORT_TITLE]}…", blocks=(whole, *message.blocks))


def _with(message: Message, block: Block) -> Message:
    return replace(message, blocks=(*message.blocks, block))


def _fits_into(message: Message, fits: Fits, block: Block) -> bool:
    return fits(_with(message, block))


def _next(message: Message) -> Message:
    return replace(message, title=f"{message.title} (continued)", blocks=())


def _cut(block: Block, fits: Callable[[Block], bool]) -> tuple[Block | None, Block]:
    """Cut the largest head off a block that fits; None when none does."""
    match block:
        case Code(text=text):
            at = _largest(len(text), lambda size: fits(Code(text=text[:size])))
            line = text.rfind("\n", 0, at) + 1
            at = line if line > at // 2 else at
            return (Code(text=text[:at]) if at else None), Code(text=text[at:])
        case Paragraph(spans=spans):
            return _cut_spans(spans, lambda some: Paragraph(spans=some), fits)
        case Bullets(items=items, title=title):
            at = _largest(len(items), lambda size: fits(Bullets(items=items[:size], title=title)))
            if at or len(items) > 1:
                head = Bullets(items=items[:at], title=title) if at else None
                if head is None:
                    return _cut_spans(
                        items[0],
                        lambda some: Bullets(items=(some,), title=title),
                        fits,
                        lambda rest: Bullets(items=(rest, *items[1:])),
                    )
                return head, Bullets(items=items[at:])
            return _cut_spans(items[0], lambda some: Bullets(items=(some,), title=title), fits)
        case Fields(pairs=pairs):
            at = _largest(len(pairs), lambda size: fits(Fields(pairs=pairs[:size])))
            if at:
                return Fields(pairs=pairs[:at]), Fields(pairs=pairs[at:])
            label, spans = pairs[0]
            return _cut_spans(
                spans,
                lambda some: Fields(pairs=((label, some),)),
                fits,
                lambda rest: Fields(pairs=((label, rest), *pairs[1:])),
            )


def _cut_spans(
    spans: Sequence[Span],
    build: Callable[[tuple[Span, ...]], Block],
    fits: Callable[[Block], bool],
    build_tail: Callable[[tuple[Span, ...]], Block] | None = None,
) -> tuple[Block | None, Block]:
    tail = build_tail or build
    length = sum(len(span.text) for span in spans)
    at = _largest(length, lambda size: fits(build(_take(spans, size)[0])))
    head, rest = _take(spans, at)
    return (build(head) if at else None), tail(rest)


def _take(spans: Sequence[Span], size: int) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    head: list[Span] = []
    rest: list[Span] = []
    for span in spans:
        part = span.text[:size]
        if part:
            head.append(replace(span, text=part))
        if len(part) < len(span.text):
            rest.append(replace(span, text=span.text[len(part) :]))
        size -= len(part)
    return tuple(head), tuple(rest)


def _largest(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest size from 0 to ``limit`` that holds, 0 taken for granted."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
