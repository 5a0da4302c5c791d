"""ChangeSource: the change question, put to every place where a service's changes are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from adapters.evidence.build import answered, nothing
from adapters.evidence.changes.diffs import FilePatch, diff_text, file_names
from adapters.evidence.json_api import JsonApi, Question, Refused
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Change, Evidence, EvidenceStatus, Window
from bot.domain.redaction import clean
from investigators.queries import ChangeQuery, Query

BEFORE = timedelta(hours=24)
"""How long before it took effect something may have been begun: approvals and slow pipelines."""
MAX_PAGES = 5
MAX_DIFFS = 20
"""Commits of one place whose own diffs are fetched; the deployment's diff covers the others."""
_SHOWN = 30
_PROBED = timedelta(minutes=5)


@dataclass(slots=True, kw_only=True)
class Found:
    """What a place said: changes in any order, and what is missing from them."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class Place(Protocol):
    """One repository, project or build configuration."""

    name: str
    service: str

    def command(self, window: Window) -> str: ...

    async def changes(self, question: Question, window: Window) -> Found:
        """What took effect in the window. Raises Refused when the place could not be read at all."""
        ...


class ChangeSource:
    """Answers :class:`ChangeQuery` from one server. The session belongs to the caller."""

    answers: frozenset[type[Query]] = frozenset({ChangeQuery})

    def __init__(
        self,
        name: str,
        places: Sequence[Place],
        api: JsonApi,
        clock: Clock,
        *,
        link: str,
        outsider_writable: bool,
    ) -> None:
        self.name = name
        self._places = tuple(places)
        self._api = api
        self._clock = clock
        self._link = link
        self._outsider_writable = outsider_writable

    def covers(self, query: Query) -> bool:
        return isinstance(query, ChangeQuery) and bool(self._asked(query))

    def command(self, query: Query, window: Window) -> str | None:
        if not isinstance(query, ChangeQuery):
            return None
        return "\n".join(place.command(window) for place in self._asked(query)) or None

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        if not isinstance(query, ChangeQuery):
            return self._nothing(query, window, subject, EvidenceStatus.FAILED, "answers no such question")
        places = self._asked(query)
        if not places:
            return self._nothing(query, window, subject, EvidenceStatus.FAILED, "knows none of the services")
        found = await asyncio.gather(*(_look(place, self._api.question(), window) for place in places))
        notes = [note for one in found for note in one.notes]
        changes = await asyncio.to_thread(_within, [c for one in found for c in one.changes], window)
        if len(changes) > query.limit:
            notes.append(f"showing the last {query.limit} of {len(changes)} changes")
            changes = changes[len(changes) - query.limit :]
        if not changes:
            # Nothing found where something could not be read is not the same as nothing changed.
            status = EvidenceStatus.FAILED if notes else EvidenceStatus.EMPTY
            reason = "; ".join(notes) or f"no change in {', '.join(place.name for place in places)}"
            return self._nothing(query, window, subject, status, reason)
        lines = [_line(change) for change in changes]
        return answered(
            source=self.name,
            kind=query.kind,
            query=self._words(query),
            window=window,
            taken_at=self._clock.now(),
            summary=f"{len(changes)} changes; last: {lines[-1]}",
            subject=subject,
            excerpt="\n".join(lines[-_SHOWN:]),
            changes=changes,
            reason="; ".join(notes) or None,
            link=self._link,
            manual=self.command(query, window),
            outsider_writable=self._outsider_writable,
        )

    async def probe(self) -> str:
        """What the places say of the last minutes, in one sentence. Raises Unavailable when none does."""
        now = self._clock.now()
        found = await self.ask(ChangeQuery(), Window(start=now - _PROBED, end=now), "check")
        if found.status is EvidenceStatus.FAILED:
            raise Unavailable(self.name, found.reason or found.summary)
        return f"{found.summary}; {found.reason}" if found.changes and found.reason else found.summary

    def _asked(self, query: ChangeQuery) -> list[Place]:
        return [place for place in self._places if not query.services or place.service in query.services]

    def _words(self, query: ChangeQuery) -> str:
        places = ", ".join(dict.fromkeys(place.name for place in self._asked(query)))
        return f"changes of {', '.join(query.services) or 'every service'} in {places or 'no place'}"

    def _nothing(
        self, query: Query, window: Window, subject: str, status: EvidenceStatus, reason: str
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=query.kind,
            query=self._words(query) if isinstance(query, ChangeQuery) else query.kind,
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=status,
            link=self._link,
            manual=self.command(query, window),
            # Why it failed is told in the words of the server.
            outsider_writable=status is EvidenceStatus.FAILED,
        )


async def _look(place: Place, question: Question, window: Window) -> Found:
    try:
        found = await place.changes(question, window)
    except Refused as error:
        return Found(notes=[f"{place.name}: {error}"])
    return Found(changes=found.changes, notes=[f"{place.name}: {note}" for note in found.notes])


def _within(changes: Sequence[Change], window: Window) -> list[Change]:
    inside = [change for change in changes if window.start <= change.at < window.end]
    inside.sort(key=lambda change: (change.at, change.kind != "commit", change.id))
    unique: dict[tuple[str, str, str], Change] = {}
    for change in inside:
        # A commit that came to several environments counts from the first.
        unique.setdefault((change.service, change.kind, change.id), change)
    return list(unique.values())


def _line(change: Change) -> str:
    by = f" by {change.author}" if change.author else ""
    files = f" ({len(change.files)} files)" if change.files else ""
    return f"{change.at:%Y-%m-%d %H:%M:%SZ} {change.kind} {change.service}: {change.title}{by}{files}"


def made(
    *,
    identity: str,
    kind: str,
    at: datetime,
    service: str,
    title: str,
    author: str,
    version: str = "",
    before: str = "",
    after: str = "",
    link: str = "",
) -> Change:
    """A change whose every text is redacted and bounded; what it did is added by :func:`with_diff`."""
    return Change(
        id=clean(identity, limit=200),
        kind=kind,
        at=at,
        service=service,
        title=clean(title.strip().partition("\n")[0], limit=300),
        author=clean(author, limit=100),
        version=clean(version, limit=200),
        before=clean(before, limit=200),
        after=clean(after, limit=200),
        link=clean(link, limit=1_000) if link.startswith(("https://", "http://")) else "",
    )


async def with_diff(change: Change, patches: Sequence[FilePatch], note: str = "") -> Change:
    """Redaction of a large diff takes a while: not on the event loop."""
    files, diff = await asyncio.to_thread(lambda: (file_names(patches), diff_text(patches)))
    return replace(change, files=files, diff=f"{diff}\n{note}".strip() if note else diff)


def touches(paths: Sequence[str], files: Sequence[str]) -> bool:
    """Whether a file lies in one of the folders; a place without folders is the whole repository."""
    return not paths or any(
        file == path.rstrip("/") or file.startswith(f"{path.rstrip('/')}/")
        for path in paths
        for file in files
    )


def in_folders(paths: Sequence[str], patches: Sequence[FilePatch]) -> list[FilePatch]:
    return [one for one in patches if touches(paths, (one.path, one.renamed_from))]
