"""What one part of a snapshot says to one question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.evidence.build import Record
from adapters.evidence.select import selects
from adapters.evidence.snapshot import lines
from adapters.evidence.snapshot.files import Malformed
from adapters.evidence.snapshot.showing import shown_changes, shown_objects
from adapters.evidence.snapshot.snapshot import Contents
from adapters.evidence.trust import object_by_outsiders
from bot.domain.evidence import Change, LogLine, Series, TraceSpan, Window
from investigators.ports import Matcher
from investigators.queries import ChangeQuery, ObjectQuery, PodLogQuery

MAX_LINE = 4_000
"""Characters of one line that are kept."""
SHOWN_LINES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a part says. ``window`` where it is another than the one asked, ``empty`` why nothing is there."""

    summary: str
    empty: str
    excerpt: str = ""
    reason: str | None = None
    window: Window | None = None
    outsider_writable: bool = False
    series: tuple[Series, ...] = ()
    lines: tuple[LogLine, ...] = ()
    records: Sequence[Record] = ()
    spans: tuple[TraceSpan, ...] = ()
    changes: tuple[Change, ...] = ()
    objects: Sequence[Mapping[str, Any]] = ()

    @property
    def filled(self) -> bool:
        return bool(self.series or self.lines or self.records or self.spans or self.changes or self.objects)


def accepting(matchers: Sequence[Matcher]) -> Callable[[Mapping[str, str]], bool]:
    """Whether labels are selected; label sets are few and shared, so each is looked at once."""
    known: dict[int, bool] = {}

    def accepted(labels: Mapping[str, str]) -> bool:
        verdict = known.get(id(labels))
        if verdict is None:
            verdict = known[id(labels)] = selects(matchers, labels)
        return verdict

    return accepted if matchers else lambda labels: True


def find_objects(main: Contents, query: ObjectQuery) -> Found:
    objects = main.objects.get()
    if not objects.known(query.object_kind):
        raise Malformed("objects of this kind are not in the snapshot")
    found = objects.of(query.object_kind, query.namespace, query.name)
    return Found(
        summary=f"{len(found)} objects of kind {query.object_kind}",
        empty=f"no such {query.object_kind}",
        excerpt=shown_objects(found),
        objects=found,
        outsider_writable=object_by_outsiders(query.object_kind),
    )


def wanted_logs(main: Contents, query: PodLogQuery) -> list[lines.PodLog]:
    return [
        log
        for log in main.pod_logs.get()
        if (log.namespace, log.pod, log.previous) == (query.namespace, query.pod, query.previous)
        and (query.container is None or log.container in ("", query.container))
    ]


def find_pod_log(main: Contents, query: PodLogQuery) -> Found:
    kept: list[lines.Entry] = []
    cut = []
    for log in wanted_logs(main, query):
        entries = lines.read_pod_log(main.folder, log)
        kept += entries[-query.tail :]
        note = cut_to(len(entries), query.tail, "lines, the last")
        cut += [note] if note is not None else []
    found = lines.as_lines(kept, MAX_LINE)
    return Found(
        summary=f"{len(found)} lines",
        empty="the log is empty",
        excerpt="\n".join(line.text for line in found[-SHOWN_LINES:]),
        lines=found,
        reason="; ".join(cut) or None,
        outsider_writable=True,
    )


def find_changes(main: Contents, query: ChangeQuery, inside: Callable[[float], bool]) -> Found:
    """A change that names no service may be of any."""
    chosen = [
        change
        for change in main.changes.get()
        if inside(change.at.timestamp())
        and (not query.services or not change.service or change.service in query.services)
    ]
    kept = tuple(chosen[-query.limit :])
    return Found(
        summary=f"{len(kept)} changes",
        empty="no change in the window",
        excerpt=shown_changes(kept),
        changes=kept,
        reason=cut_to(len(chosen), query.limit, "changes, the last"),
    )


def cut_to(total: int, kept: int, what: str) -> str | None:
    return f"only {kept} of {total} {what}" if total > kept else None
