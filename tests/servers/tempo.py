"""A Tempo of the size of a test: TraceQL search by service and trace by id, with its rules and error texts.

After Tempo 2.x: https://grafana.com/docs/tempo/latest/api_docs/
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.servers.api import Api
from tests.servers.spans import Span

_CONDITION = r'resource\.service\.name = ("(?:[^"\\]|\\.)*")'
_QUERY = re.compile(rf"\{{ (?:{_CONDITION}(?: \|\| {_CONDITION})* )?\}}")
_LONGEST = 168 * 3600


class Complaint(Exception):
    """What Tempo answers with 400."""


class Tempo(Api):
    """Holds spans in the order in which they came, which is also the order of a search."""

    def __init__(self, *, multitenant: bool = False) -> None:
        super().__init__()
        self._multitenant = multitenant
        self.spans: list[Span] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._multitenant and not request.headers.get("X-Scope-OrgID"):
            return web.Response(status=401, text="no org id")
        try:
            if request.path == "/api/search":
                return _json(self._search(request.query))
            if request.path.startswith("/api/traces/"):
                return self._trace(request.path.removeprefix("/api/traces/"))
        except Complaint as complaint:
            return web.Response(status=400, text=str(complaint))
        return web.Response(status=404, text="404 page not found\n")

    def _search(self, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            start, end = int(query.get("start", "0")), int(query.get("end", "0"))
            limit = int(query.get("limit", "20"))
        except ValueError as error:
            raise Complaint(f"invalid start, end or limit: {error}") from None
        if limit <= 0:
            raise Complaint("invalid limit: must be a positive number")
        if start <= 0 or end <= 0:
            raise Complaint("please provide positive values for http parameters start and end")
        if end <= start:
            raise Complaint(f"http parameter start must be before end. received start={start} end={end}")
        if end - start > _LONGEST:
            raise Complaint(
                f"range specified by start and end exceeds 168h0m0s. received start={start} end={end}"
            )
        text = query.get("q", "{ }")
        if _QUERY.fullmatch(text) is None:
            raise Complaint(
                "invalid TraceQL query: parse error at line 1, col 3: syntax error: unexpected $end"
            )
        services = {json.loads(one) for one in re.findall(_CONDITION, text)}
        traces: dict[str, list[Span]] = {}
        for span in self.spans:
            traces.setdefault(span.trace, []).append(span)
        found = []
        for trace, spans in traces.items():
            inside = any(start <= span.start.timestamp() < end for span in spans)
            if inside and (not services or any(span.service in services for span in spans)):
                first = min(spans, key=lambda span: span.start)
                found.append(
                    {
                        "traceID": trace.lstrip("0"),
                        "rootServiceName": first.service,
                        "rootTraceName": first.operation,
                        "startTimeUnixNano": str(first.start_us * 1000),
                        "durationMs": int(max(span.ms for span in spans)),
                    }
                )
        return {"traces": found[:limit], "metrics": {"inspectedTraces": len(traces)}}

    def _trace(self, trace: str) -> web.Response:
        if re.fullmatch(r"[0-9a-fA-F]+", trace) is None:
            raise Complaint("trace IDs can only contain hex characters: invalid character at position 1")
        spans = [span for span in self.spans if span.trace == trace.lower().zfill(32)]
        if not spans:
            return web.Response(status=404, text="trace not found")
        batches = []
        for span in spans:
            resource = {"service.name": span.service, **span.resource}
            batches.append(
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeSpans": [{"scope": {"name": "test"}, "spans": [_span(span)]}],
                }
            )
        return _json({"batches": batches})


def _json(body: Any) -> web.Response:
    return web.Response(text=json.dumps(body), content_type="application/json")


def _span(span: Span) -> dict[str, Any]:
    body: dict[str, Any] = {
        "traceId": _base64(span.trace),
        "spanId": _base64(span.id),
        "name": span.operation,
        "kind": f"SPAN_KIND_{span.kind.upper()}",
        "startTimeUnixNano": str(span.start_us * 1000),
        "endTimeUnixNano": str(span.start_us * 1000 + round(span.ms * 1_000_000)),
        "attributes": _attributes(span.attributes),
        "status": {"code": "STATUS_CODE_ERROR", "message": "failed"} if span.error else {},
    }
    if span.parent is not None:
        body["parentSpanId"] = _base64(span.parent)
    if span.exception is not None:
        body["events"] = [
            {"name": "exception", "attributes": _attributes({"exception.type": span.exception})}
        ]
    return body


def _base64(value: str) -> str:
    return b64encode(bytes.fromhex(value)).decode()


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    """64-bit numbers are text in protobuf's JSON."""
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]
