"""FleetHosts: osquery tables of one host, asked live through Fleet.

https://fleetdm.com/docs/rest-api/rest-api#run-live-query-by-host-identifier
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from adapters.evidence.build import Record, answered, nothing
from adapters.evidence.fleet.prepared import NotPrepared, select_for
from adapters.evidence.fleet.sql import NotAdmitted, admit
from adapters.evidence.json_api import JsonApi, Refused
from adapters.evidence.json_shape import listing, mapping, optional
from adapters.evidence.trust import rows_by_outsiders
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.redaction import clean, redact, redact_field, strip_invisible
from config.schema import FleetSource
from investigators.queries import Query, SelectQuery, TableQuery

_MAX_VALUE = 2_000
_SHOWN = 20
_PORT = re.compile(r"(?P<host>[^:\[\]]+):\d{1,5}|\[(?P<v6>[0-9a-fA-F:.]+)\](?::\d{1,5})?")


class FleetHosts:
    """Answers :class:`TableQuery` and :class:`SelectQuery`. The session belongs to the caller."""

    answers: frozenset[type[Query]] = frozenset[type[Query]]((TableQuery, SelectQuery))

    def __init__(self, config: FleetSource, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.name = config.name
        self._config = config
        self._clock = clock
        self._tables = frozenset(config.tables)
        self._hosts = tuple(re.compile(pattern) for pattern in config.hosts)
        token = config.token.get_secret_value()
        self._api = JsonApi(
            str(config.url),
            session,
            timeout=config.timeout,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
        )

    def covers(self, query: Query) -> bool:
        if not isinstance(query, TableQuery | SelectQuery):
            return False
        host = _without_port(query.host)
        known = not self._hosts or host in self._config.aliases
        return bool(host) and (known or any(pattern.fullmatch(host) for pattern in self._hosts))

    def command(self, query: Query, window: Window) -> str | None:
        if not isinstance(query, TableQuery | SelectQuery):
            return None
        try:
            sql = self._sql(query)
        except (NotAdmitted, NotPrepared):
            return None
        host = shlex.quote(self._host(query))
        return redact(f"fleetctl query --exit --hosts {host} --query {shlex.quote(sql)}")

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        """The rows as they are at this moment: osquery keeps no past, whatever the window."""
        failed = EvidenceStatus.FAILED
        if not isinstance(query, TableQuery | SelectQuery):
            return self._nothing(query, query.kind, window, subject, failed, "answers no such question")
        try:
            sql = self._sql(query)
        except (NotAdmitted, NotPrepared) as error:
            asked = _words(query.table if isinstance(query, TableQuery) else query.sql, query)
            return self._nothing(query, asked, window, subject, failed, f"was not asked: {error}")
        words = _words(sql, query)
        try:
            rows = await self._rows(self._host(query), sql)
        except Refused as error:
            return self._nothing(query, words, window, subject, failed, str(error))
        if not rows:
            return self._nothing(query, words, window, subject, EvidenceStatus.EMPTY, "no rows")
        limit = self._config.max_rows
        records = [_record(row) for row in rows[:limit]]
        return answered(
            source=self.name,
            kind=query.kind,
            query=words,
            window=window,
            taken_at=self._clock.now(),
            summary=f"{len(records)} rows of {words}",
            subject=subject,
            excerpt="\n".join(_line(record) for record in records[:_SHOWN]),
            records=records,
            reason=f"showing the first {limit} rows of more" if len(rows) > limit else None,
            link=self._api.address,
            manual=self.command(query, window),
            outsider_writable=rows_by_outsiders(query),
        )

    async def probe(self) -> str:
        """Whether the token may list hosts, in one sentence. Raises Unavailable with what is wrong."""
        try:
            reply = await self._api.question().get("/api/v1/fleet/hosts", [("per_page", "1")])
            hosts = listing(mapping(reply.data, "hosts").get("hosts"), "hosts")
        except Refused as error:
            raise Unavailable(self.name, str(error)) from None
        return "Fleet answers and knows hosts" if hosts else "Fleet answers, but shows no host"

    def _sql(self, query: TableQuery | SelectQuery) -> str:
        # One more than is kept, to know whether there were more.
        limit = self._config.max_rows + 1
        if isinstance(query, SelectQuery):
            return admit(query.sql, self._tables, limit=limit)
        return admit(select_for(query.table, self._tables, self._config.files), self._tables, limit=limit)

    def _host(self, query: TableQuery | SelectQuery) -> str:
        host = _without_port(query.host)
        return self._config.aliases.get(host, host)

    async def _rows(self, host: str, sql: str) -> Sequence[Mapping[str, Any]]:
        if not host or host in (".", "..") or len(host) > 255:
            raise Refused("was not asked: that is no name of a host")
        path = f"/api/v1/fleet/hosts/identifier/{quote(host, safe='')}/query"
        reply = await self._api.question().post(path, {"query": sql})
        data = mapping(reply.data, "a result")
        error, rows = data.get("error"), data.get("rows")
        if error:
            raise Refused(f"the host answered: {error if isinstance(error, str) else 'an error'}")
        if rows is None:
            # Fleet answers an offline host with neither rows nor error.
            state = optional(data, "status")
            raise Refused(
                "host is offline" if state in ("", "offline") else f"host is {state}, but sent no rows"
            )
        return listing(rows, "rows")

    def _nothing(
        self, query: Query, words: str, window: Window, subject: str, status: EvidenceStatus, reason: str
    ) -> Evidence:
        return nothing(
            source=self.name,
            kind=query.kind,
            query=words,
            window=window,
            taken_at=self._clock.now(),
            subject=subject,
            reason=reason,
            status=status,
            link=self._api.address,
            manual=self.command(query, window),
            # Why it failed is told in the words of the host.
            outsider_writable=status is EvidenceStatus.FAILED,
        )


def _without_port(host: str) -> str:
    match = _PORT.fullmatch(host.strip())
    return (match["host"] or match["v6"]) if match else host.strip()


def _words(what: str, query: TableQuery | SelectQuery) -> str:
    return redact(strip_invisible(f"{what} on {query.host}"))[:4_500]


def _record(row: Mapping[str, Any]) -> Record:
    """osquery writes every value as text; numbers become numbers."""
    return {clean(key, limit=100): _value(key, value) for key, value in row.items()}


def _value(key: str, value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = redact_field(key, strip_invisible(value if isinstance(value, str) else str(value)))
    if len(text) <= 18 and text.isascii() and text.removeprefix("-").isdigit() and str(int(text)) == text:
        return int(text)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]} …"


def _line(record: Record) -> str:
    return ", ".join(f"{key}={value}" for key, value in record.items())
