"""A Seq of the size of a test: event search with its order, paging, partial answers and error texts.

The filter language as far as comparisons, ``Coalesce``, ``Contains``, ``and``, ``or`` and parentheses go, by
the rules of https://docs.datalust.co/docs/the-seq-query-language: a property that is not there makes a
comparison undefined, which selects nothing; comparisons mind the case unless ``ci`` follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.servers.api import Api

_TOKEN = re.compile(
    r"\s*(?:('(?:[^']|'')*')|(/(?:[^/\\]|\\.)*/)|(<>|=|[(),])|(@?[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_]\w*)*))",
    re.DOTALL,
)
Event = dict[str, Any]
Value = Callable[[Event], object]


class Complaint(Exception):
    """What Seq answers with 400."""


class Seq(Api):
    """Holds events. ``api_key`` is needed when set; ``scans`` is how many events one call looks at."""

    def __init__(self, *, api_key: str | None = None, scans: int = 100_000) -> None:
        super().__init__()
        self._api_key = api_key
        self._scans = scans
        self.events: list[Event] = []

    def add(
        self,
        at: datetime,
        message: str,
        *,
        level: str | None = None,
        exception: str | None = None,
        resource: Mapping[str, Any] | None = None,
        **properties: Any,
    ) -> None:
        event: Event = {
            "Id": f"event-{len(self.events):08x}",
            "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
            "MessageTemplateTokens": [{"Text": message}],
            "Properties": [{"Name": name, "Value": value} for name, value in properties.items()],
            "EventType": "$0",
            "Links": {},
        }
        if level is not None:
            event["Level"] = level
        if exception is not None:
            event["Exception"] = exception
        if resource is not None:
            event["Resource"] = [{"Name": name, "Value": value} for name, value in resource.items()]
        self.events.append(event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._api_key is not None and request.headers.get("X-Seq-ApiKey") != self._api_key:
            return _json({"Error": "This action requires authentication."}, 401)
        if request.path != "/api/events/signal":
            return _json({"Error": "The requested link does not exist."}, 404)
        try:
            return _json(self._search(request.query))
        except Complaint as complaint:
            return _json({"Error": str(complaint)}, 400)

    def _search(self, query: Mapping[str, str]) -> dict[str, Any]:
        count = int(query.get("count", "30"))
        if count <= 0:
            raise Complaint("The count must be greater than zero.")
        accepts = parse(query["filter"]) if query.get("filter") else (lambda event: True)
        start = datetime.fromisoformat(query["fromDateUtc"])
        end = datetime.fromisoformat(query["toDateUtc"])
        newest_first = sorted(self.events, key=lambda e: (e["Timestamp"], e["Id"]), reverse=True)
        if query.get("afterId"):
            place = [event["Id"] for event in newest_first].index(query["afterId"])
            newest_first = newest_first[place + 1 :]
        found: list[Event] = []
        status, last = "Complete", None
        for scanned, event in enumerate(newest_first):
            if scanned == self._scans:
                status = "Partial"
                break
            last = event["Id"]
            at = datetime.fromisoformat(event["Timestamp"]).astimezone(UTC)
            if start <= at < end and accepts(event):
                shown = dict(event)
                if query.get("render") == "true":
                    shown["RenderedMessage"] = event["MessageTemplateTokens"][0]["Text"]
                found.append(shown)
                if len(found) == count:
                    break
        return {"Events": found, "Statistics": {"Status": status, "LastReadEventId": last}}


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")


def parse(text: str) -> Callable[[Event], bool]:
    """A predicate for a filter. Raises Complaint in Seq's words."""
    parser = _Parser(text)
    value = parser.either()
    parser.end()
    return lambda event: value(event) is True


@dataclass
class _Parser:
    text: str
    at: int = 0
    tokens: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        while self.text[self.at :].strip():
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                raise Complaint(f"Syntax error (line 1, column {self.at + 1}): unexpected character.")
            self.tokens.append((self.at, match[0].strip()))
            self.at = match.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            where = self.tokens[self.at][0] + 1 if token else len(self.text) + 1
            raise Complaint(f"Syntax error (line 1, column {where}): unexpected `{token or 'end of input'}`.")
        self.at += 1
        return token

    def end(self) -> None:
        if self.peek():
            self.take("")

    def either(self) -> Value:
        parts = [self.both()]
        while self.peek() == "or":
            self.take()
            parts.append(self.both())
        return lambda event: any(part(event) is True for part in parts)

    def both(self) -> Value:
        parts = [self.comparison()]
        while self.peek() == "and":
            self.take()
            parts.append(self.comparison())
        return lambda event: all(part(event) is True for part in parts)

    def comparison(self) -> Value:
        if self.peek() == "(":
            self.take()
            inner = self.either()
            self.take(")")
            return inner
        left = self.operand()
        if self.peek() not in ("=", "<>"):
            self.caseless()
            return left
        op = self.take()
        if self.peek().startswith("/"):
            literal = self.take()[1:-1].replace("\\/", "/")
            pattern = re.compile(literal, re.IGNORECASE if self.caseless() else 0)
            return lambda e: None if left(e) is None else bool(pattern.search(str(left(e)))) == (op == "=")
        right = self.operand()
        fold = str.lower if self.caseless() else str

        def compare(event: Event) -> object:
            one, other = left(event), right(event)
            if one is None or other is None:
                return None
            return (fold(str(one)) == fold(str(other))) == (op == "=")

        return compare

    def caseless(self) -> bool:
        if self.peek() != "ci":
            return False
        self.take()
        return True

    def operand(self) -> Value:
        token = self.take()
        if token.startswith("'"):
            text = token[1:-1].replace("''", "'")
            return lambda event: text
        if self.peek() != "(":
            return lambda event: _property(event, token)
        self.take()
        first = self.operand()
        self.take(",")
        second = self.operand()
        self.take(")")
        if token == "Coalesce":
            return lambda event: second(event) if first(event) is None else first(event)
        if token == "Contains":
            fold = str.lower if self.peek() == "ci" else str
            return lambda e: None if first(e) is None else fold(str(second(e))) in fold(str(first(e)))
        raise Complaint(f"The function `{token}` does not exist.")


def _property(event: Event, path: str) -> object:
    if path == "@Message":
        return event["MessageTemplateTokens"][0]["Text"]
    if path in ("@Level", "@Exception"):
        return event.get(path[1:])
    named = "Resource" if path.startswith("@Resource.") else "Properties"
    value: Any = {part["Name"]: part["Value"] for part in event.get(named, [])}
    for name in path.removeprefix("@Resource.").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
