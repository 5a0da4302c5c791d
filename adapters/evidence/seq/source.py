"""SeqLogs: events over the search API, newest pages first."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

import aiohttp

from adapters.evidence.asked import Asked
from adapters.evidence.entries import Entry, excerpt_of, lines_of, summary_of
from adapters.evidence.http import Http, Malformed, Refused, base, json_of
from adapters.evidence.paging import Backwards
from adapters.evidence.seq.filter import properties_of, render
from adapters.evidence.seq.parse import Page, parse_page
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.evidence import Evidence, Window
from config.schema import SeqSource
from investigators.queries import LogQuery, Query

_EVENTS = "/api/events/signal"
"""As ``/api/events``, and says whether it looked at everything."""


class SeqLogs:
    """Queries one Seq. The session belongs to the caller and is not closed here."""

    def __init__(self, config: SeqSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self.answers: frozenset[type[Query]] = frozenset({LogQuery})
        self._config = config
        self._clock = clock
        headers = {} if config.api_key is None else {"X-Seq-ApiKey": config.api_key.get_secret_value()}
        self._http = Http(config.url, session, timeout=config.timeout, headers=headers)

    def covers(self, query: Query) -> bool:
        return isinstance(query, LogQuery) and bool(query.matchers)

    def command(self, query: Query, window: Window) -> str | None:
        """A seqcli line (Seq's own tool)."""
        if not isinstance(query, LogQuery):
            return None
        try:
            text = render(query, self._config.labels)
        except ValueError as error:
            return f"# no Seq filter for this: {error}"
        return (
            f"seqcli search -s {shlex.quote(self._http.address)} --filter={shlex.quote(text)} "
            f"--start={to_rfc3339(window.start)} --end={to_rfc3339(window.end)} --count={self._limit(query)}"
        )

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The last events of the window; asked for a healthy time, of the window given."""
        text, problem = query.kind, None
        if not isinstance(query, LogQuery):
            problem = f"{self.name} does not answer {query.kind}"
        elif window.length <= timedelta(0):
            problem = "the window is empty"
        else:
            try:
                text = render(query, self._config.labels)
            except ValueError as error:
                problem = str(error)
        asked = Asked(
            source=self.name,
            kind=query.kind,
            text=text or "every event",
            window=window,
            subject=subject,
            clock=self._clock,
            link=None if problem else self._link(text, window),
            manual=self.command(query, window),
        )
        if problem is not None or not isinstance(query, LogQuery):
            return asked.failed(problem or "")
        reading = _Reading(self._http, text, window, self._limit(query), self._config)
        try:
            await reading.run()
        except (Refused, Malformed) as error:
            return asked.failed(str(error))
        lines = await asyncio.to_thread(lines_of, reading.kept())
        if not lines:
            return asked.empty("no such events", reading.notes)
        return asked.found(summary_of(lines), excerpt_of(lines), lines=lines, notes=reading.notes)

    def _limit(self, query: LogQuery) -> int:
        return max(1, min(query.limit, self._config.max_lines))

    def _link(self, text: str, window: Window) -> str:
        query = {"filter": text, "from": to_rfc3339(window.start), "to": to_rfc3339(window.end)}
        page = urlencode(query, quote_via=url_quote)
        return f"{base(self._config.external_url or self._config.url)}/#/events?{page}"


class _Reading(Backwards):
    """Seq goes on after an event it has given or only looked at."""

    def __init__(self, http: Http, text: str, window: Window, limit: int, config: SeqSource) -> None:
        super().__init__(window, limit, config.page_lines)
        self._http = http
        self._text = text
        self._window = window
        self._properties = properties_of(config.labels)
        self._until = http.deadline()
        self._after: str | None = None
        self._page_read: Page | None = None

    async def read(self, count: int) -> Sequence[Entry]:
        params = [
            ("count", str(count)),
            ("render", "true"),
            ("fromDateUtc", to_rfc3339(self._window.start)),
            ("toDateUtc", to_rfc3339(self._window.end)),
        ]
        if self._text:
            params.append(("filter", self._text))
        if self._after is not None:
            params.append(("afterId", self._after))
        reply = await self._http.call(_EVENTS, params, until=self._until)
        body = await json_of(reply, "the Seq API", _complaint)
        self._page_read = await asyncio.to_thread(parse_page, body, self._properties)
        return self._page_read.entries

    def go_on(self, inside: Sequence[Entry], *, full: bool) -> bool:
        page = self._page_read
        self.entries += inside
        if page is None or (page.complete and not full):
            return False
        if page.last_id is None or page.last_id == self._after:
            self.notes.append("the server stopped before it had looked at everything")
            return False
        self._after = page.last_id
        return True


def _complaint(body: Any) -> str | None:
    words = body.get("Error") if isinstance(body, dict) else None
    return words if isinstance(words, str) else None
