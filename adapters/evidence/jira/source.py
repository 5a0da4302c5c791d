"""JiraTickets: what people already know of a service's troubles.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.json_api import JsonApi, Refused
from adapters.evidence.json_shape import Malformed, listing, mapping, moment, optional, text
from bot.domain.clock import Clock, to_rfc3339
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.redaction import clean, redact, strip_invisible
from config.schema import JiraSource
from investigators.queries import Query, TicketQuery

_MAX_TICKETS = 100
_MAX_SERVICE = 200
_FIELDS = ["summary", "status", "created", "updated"]
_KEY = re.compile(r"[A-Z][A-Z0-9_]*-[0-9]{1,12}")


class JiraTickets:
    """Answers :class:`TicketQuery`. The session belongs to the caller."""

    answers: frozenset[type[Query]] = frozenset({TicketQuery})

    def __init__(self, config: JiraSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self._config = config
        self._clock = clock
        password = config.auth.password.get_secret_value()
        login = aiohttp.encode_basic_auth(config.auth.username, password)
        self._api = JsonApi(
            str(config.url),
            session,
            timeout=config.timeout,
            headers={"Authorization": login},
            secrets=(password, login.removeprefix("Basic ")),
        )

    def covers(self, query: Query) -> bool:
        return isinstance(query, TicketQuery) and bool(strip_invisible(query.service).strip())

    def command(self, query: Query, window: Window) -> str | None:
        if not isinstance(query, TicketQuery):
            return None
        address = f"{self._api.address}/rest/api/3/search/jql"
        return (
            f'curl -s -u "$JIRA_LOGIN" -G {shlex.quote(address)} --data-urlencode fields=summary,status '
            f"--data-urlencode {shlex.quote(f'jql={self._shown(query)}')}"
        )

    def jql(self, service: str) -> str:
        """The search for one service; its name is a text between quotes, whatever it holds."""
        name = " ".join(strip_invisible(service).split())[:_MAX_SERVICE]
        parts = []
        if self._config.projects:
            parts.append(f"project in ({', '.join(_quoted(key) for key in self._config.projects)})")
        if self._config.by_label:
            parts.append(f"labels = {_quoted(name)}")
        else:
            # A phrase of the text search, whose own quotes stand inside those of JQL.
            parts.append(f"text ~ {_quoted(_quoted(name))}")
        parts.append(f"updated >= -{self._config.days}d")
        return f"{' AND '.join(parts)} ORDER BY updated DESC"

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The last tickets up to now, whatever the window: what is known of a fault may be older."""
        if not isinstance(query, TicketQuery):
            return self._nothing(query, window, subject, EvidenceStatus.FAILED, "answers no such question")
        wanted = max(1, min(query.limit, _MAX_TICKETS))
        notes: list[str] = []
        try:
            records, more = await self._search(self.jql(query.service), wanted, notes)
        except Refused as error:
            return self._nothing(query, window, subject, EvidenceStatus.FAILED, str(error))
        if more:
            notes.append(f"showing the last {len(records)} tickets of more")
        if not records:
            status = EvidenceStatus.FAILED if notes else EvidenceStatus.EMPTY
            reason = "; ".join(notes) or f"no ticket in {self._config.days} days"
            return self._nothing(query, window, subject, status, reason)
        lines = [f"{r['key']} [{r['status']}] {r['summary']} ({r['updated']})" for r in records]
        return answered(
            source=self.name,
            kind=query.kind,
            query=self._shown(query),
            window=window,
            taken_at=self._clock.now(),
            summary=f"{len(records)} tickets; last: {lines[0]}",
            subject=subject,
            excerpt="\n".join(lines),
            records=records,
            reason="; ".join(notes) or None,
            link=self._link(query),
            manual=self.command(query, window),
            outsider_writable=self._config.outsider_writable,
        )

    async def probe(self) -> str:
        """Whether it answers a search, in one sentence. Raises Unavailable with what is wrong."""
        now = self._clock.now()
        found = await self.ask(TicketQuery(service="assent", limit=1), Window(start=now, end=now), "check")
        if found.status is EvidenceStatus.FAILED:
            raise Unavailable(self.name, found.reason or found.summary)
        return "Jira answers a search"

    async def _search(self, jql: str, wanted: int, notes: list[str]) -> tuple[list[Record], bool]:
        """At most ``wanted`` tickets, and whether there are more. Jira may give fewer a page than asked."""
        question = self._api.question()
        records: list[Record] = []
        token = ""
        while True:
            body = {"jql": jql, "maxResults": wanted - len(records), "fields": _FIELDS}
            try:
                reply = await question.post(
                    "/rest/api/3/search/jql", {**body, "nextPageToken": token} if token else body
                )
                data = mapping(reply.data, "a result")
                found = [self._record(item) for item in listing(data.get("issues"), "issues")]
            except Refused as error:
                if not records:
                    raise
                notes.append(str(error))
                return records, False
            records += found
            before, token = token, optional(data, "nextPageToken")
            if not token or data.get("isLast") is True:
                return records[:wanted], len(records) > wanted
            if len(records) >= wanted:
                return records[:wanted], True
            if token == before:
                raise Malformed("names the same next page again and again")

    def _record(self, item: Mapping[str, Any]) -> Record:
        key = text(item, "key", "an issue")
        if _KEY.fullmatch(key) is None:
            raise Malformed("answered with an issue whose key is none")
        fields = mapping(item.get("fields"), "an issue")
        return {
            "key": key,
            "summary": clean(optional(fields, "summary"), limit=300),
            "status": clean(optional(fields, "status", "name"), limit=60),
            "created": to_rfc3339(moment(fields, "created", "an issue")),
            "updated": to_rfc3339(moment(fields, "updated", "an issue")),
            "url": f"{self._api.address}/browse/{key}",
        }

    def _shown(self, query: TicketQuery) -> str:
        """The search as people see it. An alert may carry a secret where its service should stand."""
        return redact(self.jql(query.service))

    def _link(self, query: TicketQuery) -> str:
        return f"{self._api.address}/issues/?jql={quote(self._shown(query), safe='')}"

    def _nothing(
        self, query: Query, window: Window, subject: str, status: EvidenceStatus, reason: str
    ) -> Evidence:
        asked = isinstance(query, TicketQuery)
        return nothing(
            source=self.name,
            kind=query.kind,
            query=self._shown(query) if isinstance(query, TicketQuery) else query.kind,
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=status,
            link=self._link(query) if isinstance(query, TicketQuery) else self._api.address,
            manual=self.command(query, window) if asked else None,
            # Why it failed is told in the words of the server.
            outsider_writable=status is EvidenceStatus.FAILED,
        )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
