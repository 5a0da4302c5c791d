"""A Jaeger of the size of a test: services and traces of a service, with the rules and errors of
jaeger-query's HTTP API, which its user interface reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.servers.api import Api
from tests.servers.spans import Span


class Complaint(Exception):
    """What Jaeger answers with 400."""


class Jaeger(Api):
    """Holds spans; a search gives the newest traces first. ``tenant`` is needed when set."""

    def __init__(self, *, tenant: str | None = None) -> None:
        super().__init__()
        self._tenant = tenant
        self.spans: list[Span] = []
        self.follows: set[str] = set()
        """Ids of spans that follow from their parent instead of being its child."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._tenant is not None and request.headers.get("x-tenant") != self._tenant:
            return web.Response(status=401, text="unknown tenant")
        if request.path == "/api/services":
            return _answer(sorted({span.service for span in self.spans}))
        if request.path != "/api/traces":
            return web.Response(status=404, text="404 page not found\n")
        try:
            return _answer(self._search(request.query))
        except Complaint as complaint:
            return _answer(None, 400, str(complaint))

    def _search(self, query: Mapping[str, str]) -> list[Any]:
        start, end, limit = (_whole(query, name) for name in ("start", "end", "limit"))
        service = query.get("service", "")
        if not service:
            raise Complaint("parameter 'service' is required")
        traces: dict[str, list[Span]] = {}
        for span in self.spans:
            traces.setdefault(span.trace, []).append(span)
        found = [
            spans
            for spans in traces.values()
            if any(span.service == service and start <= span.start_us <= end for span in spans)
        ]
        found.sort(key=lambda spans: -max(span.start_us for span in spans))
        return [self._trace(spans) for spans in found[:limit]]

    def _trace(self, spans: list[Span]) -> dict[str, Any]:
        processes: dict[str, Any] = {}
        items = []
        for number, span in enumerate(spans, 1):
            processes[f"p{number}"] = {"serviceName": span.service, "tags": _tags(span.resource)}
            items.append(self._span(span, f"p{number}"))
        return {"traceID": spans[0].trace, "spans": items, "processes": processes, "warnings": None}

    def _span(self, span: Span, process: str) -> dict[str, Any]:
        tags: dict[str, Any] = {**span.attributes, "span.kind": span.kind}
        if span.error:
            tags |= {"error": True, "otel.status_code": "ERROR"}
        kind = "FOLLOWS_FROM" if span.id in self.follows else "CHILD_OF"
        fields = (
            [] if span.exception is None else _tags({"event": "exception", "exception.type": span.exception})
        )
        return {
            "traceID": span.trace,
            "spanID": span.id,
            "operationName": span.operation,
            "references": (
                [{"refType": kind, "traceID": span.trace, "spanID": span.parent}] if span.parent else []
            ),
            "startTime": span.start_us,
            "duration": round(span.ms * 1000),
            "tags": _tags(tags),
            "logs": [{"timestamp": span.start_us, "fields": fields}] if fields else [],
            "processID": process,
            "warnings": None,
        }


def _whole(query: Mapping[str, str], name: str) -> int:
    try:
        return int(query[name])
    except (KeyError, ValueError):
        said = f'strconv.ParseInt: parsing "{query.get(name, "")}": invalid syntax'
        raise Complaint(f"unable to parse param '{name}': {said}") from None


def _tags(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {bool: "bool", int: "int64", str: "string"}
    return [{"key": key, "type": kinds[type(value)], "value": value} for key, value in values.items()]


def _answer(data: Any, status: int = 200, error: str | None = None) -> web.Response:
    body = {
        "data": data,
        "total": len(data) if data is not None else 0,
        "limit": 0,
        "offset": 0,
        "errors": None if error is None else [{"code": status, "msg": error}],
    }
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
