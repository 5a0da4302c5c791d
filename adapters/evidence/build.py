"""How an adapter's answer becomes evidence: redacted, capped, digested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.domain.evidence import (
    Change,
    Evidence,
    EvidenceStatus,
    LogLine,
    Series,
    TraceSpan,
    Window,
    content_digest,
)
from bot.domain.ids import EvidenceId, new_id
from bot.domain.redaction import clean, redact, strip_invisible

EXCERPT_LIMIT = 4000
"""Characters of an excerpt: what a card, a model or a report may show of one answer."""
_REASON_LIMIT = 400

Record = Mapping[str, str | int | float | bool | None]


def answered(
    *,
    source: str,
    kind: str,
    query: str,
    window: Window,
    taken_at: datetime,
    summary: str,
    subject: str,
    excerpt: str,
    series: Sequence[Series] = (),
    lines: Sequence[LogLine] = (),
    records: Sequence[Record] = (),
    spans: Sequence[TraceSpan] = (),
    changes: Sequence[Change] = (),
    objects: Sequence[Mapping[str, Any]] = (),
    reason: str | None = None,
    link: str | None = None,
    manual: str | None = None,
    outsider_writable: bool = False,
) -> Evidence:
    """An answer with something in it; ``reason`` set means that it is incomplete."""
    text = clean(excerpt, limit=EXCERPT_LIMIT)
    return Evidence(
        id=EvidenceId(new_id("ev")),
        source=source,
        kind=kind,
        query=query,
        window=window,
        taken_at=taken_at,
        status=EvidenceStatus.OK,
        summary=clean(summary, limit=_REASON_LIMIT),
        subject=subject,
        excerpt=text,
        content_digest=content_digest(text),
        link=link,
        reason=None if reason is None else clean(reason, limit=_REASON_LIMIT),
        manual=manual,
        outsider_writable=outsider_writable,
        series=tuple(series),
        lines=tuple(lines),
        records=tuple(records),
        spans=tuple(spans),
        changes=tuple(changes),
        objects=tuple(objects),
    )


def nothing(
    *,
    source: str,
    kind: str,
    query: str,
    window: Window,
    taken_at: datetime,
    subject: str,
    reason: str,
    status: EvidenceStatus,
    link: str | None = None,
    manual: str | None = None,
    outsider_writable: bool = False,
) -> Evidence:
    """``empty``: the source looked and there was nothing. ``failed``: we do not know. ``outsider_writable``
    where the reason holds words of whoever was asked, such as those of an error."""
    reason = clean(reason, limit=_REASON_LIMIT)
    return Evidence(
        id=EvidenceId(new_id("ev")),
        source=source,
        kind=kind,
        query=query,
        window=window,
        taken_at=taken_at,
        status=status,
        summary=reason,
        subject=subject,
        content_digest=content_digest("") if status is EvidenceStatus.EMPTY else None,
        link=link,
        reason=reason,
        manual=manual,
        outsider_writable=outsider_writable,
    )


def clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without secrets and invisible characters; one pass over all of them when they are harmless."""
    joined = "\n".join(f"{key}={value}" for key, value in labels.items())
    if strip_invisible(redact(joined)) == joined:
        return dict(labels)
    cleaned = {}
    for key, value in labels.items():
        pair = strip_invisible(redact(f"{key}={value}"))
        cleaned[key] = pair.partition("=")[2] if pair.startswith(f"{key}=") else pair
    return cleaned
