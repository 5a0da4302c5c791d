"""Log text without secrets, also those that span several entries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.domain.redaction import redact, strip_invisible

MAX_LINE = 2_000
"""Characters of one entry that are kept."""
_CHUNK = 64 * 1024
"""Characters redacted at once. A pattern holds the interpreter while it looks through all of them."""
_OPEN = 250
"""Entries that a private key may span."""
_BEGIN = "-----BEGIN PRIVATE KEY-----"
_MARK = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY", re.IGNORECASE)


def clean_entries(texts: Sequence[str]) -> list[str]:
    """The entries of one stream in their order, cleaned; an entry that was wholly inside a secret that began
    in an earlier one is empty."""
    cleaned: list[str] = []
    chunk: list[str] = []
    size = inside = 0
    for text in texts:
        text = strip_invisible(text[: 2 * MAX_LINE])[:MAX_LINE]
        # What is indented may belong to the line before it.
        if size + len(text) > _CHUNK and (not text[:1].isspace() or size > 2 * _CHUNK):
            cleaned += _clean_chunk(chunk, inside)
            inside = _inside(chunk, inside)
            chunk, size = [], 0
        chunk.append(text)
        size += len(text) + 1
    return cleaned + _clean_chunk(chunk, inside)


def _inside(chunk: Sequence[str], before: int) -> int:
    """For how many entries a private key has been open at the end of the chunk; 0: none is."""
    for count, text in enumerate(reversed(chunk[-_OPEN:]), 1):
        marks = _MARK.findall(text)
        if marks:
            return count if marks[-1].upper() == "BEGIN" else 0
    return before + len(chunk) if 0 < before < _OPEN - len(chunk) else 0


def _clean_chunk(chunk: Sequence[str], inside: int) -> list[str]:
    return _clean([_BEGIN, *chunk])[1:] if inside else _clean(chunk)


def _clean(texts: Sequence[str]) -> list[str]:
    joined = "\n".join(texts)
    redacted = redact(joined)
    if redacted == joined:
        return list(texts)
    lines = redacted.split("\n")
    if len(lines) == joined.count("\n") + 1:
        return _dealt(lines, texts)
    return _dealt(_aligned(lines, joined.split("\n")), texts)


def _dealt(lines: Sequence[str], texts: Sequence[str]) -> list[str]:
    """One line for each line of the texts, put together as the texts were."""
    result = []
    at = 0
    for text in texts:
        count = text.count("\n") + 1
        result.append("\n".join(lines[at : at + count]).rstrip("\n"))
        at += count
    return result


def _aligned(lines: Sequence[str], original: Sequence[str]) -> list[str]:
    """The redacted lines at the places of the original ones, with empty lines for those a mask took in.

    Whatever the places, what is returned are redacted lines only.
    """
    placed: list[str] = []
    alone = [redact(line) for line in original]
    at = 0
    for index, line in enumerate(lines):
        rest = len(lines) - index
        found = at
        # The mask stands for this line and for all until the next redacted line is found again.
        while found < len(original) - rest and alone[found] != line:
            found += 1
        if found < len(original) and alone[found] == line:
            placed += [""] * (found - at)
            at = found
        placed.append(line)
        at += 1
    return placed + [""] * (len(original) - len(placed))
