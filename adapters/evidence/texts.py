"""Log text without secrets, also those that span several entries."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.redaction import redact, strip_invisible

MAX_LINE = 2_000
"""Characters of one entry that are kept."""
_CHUNK = 64 * 1024
"""Characters redacted at once. A pattern holds the interpreter while it looks through all of them."""
_OPEN = 250
"""Entries of a chunk that may all belong to one secret that began in it."""


def clean_entries(texts: Sequence[str]) -> list[str]:
    """The entries of one stream in their order, cleaned; an entry that was wholly inside a secret that began
    in an earlier one is empty."""
    cleaned: list[str] = []
    chunk: list[str] = []
    size = 0
    for text in texts:
        text = strip_invisible(text[: 2 * MAX_LINE])[:MAX_LINE]
        if size + len(text) > _CHUNK and not _may_be_inside(chunk, text, size):
            cleaned += _clean_chunk(chunk)
            chunk, size = [], 0
        chunk.append(text)
        size += len(text) + 1
    return cleaned + _clean_chunk(chunk)


def _may_be_inside(chunk: Sequence[str], following: str, size: int) -> bool:
    """Whether what follows may be the rest of a secret that the chunk holds the beginning of."""
    if following[:1].isspace() and size < 4 * _CHUNK:
        return True
    for text in reversed(chunk[-_OPEN:]):
        if "-----END " in text:
            return False
        if "-----BEGIN " in text:
            return True
    return False


def _clean_chunk(texts: Sequence[str]) -> list[str]:
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
