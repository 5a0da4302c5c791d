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
from adapters.evidence.http import Http, Malformed, Refused, base, json_of
from adapters.evidence.loki.logql import as_written, names_of, render
from adapters.evidence.loki.parse import parse_streams, warnings_of
from adapters.evidence.paging import Backwards
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.evidence import Evidence, Window
from config.schema import LokiSource
from investigators.queries import LogExpressionQuery, LogQuery, Query


class LokiLogs:
    """Queries one Loki. The session belongs to the caller and is not closed here."""

    def __init__(self, config: LokiSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self.answers: frozenset[type[Query]] = frozenset({LogQuery, LogExpressionQuery})
        self._config = config
        self._names = names_of(config.labels)
        self._clock = clock
        # Loki 3 then tells structured metadata from labels; older ones do not know the header.
        headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        if config.tenant is not None:
            headers["X-Scope-OrgID"] = config.tenant
        self._http = Http(config.url, session, timeout=config.timeout, auth=config.auth, headers=headers)

    def covers(self, query: Query) -> bool:
        if isinstance(query, LogExpressionQuery):
            return True
        return isinstance(query, LogQuery) and bool(query.matchers)

    def command(self, query: Query, window: Window) -> str | None:
        """A logcli line (ships with Loki)."""
        if not isinstance(query, LogQuery | LogExpressionQuery):
            return None
        try:
            text, _ = self._rendered(query)
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
        if not isinstance(query, LogQuery | LogExpressionQuery):
            problem = f"{self.name} does not answer {query.kind}"
        elif window.length <= timedelta(0):
            problem = "the window is empty"
        else:
            try:
                text, missed = self._rendered(query)
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
        if problem is not None or not isinstance(query, LogQuery | LogExpressionQuery):
            return asked.failed(problem or "")
        reading = _Reading(self._http, text, window, self._limit(query), self._config, self._names)
        try:
            await reading.run()
        except (Refused, Malformed) as error:
            return asked.failed(str(error))
        notes = [*([missed] if missed else []), *reading.notes]
        lines = await asyncio.to_thread(lines_of, reading.kept())
        if not lines:
            return asked.empty("no such lines", notes)
        return asked.found(summary_of(lines), excerpt_of(lines), lines=lines, notes=notes)

    def _rendered(self, query: LogQuery | LogExpressionQuery) -> tuple[str, str | None]:
        if isinstance(query, LogExpressionQuery):
            return as_written(query.expression), None
        return render(query, self._config.labels)

    def _limit(self, query: LogQuery | LogExpressionQuery) -> int:
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


class _Reading(Backwards):
    """Loki has no cursor: the next page ends with the oldest moment of this one, and so begins with the
    entries of that moment again."""

    def __init__(
        self, http: Http, text: str, window: Window, limit: int, config: LokiSource, names: dict[str, str]
    ) -> None:
        super().__init__(window, limit, config.page_lines)
        self._http = http
        self._text = text
        self._names = names
        self._until = http.deadline()
        self._boundary: set[Entry] = set()

    def again(self) -> int:
        return len(self._boundary)

    async def read(self, count: int) -> Sequence[Entry]:
        params = [
            ("query", self._text),
            ("start", str(self.start)),
            ("end", str(self.end)),
            ("limit", str(count)),
            ("direction", "backward"),
        ]
        reply = await self._http.call("/loki/api/v1/query_range", params, until=self._until)
        body = await json_of(reply, "the Loki API", _complaint)
        self.notes += [note for note in warnings_of(body) if note not in self.notes]
        return await asyncio.to_thread(parse_streams, body, self._names)

    def go_on(self, inside: Sequence[Entry], *, full: bool) -> bool:
        new = [entry for entry in inside if entry not in self._boundary]
        self.entries += new
        if not full:
            return False
        oldest = min(entry.at for entry in inside)
        if new:
            self.end = oldest + 1
            self._boundary = {entry for entry in inside if entry.at == oldest}
        else:
            self.notes.append(f"more than {len(inside)} lines at one moment; not all of them were read")
            self.end = oldest
            self._boundary = set()
        return self.end > self.start


def _complaint(body: Any) -> str | None:
    words = (body.get("error") or body.get("message")) if isinstance(body, dict) else None
    return words if isinstance(words, str) else None
