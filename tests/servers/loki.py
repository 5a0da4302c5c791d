"""A Loki of the size of a test: query_range with its parameter rules, limits, order and error texts.

LogQL as far as stream selectors, line filters and label filters go. After Loki 3.x:
https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-logs-within-a-range-of-time
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.servers.api import Api

_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*')
_LINE = re.compile(r'\s*(\|=|\|~|!=|!~)\s*("(?:[^"\\]|\\.)*")')
_LABEL = re.compile(r'\s*\|\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")')
_EMPTY = (
    "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
    'For instance, app=~".*" does not meet this requirement, but app=~".+" will'
)


class Complaint(Exception):
    """What Loki answers with 400."""


@dataclass(frozen=True)
class Entry:
    at: int
    line: str
    labels: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)


class Loki(Api):
    """Holds ``entries`` by tenant. ``keeps_apart`` False is Loki before 3.0: it does not know the header."""

    def __init__(self, *, auth: bool = False, max_entries: int = 5000, keeps_apart: bool = True) -> None:
        super().__init__()
        self._auth = auth
        self._max_entries = max_entries
        self._keeps_apart = keeps_apart
        self.entries: dict[str, list[Entry]] = {}

    def push(
        self,
        at: datetime | int,
        line: str,
        *,
        tenant: str = "fake",
        metadata: Mapping[str, str] | None = None,
        **labels: str,
    ) -> None:
        """As the distributor: a level is detected, the service is named where nobody did."""
        moment = at if isinstance(at, int) else int(at.timestamp() * 1_000_000) * 1000
        own = dict(metadata or {})
        if self._keeps_apart:
            labels.setdefault("service_name", labels.get("app", "unknown_service"))
            own.setdefault("detected_level", _level(line))
        self.entries.setdefault(tenant, []).append(Entry(moment, line, labels, own))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        tenant = request.headers.get("X-Scope-OrgID", "" if self._auth else "fake")
        if not tenant:
            return web.Response(status=401, text="no org id\n")
        if request.path != "/loki/api/v1/query_range":
            return web.Response(status=404, text="404 page not found\n")
        flags = request.headers.get("X-Loki-Response-Encoding-Flags", "")
        try:
            body = self._range(request.query, tenant, self._keeps_apart and "categorize-labels" in flags)
        except Complaint as complaint:
            return web.Response(status=400, text=f"{complaint}\n")
        return web.Response(text=json.dumps(body), content_type="application/json")

    def _range(self, query: Mapping[str, str], tenant: str, apart: bool) -> dict[str, Any]:
        start, end = _time(query, "start"), _time(query, "end")
        if end <= start:
            raise Complaint("end timestamp must not be before or equal to start time")
        try:
            limit = int(query.get("limit", "100"))
        except ValueError:
            raise Complaint(f'strconv.Atoi: parsing "{query["limit"]}": invalid syntax') from None
        if limit <= 0:
            raise Complaint("limit must be a positive value")
        if limit > self._max_entries:
            raise Complaint(
                "max entries limit per query exceeded, limit > max_entries_limit_per_query "
                f"({limit} > {self._max_entries})"
            )
        direction = query.get("direction", "backward").lower()
        if direction not in ("backward", "forward"):
            raise Complaint(f"invalid direction '{direction}'")
        accepts = parse(query.get("query", ""))
        held = [e for one in tenant.split("|") for e in self.entries.get(one, [])]
        found = [e for e in held if start <= e.at < end and accepts(e)]
        found.sort(key=lambda e: e.at, reverse=direction == "backward")
        streams: dict[str, tuple[dict[str, str], list[Any]]] = {}
        for entry in found[:limit]:
            labels = dict(entry.labels) if apart else {**entry.labels, **entry.metadata}
            value: list[Any] = [str(entry.at), entry.line]
            if apart:
                value.append({"structuredMetadata": dict(entry.metadata)} if entry.metadata else {})
            streams.setdefault(json.dumps(labels, sort_keys=True), (labels, []))[1].append(value)
        data: dict[str, Any] = {
            "resultType": "streams",
            "result": [{"stream": labels, "values": values} for labels, values in streams.values()],
            "stats": {"summary": {"totalLinesProcessed": len(held)}},
        }
        if apart:
            data["encodingFlags"] = ["categorize-labels"]
        return {"status": "success", "data": data}


def parse(text: str) -> Callable[[Entry], bool]:
    """A predicate for the LogQL. Raises Complaint in Loki's words."""
    if not text.startswith("{"):
        raise Complaint(f"parse error at line 1, col 1: syntax error: unexpected {text[:10] or '$end'}")
    position = 1
    checks: list[Callable[[Entry], bool]] = []
    selective = False
    while not text.startswith("}", position):
        match = _MATCHER.match(text, position)
        if match is None:
            raise Complaint(f"parse error at line 1, col {position + 1}: syntax error: unexpected IDENTIFIER")
        name, op, value = match[1], match[2], _unquote(match[3])
        check = _comparison(op, value)
        selective = selective or (op in ("=", "=~") and not check(""))
        checks.append(lambda entry, name=name, check=check: check(entry.labels.get(name, "")))
        position = match.end()
        if text.startswith(",", position):
            position += 1
    position += 1
    if not selective:
        raise Complaint(_EMPTY)
    while position < len(text.rstrip()):
        line = _LINE.match(text, position)
        label = _LABEL.match(text, position)
        if line is not None:
            value = _unquote(line[2])
            if line[1] in ("|=", "!="):
                checks.append(lambda e, v=value, want=line[1] == "|=": (v in e.line) == want)
            else:
                pattern = _compiled(value)
                checks.append(lambda e, p=pattern, want=line[1] == "|~": bool(p.search(e.line)) == want)
            position = line.end()
        elif label is not None:
            check = _comparison(label[2], _unquote(label[3]))
            checks.append(lambda e, n=label[1], c=check: c({**e.labels, **e.metadata}.get(n, "")))
            position = label.end()
        else:
            raise Complaint(f"parse error at line 1, col {position + 1}: syntax error: unexpected IDENTIFIER")
    return lambda entry: all(check(entry) for check in checks)


def _comparison(op: str, value: str) -> Callable[[str], bool]:
    if op in ("=", "!="):
        return lambda other: (other == value) == (op == "=")
    pattern = _compiled(value)
    return lambda other: bool(pattern.fullmatch(other)) == (op == "=~")


def _compiled(value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise Complaint(f"parse error : error parsing regexp: {error}: `{value}`") from None


def _unquote(literal: str) -> str:
    """A Go string literal."""
    names = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"'}

    def meaning(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else names[match[2]]

    try:
        return re.sub(r"\\(?:x([0-9a-f]{2})|(.))", meaning, literal[1:-1])
    except KeyError:
        raise Complaint("parse error at line 1, col 1: invalid char escape") from None


def _time(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if re.fullmatch(r"-?\d+", text):
        return int(text) * (1_000_000_000 if len(text) <= 10 else 1)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e9)
    except ValueError:
        raise Complaint(f'could not parse "{name}" timestamp: "{text}"') from None


def _level(line: str) -> str:
    match = re.search(r"\b(trace|debug|info|warn|error|critical|fatal)", line.lower())
    return match[1] if match else "unknown"
