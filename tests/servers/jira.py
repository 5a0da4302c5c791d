"""The part of Jira Cloud's REST API that is read: the enhanced search, its paging and error bodies.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.servers.trouble import Trouble

EMAIL, TOKEN = "bot@example.org", "ATATT3xFfGF0standin0standin"
_CLAUSE = re.compile(
    r"""(?:project\ in\ \((?P<projects>(?:"[A-Z]+"(?:,\ )?)+)\)
    |(?P<field>text|labels)\ (?P<op>~|=)\ "(?P<value>(?:[^"\\]|\\.)*)"
    |updated\ >=\ -(?P<days>\d+)d)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    key: str
    summary: str
    updated: datetime
    status: str = "Open"
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Jira:
    """``page``: how many tickets it gives at once, whatever was asked for."""

    tickets: list[Ticket] = field(default_factory=list)
    trouble: Trouble = field(default_factory=Trouble)
    page: int = 100
    searched: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.trouble.middleware])
        app.router.add_post("/rest/api/3/search/jql", self._search)
        return app

    async def _search(self, request: web.Request) -> web.Response:
        login = base64.b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {login}":
            return web.Response(status=401, text="Client must be authenticated to access this resource.")
        body = await request.json()
        assert request.content_type == "application/json"
        if not set(body) <= {"jql", "maxResults", "fields", "nextPageToken"}:
            return _error("Invalid request payload. Refer to the REST API documentation and try again.")
        self.searched.append(body["jql"])
        try:
            found = list(self._matching(body["jql"]))
        except ValueError as error:
            return _error(str(error))
        start = int(body.get("nextPageToken", "0"))
        size = min(self.page, body["maxResults"])
        answer: dict[str, Any] = {
            "issues": [_issue(one) for one in found[start : start + size]],
            "isLast": start + size >= len(found),
        }
        if not answer["isLast"]:
            answer["nextPageToken"] = str(start + size)
        return web.json_response(answer)

    def _matching(self, jql: str) -> Iterator[Ticket]:
        """The tickets that the clauses select. A value that ends its quotes early is a syntax error."""
        query, _, order = jql.rpartition(" ORDER BY ")
        if order != "updated DESC":
            raise ValueError("Error in the JQL Query: no order is given.")
        tests, place = [], 0
        while place < len(query):
            match = _CLAUSE.match(query, place)
            if match is None:
                raise ValueError(f"Error in the JQL Query: The character at {place} is not expected.")
            tests.append(match)
            place = match.end()
            if place < len(query):
                if not query.startswith(" AND ", place):
                    raise ValueError(f"Error in the JQL Query: Expecting 'AND' at {place}.")
                place += len(" AND ")
        for one in sorted(self.tickets, key=lambda one: one.updated, reverse=True):
            if all(_accepts(test, one) for test in tests):
                yield one


def _accepts(clause: re.Match[str], one: Ticket) -> bool:
    if clause["projects"]:
        return one.key.partition("-")[0] in re.findall(r"[A-Z]+", clause["projects"])
    if clause["days"]:
        return True
    value = re.sub(r"\\(.)", r"\1", clause["value"])
    if clause["field"] == "labels":
        return value in one.labels
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        raise ValueError("Error in the JQL Query: the text is no phrase.")
    return re.sub(r"\\(.)", r"\1", value[1:-1]).lower() in one.summary.lower()


def _issue(one: Ticket) -> dict[str, Any]:
    at = one.updated.strftime("%Y-%m-%dT%H:%M:%S.000%z")
    fields = {"summary": one.summary, "status": {"name": one.status}, "created": at, "updated": at}
    return {"id": one.key.partition("-")[2], "key": one.key, "self": "https://…", "fields": fields}


def _error(message: str) -> web.Response:
    return web.json_response({"errorMessages": [message], "errors": {}}, status=400)
