"""LokiLogs: log lines over query_range, newest pages first."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote as url_quote

import aiohttp
import orjson

from adapters.evidence.asked import Asked
from adapters.evidence.entries import Entry, excerpt_of, lines_of, nanoseconds, summary_of
from adapters.evidence.http import Http, Malformed, Refused, TooLarge, base, json_of
from adapters.evidence.loki.logql import names_of, render
from adapters.evidence.loki.parse import parse_streams, warnings_of
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.evidence import Evidence, Window
from config.schema import LokiSource
from investigators.queries import LogQuery, Query

_SMALLEST_PAGE = 10


class LokiLogs:
    """Queries one Loki. The session belongs to the caller and is not closed here."""

    def __init__(self, config: LokiSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self.answers: frozenset[type[Query]] = frozenset({LogQuery})
        self._config = config
        self._names = names_of(config.labels)
        self._clock = clock
        # Loki 3 then tells structured metadata from labels; older ones do not know the header.
        headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        if config.tenant is not None:
            headers["X-Scope-OrgID"] = config.tenant
        self._http = Http(config.url, session, timeout=config.timeout, auth=config.auth, headers=headers)

    def covers(self, query: Query) -> bool:
        return isinstance(query, LogQuery)

    def command(self, query: Query, window: Window) -> str | None:
        """A logcli line (ships with Loki)."""
        if not isinstance(query, LogQuery):
            return None
        try:
            text, _ = render(query, self._config.labels)
        except ValueError as error:
            return f"# no LogQL for this: {error}"
        tenant = "" if self._config.tenant is None else f"--org-id={shlex.quote(self._config.tenant)} "
        return (
            f"logcli --addr={shlex.quote(self._http.address)} {tenant}query --limit={self._limit(query)} "
            f"--from={to_rfc3339(window.start)} --to={to_rfc3339(window.end)} {shlex.quote(text)}"
        )

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The last lines of the window; asked for a healthy time, of the window given."""
        text, missed, problem = query.kind, None, None
        if not isinstance(query, LogQuery):
            problem = f"{self.name} does not answer {query.kind}"
        elif window.length <= timedelta(0):
            problem = "the window is empty"
        else:
            try:
                text, missed = render(query, self._config.labels)
            except ValueError as error:
                problem = str(error)
        asked = Asked(
            source=self.name,
            kind=query.kind,
            text=text,
            window=window,
            subject=subject,
            clock=self._clock,
            link=None if problem else self._link(text, window),
            manual=self.command(query, window),
        )
        if problem is not None or not isinstance(query, LogQuery):
            return asked.failed(problem or "")
        reading = _Reading(self._http, text, window, self._limit(query), self._config.page_lines, self._names)
        try:
            await reading.run()
        except (Refused, Malformed) as error:
            return asked.failed(str(error))
        notes = [*([missed] if missed else []), *reading.notes]
        lines = await asyncio.to_thread(lines_of, reading.kept())
        if not lines:
            return asked.empty("no such lines", notes)
        return asked.found(summary_of(lines), excerpt_of(lines), lines=lines, notes=notes)

    def _limit(self, query: LogQuery) -> int:
        return max(1, min(query.limit, self._config.max_lines))

    def _link(self, text: str, window: Window) -> str | None:
        if self._config.external_url is None:
            return None
        source = self._config.datasource
        pane = {
            "datasource": source,
            "queries": [{"refId": "A", "datasource": {"type": "loki", "uid": source}, "expr": text}],
            "range": {
                "from": str(nanoseconds(window.start) // 1_000_000),
                "to": str(nanoseconds(window.end) // 1_000_000),
            },
        }
        panes = url_quote(orjson.dumps({"logs": pane}), safe="")
        return f"{base(self._config.external_url)}/explore?schemaVersion=1&panes={panes}"


class _Reading:
    """Pages backwards from the end of the window until ``limit`` entries are there. ``notes`` say what is
    missing."""

    def __init__(
        self, http: Http, text: str, window: Window, limit: int, page: int, names: dict[str, str]
    ) -> None:
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        self._http = http
        self._text = text
        self._start, self._end = nanoseconds(window.start), nanoseconds(window.end)
        self._limit = limit
        self._page = min(page, limit)
        self._names = names
        self._until = http.deadline()
        self._boundary: set[Entry] = set()
        """Entries of the oldest moment we have, which the next page begins with again."""

    async def run(self) -> None:
        """Raises Refused or Malformed when there is nothing to show for it."""
        while self._end > self._start:
            want = min(self._page, self._limit - len(self.entries) + len(self._boundary))
            try:
                page = await self._read(want)
            except TooLarge as error:
                if self._page <= _SMALLEST_PAGE:
                    self._give_up(error)
                    return
                self._page = max(_SMALLEST_PAGE, self._page // 4)
                continue
            except (Refused, Malformed) as error:
                self._give_up(error)
                return
            if not self._take(page) or len(page) < want:
                return
            if len(self.entries) >= self._limit:
                self.notes.append(f"only the last {self._limit} lines")
                return

    def kept(self) -> list[Entry]:
        """The last ``limit`` entries: a server may send more than it was asked for."""
        return sorted(self.entries, key=lambda entry: entry.at)[-self._limit :]

    def _take(self, page: Sequence[Entry]) -> bool:
        """Keep what is new and in the time asked for; False when the server does not keep to it."""
        inside = [entry for entry in page if self._start <= entry.at < self._end]
        if len(inside) < len(page):
            self.notes.append(f"{len(page) - len(inside)} lines of another time than asked for left out")
        if not inside:
            return False
        new = [entry for entry in inside if entry not in self._boundary]
        self.entries += new
        oldest = min(entry.at for entry in inside)
        if new:
            self._end = oldest + 1
            self._boundary = {entry for entry in inside if entry.at == oldest}
        else:
            self.notes.append(f"more than {len(inside)} lines at one moment; not all of them were read")
            self._end = oldest
            self._boundary = set()
        return True

    def _give_up(self, error: Exception) -> None:
        if not self.entries:
            raise error
        self.notes.append(f"only the last {len(self.entries)} lines: {error}")

    async def _read(self, limit: int) -> list[Entry]:
        params = [
            ("query", self._text),
            ("start", str(self._start)),
            ("end", str(self._end)),
            ("limit", str(limit)),
            ("direction", "backward"),
        ]
        reply = await self._http.call("/loki/api/v1/query_range", params, until=self._until)
        body = await json_of(reply, "the Loki API", _complaint)
        self.notes += [note for note in warnings_of(body) if note not in self.notes]
        return await asyncio.to_thread(parse_streams, body, self._names)


def _complaint(body: Any) -> str | None:
    words = (body.get("error") or body.get("message")) if isinstance(body, dict) else None
    return words if isinstance(words, str) else None
