"""One question to one system, ready to become evidence whatever comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.evidence.build import answered, nothing
from bot.domain.clock import Clock
from bot.domain.evidence import Evidence, EvidenceStatus, LogLine, Series, TraceSpan, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every answer to the question says of it; ``text`` is the query as the system understands it."""

    source: str
    kind: str
    text: str
    window: Window
    subject: str
    clock: Clock
    link: str | None
    manual: str | None

    def found(
        self,
        summary: str,
        excerpt: str,
        *,
        series: Sequence[Series] = (),
        lines: Sequence[LogLine] = (),
        spans: Sequence[TraceSpan] = (),
        notes: Sequence[str] = (),
    ) -> Evidence:
        """An answer with something in it; ``notes`` say why it is not all there is. Its text is
        outsiders' where it has lines or spans: what they hold came with a request."""
        return answered(
            source=self.source,
            kind=self.kind,
            query=self.text,
            window=self.window,
            taken_at=self.clock.now(),
            summary=summary,
            subject=self.subject,
            excerpt=excerpt,
            series=series,
            lines=lines,
            spans=spans,
            reason="; ".join(notes) or None,
            link=self.link,
            manual=self.manual,
            outsider_writable=bool(lines or spans),
        )

    def empty(self, reason: str, notes: Sequence[str] = ()) -> Evidence:
        """Nothing was found; with ``notes`` it is not known whether there is nothing."""
        if notes:
            return self.failed("; ".join([reason, *notes]))
        return self._nothing(reason, EvidenceStatus.EMPTY)

    def failed(self, reason: str) -> Evidence:
        return self._nothing(reason, EvidenceStatus.FAILED)

    def _nothing(self, reason: str, status: EvidenceStatus) -> Evidence:
        return nothing(
            source=self.source,
            kind=self.kind,
            query=self.text,
            window=self.window,
            taken_at=self.clock.now(),
            subject=self.subject,
            reason=reason,
            status=status,
            link=self.link,
            manual=self.manual,
            # Why it failed is told in the words of the server.
            outsider_writable=status is EvidenceStatus.FAILED,
        )
