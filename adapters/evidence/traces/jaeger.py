"""Jaeger: the traces of each service, in the JSON of its own user interface."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from adapters.evidence.entries import nanoseconds
from adapters.evidence.http import Http, Malformed, Refused, TooLarge, base, json_of
from adapters.evidence.traces.spans import Gathered, Spans, identifier
from bot.domain.evidence import TraceSpan, Window
from bot.domain.redaction import clean
from config.schema import TraceSource
from investigators.queries import SpanQuery

API = "the Jaeger API"
_MAX_SERVICES = 100
_FEW_TRACES = 20
"""Of each service at least, however many there are."""
_NAMED = 5


class Jaeger:
    """``text`` of a question is the list of services."""

    def __init__(self, config: TraceSource, http: Http) -> None:
        self._config = config
        self._http = http

    def text(self, query: SpanQuery) -> str:
        return urlencode([("service", one) for one in query.services]) or "every service"

    def command(self, query: SpanQuery, window: Window) -> str:
        if not query.services:
            return f"curl -s {shlex.quote(f'{self._http.address}/api/services')}"
        bounds = [*_bounds(window), ("limit", str(self._config.max_traces))]
        fields = " ".join(f"-d {key}={value}" for key, value in bounds)
        return "; ".join(
            f"curl -sG {shlex.quote(f'{self._http.address}/api/traces')} "
            f"--data-urlencode {shlex.quote(f'service={service}')} {fields}"
            for service in query.services
        )

    def link(self, query: SpanQuery, window: Window) -> str | None:
        address = f"{base(self._config.external_url or self._config.url)}/search"
        if not query.services:
            return address
        # Its search page shows one service at a time.
        fields = [("service", query.services[0]), *_bounds(window), ("limit", str(self._config.max_traces))]
        return f"{address}?{urlencode(fields)}"

    async def gather(self, query: SpanQuery, found: Gathered, spans: Spans) -> None:
        """Raises Refused or Malformed when no service could be asked; one that fails is noted."""
        until = self._http.deadline()
        services: Sequence[str] = query.services or await self._services(until)
        if len(services) > _MAX_SERVICES:
            found.notes.append(f"only {_MAX_SERVICES} of {len(services)} services were asked for")
            services = services[:_MAX_SERVICES]
        results = await asyncio.gather(
            *(self._service(one, len(services), found, spans, until) for one in services)
        )
        failed = {one: error for one, error in zip(services, results, strict=True) if error is not None}
        if failed and len(failed) == len(services):
            raise Refused(next(iter(failed.values())))
        for reason in dict.fromkeys(failed.values()):
            names = [clean(one, limit=80) for one, error in failed.items() if error == reason]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            found.notes.append(f"traces of {', '.join(names[:_NAMED])}{more} not read: {reason}")

    async def _services(self, until: float) -> list[str]:
        reply = await self._http.call("/api/services", (), until=until)
        names, _ = _data(await json_of(reply, API, _complaint))
        if not all(isinstance(name, str) for name in names):
            raise Malformed("a service that is not a name")
        return sorted(names)

    async def _service(
        self, service: str, among: int, found: Gathered, spans: Spans, until: float
    ) -> str | None:
        """Why it could not be read, if it could not."""
        limit = max(min(_FEW_TRACES, self._config.max_traces), self._config.max_traces // among)
        try:
            while True:
                try:
                    traces, errors = await self._traces(service, found.window, limit, until)
                    break
                except TooLarge:
                    if limit == 1:
                        raise
                    limit = max(1, limit // 4)
            async with found.turn:
                parsed = await asyncio.to_thread(parse_traces, traces, spans)
        except (Refused, Malformed) as error:
            return str(error)
        found.notes += [clean(error, limit=200) for error in errors]
        if len(traces) >= limit:
            found.notes.append(f"only {limit} traces of {clean(service, limit=80)}")
        for trace_id, one in sorted(parsed.items(), key=lambda item: _newest(item[1]), reverse=True):
            found.add(trace_id, one)
        return None

    async def _traces(
        self, service: str, window: Window, limit: int, until: float
    ) -> tuple[list[Any], list[str]]:
        params = [("service", service), *_bounds(window), ("limit", str(limit))]
        reply = await self._http.call("/api/traces", params, until=until)
        return _data(await json_of(reply, API, _complaint))


def _bounds(window: Window) -> list[tuple[str, str]]:
    """Start and end in microseconds."""
    return [
        ("start", str(nanoseconds(window.start) // 1000)),
        ("end", str(nanoseconds(window.end) // 1000)),
    ]


def _newest(spans: Sequence[TraceSpan]) -> float:
    return max((span.start.timestamp() for span in spans), default=0.0)


def _data(body: Any) -> tuple[list[Any], list[str]]:
    """``data`` of an answer, and what went wrong with parts of it."""
    if not isinstance(body, dict) or "data" not in body:
        raise Malformed("no data")
    errors = body.get("errors") or []
    said = [str(one.get("msg") or "error") for one in errors if isinstance(one, dict)]
    data = body["data"]
    if data is None and not said:
        return [], []
    if not isinstance(data, list):
        raise Malformed("; ".join(clean(one, limit=200) for one in said) or "data is not a list")
    return data, said


def parse_traces(traces: Sequence[Any], spans: Spans) -> dict[str, list[TraceSpan]]:
    """Spans by trace id. Raises Malformed."""
    result: dict[str, list[TraceSpan]] = {}
    try:
        for trace in traces:
            processes = {
                key: (process.get("serviceName"), _tags(process.get("tags")))
                for key, process in (trace.get("processes") or {}).items()
            }
            made = [_span(item, processes, spans) for item in trace["spans"]]
            result[identifier(trace["traceID"])] = [span for span in made if span is not None]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise Malformed("a trace that is not as Jaeger says") from None
    return result


def _span(
    item: Mapping[str, Any], processes: Mapping[str, tuple[Any, dict[str, Any]]], spans: Spans
) -> TraceSpan | None:
    service, own = processes.get(item.get("processID") or "", ("", {}))
    tags = {**own, **dict(_exceptions(item)), **_tags(item.get("tags"))}
    return spans.make(
        trace_id=item["traceID"],
        span_id=item["spanID"],
        parent_id=_parent(item),
        service=service or "",
        operation=item.get("operationName") or "",
        kind=str(tags.get("span.kind") or ""),
        start_us=float(item["startTime"]),
        duration_us=float(item["duration"]),
        error=tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR",
        attributes=tags,
    )


def _parent(item: Mapping[str, Any]) -> Any:
    """The span it is a child of; else the one it follows from."""
    within = [one for one in item.get("references") or () if one.get("traceID") == item["traceID"]]
    for kind in ("CHILD_OF", "FOLLOWS_FROM"):
        for one in within:
            if one.get("refType") == kind:
                return one["spanID"]
    return None


def _tags(items: Any) -> dict[str, Any]:
    return {str(item["key"]): item.get("value") for item in items or ()}


def _exceptions(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for log in item.get("logs") or ():
        kind = _tags(log.get("fields")).get("exception.type")
        if kind is not None:
            found["exception.type"] = kind
    return found


def _complaint(body: Any) -> str | None:
    errors = body.get("errors") if isinstance(body, dict) else None
    words = (
        errors[0].get("msg") if isinstance(errors, list) and errors and isinstance(errors[0], dict) else None
    )
    return words if isinstance(words, str) else None
