"""What an executor reports, made safe to store and to show."""

from __future__ import annotations

from bot.domain.redaction import clean, redact, strip_invisible

OUTPUT_BYTES = 64 * 1024
RAW_BYTES = 4 * OUTPUT_BYTES
"""How much raw output is held: more than is kept, so that a secret at the cut is still recognised."""

SUMMARY_CHARS = 600


def tidy_output(text: str) -> str:
    """Redact, take out control characters, and keep head and tail within 64 KiB of UTF-8."""
    text = clean(text, limit=OUTPUT_BYTES)
    raw = text.encode()
    while len(raw) > OUTPUT_BYTES:
        text = clean(text, limit=len(text) * OUTPUT_BYTES // len(raw) - 64)
        raw = text.encode()
    return text


def tidy_line(text: str) -> str:
    """One redacted line of at most 600 characters."""
    line = " ".join(strip_invisible(redact(text)).split())
    return line if len(line) <= SUMMARY_CHARS else line[: SUMMARY_CHARS - 1] + "…"
