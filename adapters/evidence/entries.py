"""Log entries of a log store as evidence: in the window, cleaned, oldest first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from adapters.evidence.build import clean_labels
from adapters.evidence.texts import clean_entries
from bot.domain.evidence import LogLine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 40
_SHOWN_LINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as the store has it: ``at`` in nanoseconds since the epoch, ``labels`` those that Assent
    knows, ``stream`` what it was written to: a secret may span entries of one."""

    at: int
    text: str
    labels: tuple[tuple[str, str], ...]
    stream: Hashable


def nanoseconds(moment: datetime) -> int:
    """Exact: a float of today's epoch cannot hold them."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def lines_of(entries: Iterable[Entry]) -> list[LogLine]:
    """Blocks for as long as redaction takes; for a thread. Entries of one moment keep their order."""
    streams: dict[Hashable, list[tuple[int, Entry]]] = {}
    for index, entry in enumerate(entries):
        streams.setdefault(entry.stream, []).append((index, entry))
    labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    placed: list[tuple[int, int, LogLine]] = []
    for stream in streams.values():
        stream.sort(key=lambda item: (item[1].at, item[0]))
        for (index, entry), text in zip(stream, clean_entries([e.text for _, e in stream]), strict=True):
            if not text.strip():
                continue
            if entry.labels not in labels:
                labels[entry.labels] = clean_labels(dict(entry.labels))
            at = _EPOCH + timedelta(microseconds=entry.at // 1000)
            placed.append((entry.at, index, LogLine(at=at, text=text, labels=labels[entry.labels])))
    placed.sort(key=lambda item: item[:2])
    return [line for _, _, line in placed]


def summary_of(lines: Sequence[LogLine]) -> str:
    """How many lines, of which levels."""
    levels = Counter(line.labels.get("level", "").lower() or "no level" for line in lines)
    counted = ", ".join(f"{count} {level}" for level, count in levels.most_common(5))
    return f"{len(lines)} lines: {counted}"


def excerpt_of(lines: Sequence[LogLine]) -> str:
    """The last lines, each with its time and where it is from."""
    shown = []
    for line in lines[-_SHOWN:]:
        at = "" if line.at is None else f"{line.at:%Y-%m-%dT%H:%M:%S.%fZ} "
        origin = line.labels.get("pod") or line.labels.get("service") or ""
        shown.append(f"{at}{origin}{': ' if origin else ''}{line.text[:_SHOWN_LINE]}")
    return "\n".join(shown)


def any_of(texts: Sequence[str]) -> str:
    """A regular expression, in every dialect, for a text that holds one of these in any case."""
    return f"(?i)(?:{'|'.join(literal(text) for text in texts)})"


def literal(text: str) -> str:
    """The regular expression that means exactly ``text``."""
    return re.sub(r"[\\.+*?()|\[\]{}^$/]", r"\\\g<0>", text)
