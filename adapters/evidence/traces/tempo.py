"""Tempo: a TraceQL search, then each trace found, as OTLP JSON."""

from __future__ import annotations

import asyncio
import math
import re
import shlex
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote as url_quote

import orjson

from adapters.evidence.http import Http, Malformed, Refused, base, json_of
from adapters.evidence.quoting import quote
from adapters.evidence.traces.spans import Gathered, Spans, identifier
from bot.domain.evidence import TraceSpan, Window
from config.schema import TraceSource
from investigators.queries import SpanQuery

API = "the Tempo API"
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_HEX_ID = re.compile(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{32}")


class Tempo:
    """``text`` of a question is its TraceQL."""

    def __init__(self, config: TraceSource, http: Http) -> None:
        self._config = config
        self._http = http

    def text(self, query: SpanQuery) -> str:
        one = [f"resource.service.name = {quote(service)}" for service in query.services]
        return f"{{ {' || '.join(one)} }}" if one else "{ }"

    def command(self, query: SpanQuery, window: Window) -> str:
        start, end = _seconds(window)
        return (
            f"curl -sG {shlex.quote(f'{self._http.address}/api/search')} "
            f"--data-urlencode {shlex.quote(f'q={self.text(query)}')} "
            f"-d start={start} -d end={end} -d limit={self._config.max_traces}"
        )

    def link(self, query: SpanQuery, window: Window) -> str | None:
        if self._config.external_url is None:
            return None
        source = self._config.datasource
        start, end = _seconds(window)
        pane = {
            "datasource": source,
            "queries": [
                {
                    "refId": "A",
                    "datasource": {"type": "tempo", "uid": source},
                    "queryType": "traceql",
                    "query": self.text(query),
                    "limit": self._config.max_traces,
                }
            ],
            "range": {"from": str(start * 1000), "to": str(end * 1000)},
        }
        panes = url_quote(orjson.dumps({"traces": pane}), safe="")
        return f"{base(self._config.external_url)}/explore?schemaVersion=1&panes={panes}"

    async def gather(self, query: SpanQuery, found: Gathered, spans: Spans) -> None:
        """Raises Refused or Malformed when the search fails; a trace that fails is left out and noted."""
        until = self._http.deadline()
        start, end = _seconds(found.window)
        limit = self._config.max_traces
        params = [("q", self.text(query)), ("start", str(start)), ("end", str(end)), ("limit", str(limit))]
        reply = await self._http.call("/api/search", params, until=until)
        ids = _ids(await json_of(reply, API, _complaint))
        if len(ids) >= limit:
            found.notes.append(f"the search stopped at {limit} traces")
        await asyncio.gather(*(self._trace(one, found, spans, until) for one in ids[:limit]))

    async def _trace(self, trace_id: str, found: Gathered, spans: Spans, until: float) -> None:
        if found.full:
            found.skip()
            return
        try:
            reply = await self._http.call(f"/api/traces/{trace_id}", (), until=until)
            body = await json_of(reply, API, _complaint)
            async with found.turn:
                found.add(trace_id, await asyncio.to_thread(parse_trace, body, spans))
        except (Refused, Malformed) as error:
            found.skip(str(error))


def _seconds(window: Window) -> tuple[int, int]:
    return math.floor(window.start.timestamp()), math.ceil(window.end.timestamp())


def _ids(body: Any) -> list[str]:
    """Trace ids of a search, newest first; Tempo gives them as it finds them."""
    if not isinstance(body, dict) or not ("traces" in body or "metrics" in body):
        raise Malformed("no traces")
    traces = body.get("traces") or []
    if not isinstance(traces, list):
        raise Malformed("traces is not a list")
    found: dict[str, int] = {}
    for item in traces:
        if not isinstance(item, dict):
            raise Malformed("a trace that is not an object")
        try:
            found[identifier(item.get("traceID"))] = int(item.get("startTimeUnixNano") or 0)
        except (TypeError, ValueError):
            raise Malformed("a trace without a time") from None
    return sorted(found, key=lambda one: -found[one])


def parse_trace(body: Any, spans: Spans) -> list[TraceSpan]:
    """The spans of one trace in OTLP JSON, in Tempo's ``batches`` or as OTLP calls them. Raises Malformed."""
    batches = (body.get("batches") or body.get("resourceSpans")) if isinstance(body, dict) else None
    if not isinstance(batches, list):
        raise Malformed("a trace without batches")
    result = []
    try:
        for batch in batches:
            resource = _attributes((batch.get("resource") or {}).get("attributes"))
            for scope in batch.get("scopeSpans") or ():
                for item in scope.get("spans") or ():
                    made = _span(item, resource, spans)
                    if made is not None:
                        result.append(made)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise Malformed("a span that is not as OTLP says") from None
    return result


def _span(item: Mapping[str, Any], resource: Mapping[str, Any], spans: Spans) -> TraceSpan | None:
    start, end = int(item["startTimeUnixNano"]), int(item["endTimeUnixNano"])
    attributes = {**resource, **dict(_exceptions(item)), **_attributes(item.get("attributes"))}
    return spans.make(
        trace_id=_hex(item["traceId"]),
        span_id=_hex(item["spanId"]),
        parent_id=_hex(item.get("parentSpanId") or ""),
        service=resource.get("service.name") or "",
        operation=item.get("name") or "",
        kind=_kind(item.get("kind")),
        start_us=start // 1000,
        duration_us=(end - start) / 1000,
        error=(item.get("status") or {}).get("code") in (2, "STATUS_CODE_ERROR"),
        attributes=attributes,
    )


def _kind(kind: Any) -> str:
    return (
        _KINDS.get(kind, "") if isinstance(kind, int) else str(kind or "").removeprefix("SPAN_KIND_").lower()
    )


def _hex(value: str) -> str:
    """OTLP's JSON has ids in hex; Tempo, which prints protobuf's JSON, in base64."""
    if not value or _HEX_ID.fullmatch(value):
        return value
    try:
        return b64decode(value, validate=True).hex()
    except NotBase64:
        raise Malformed("an id that is neither hexadecimal nor base64") from None


def _attributes(items: Any) -> dict[str, Any]:
    found = {}
    for item in items or ():
        value = item.get("value") or {}
        found[str(item["key"])] = next(iter(value.values()), None)
    return found


def _exceptions(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for event in item.get("events") or ():
        if event.get("name") == "exception":
            kind = _attributes(event.get("attributes")).get("exception.type")
            if kind is not None:
                yield "exception.type", kind


def _complaint(body: Any) -> str | None:
    words = (body.get("error") or body.get("message")) if isinstance(body, dict) else None
    return words if isinstance(words, str) else None
