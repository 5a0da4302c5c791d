"""Spans from a Tempo or a Jaeger: what is asked, what comes back, and every way in which they can fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from adapters.evidence.traces import Traces
from bot.domain.evidence import Evidence, EvidenceStatus, TraceSpan, Window
from config.schema import HttpAuth, TraceSource
from investigators.queries import SpanQuery
from tests.contracts.evidence_contract import check_evidence
from tests.contracts.source_contract import check_source
from tests.fakes.evidence import NOW, FixedClock
from tests.servers.api import COMMON, SLOW, Fault, dropping, saying
from tests.servers.jaeger import Jaeger
from tests.servers.spans import Span
from tests.servers.tempo import Tempo

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
CANARY = "hunter2hunter2"
both = pytest.mark.parametrize("kind", ["tempo", "jaeger"])


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def trace(number: int) -> str:
    return f"{number:032x}"


def span(number: int) -> str:
    return f"{number:016x}"


def checkout(number: int = 1, at: float = 60, **last: Any) -> list[Span]:
    """A call of web to cart, and of cart to its database."""
    base, route = number * 10, {"http.route": "/c"}
    return [
        Span(trace(number), span(base), "web", "GET /checkout", ago(at), 120.5, attributes=route),
        Span(
            trace(number), span(base + 1), "web", "POST /cart", ago(at - 0.01), 100, span(base), "client",
            attributes={"server.address": "cart"},
        ),
        Span(
            trace(number), span(base + 2), "cart", "POST /cart", ago(at - 0.02), 90, span(base + 1),
            resource={"k8s.pod.name": "cart-7", "process.command_line": f"run --token={CANARY}"},
        ),
        Span(
            **{
                "trace": trace(number), "id": span(base + 3), "service": "cart", "operation": "SELECT",
                "start": ago(at - 0.03), "ms": 80, "parent": span(base + 2), "kind": "client",
                "attributes": {"db.system": "postgresql", "db.statement": "select 1"}, **last,
            }
        ),
    ]  # fmt: skip


def server(kind: str, spans: list[Span] | None = None, **options: Any) -> Tempo | Jaeger:
    made = Tempo(**options) if kind == "tempo" else Jaeger(**options)
    made.spans = checkout() if spans is None else spans
    return made


@asynccontextmanager
async def world(api: Tempo | Jaeger, **options: Any) -> AsyncIterator[Traces]:
    kind = "tempo" if isinstance(api, Tempo) else "jaeger"
    async with api, aiohttp.ClientSession() as session:
        config = TraceSource.model_validate({"url": api.url, "kind": kind, "timeout": "30s", **options})
        yield Traces(config, session, FixedClock())


async def asked(traces: Traces, *services: str, **query: Any) -> Evidence:
    evidence = await traces.ask(SpanQuery(services=services, **query), WINDOW, "cart")
    check_evidence(evidence, kind="trace.spans", source="traces")
    return evidence


@both
async def test_it_keeps_the_contract_of_sources(kind: str) -> None:
    async with world(server(kind)) as traces:
        known, nothing = SpanQuery(services=("cart",)), SpanQuery(services=("nobody",))
        found = await check_source(traces, known, nothing, WINDOW)
    assert len(found.spans) == 4


@both
async def test_whole_traces_come_back_with_what_rules_need(kind: str) -> None:
    async with world(server(kind, checkout(error=True, exception="TimeoutError"))) as traces:
        evidence = await asked(traces, "cart")
    assert evidence.spans == (
        TraceSpan(
            trace_id=trace(1), span_id=span(10), parent_id=None, service="web", operation="GET /checkout",
            kind="server", start=ago(60), duration_ms=120.5, attributes={"http.route": "/c"},
        ),
        TraceSpan(
            trace_id=trace(1), span_id=span(11), parent_id=span(10), service="web", operation="POST /cart",
            kind="client", start=ago(59.99), duration_ms=100, peer="cart",
            attributes={"server.address": "cart"},
        ),
        TraceSpan(
            trace_id=trace(1), span_id=span(12), parent_id=span(11), service="cart", operation="POST /cart",
            kind="server", start=ago(59.98), duration_ms=90, pod="cart-7",
        ),
        TraceSpan(
            trace_id=trace(1), span_id=span(13), parent_id=span(12), service="cart", operation="SELECT",
            kind="client", start=ago(59.97), duration_ms=80, error=True, peer="postgresql",
            attributes={"db.system": "postgresql", "exception.type": "TimeoutError"},
        ),
    )  # fmt: skip
    assert evidence.reason is None
    assert evidence.summary == "4 spans of 1 traces through 2 services, 1 with errors"
    assert evidence.excerpt.startswith("cart SELECT (client): 1 spans, 1 errors, median 80 ms")
    assert CANARY not in repr(evidence)


@both
async def test_attributes_go_by_their_names_of_today_and_before(kind: str) -> None:
    attributes = {
        "http.response.status_code": 503,
        "net.peer.name": "db-1",
        "db.system.name": "mysql",
        "a": "b",
    }
    async with world(server(kind, checkout(attributes=attributes))) as traces:
        last = (await asked(traces, "cart")).spans[-1]
    assert dict(last.attributes) == {
        "http.status_code": "503",
        "server.address": "db-1",
        "db.system": "mysql",
    }
    assert last.peer == "db-1"


@both
async def test_several_services_or_every_one_can_be_asked_for(kind: str) -> None:
    spans = [*checkout(1), *checkout(2, at=50)]
    spans.append(Span(trace(3), span(30), "mail", "send", ago(40), 5, kind="consumer"))
    spans.append(Span(trace(4), span(40), "cron", "tick", ago(30), 5, kind="internal"))
    async with world(server(kind, spans)) as traces:
        assert {one.trace_id for one in (await asked(traces, "mail", "cart")).spans} == {
            trace(1),
            trace(2),
            trace(3),
        }
        evidence = await asked(traces)
    assert len(evidence.spans) == 10
    assert {one.kind for one in evidence.spans} == {"server", "client", "consumer", "internal"}


@both
async def test_a_hostile_service_name_selects_exactly_itself(kind: str) -> None:
    hostile = 'a"b\\c && true } | # +%41 ü日'
    spans = [*checkout(), Span(trace(3), span(30), hostile, "x", ago(40), 5)]
    async with world(server(kind, spans)) as traces:
        evidence = await asked(traces, hostile)
    assert [one.operation for one in evidence.spans] == ["x"]


@both
async def test_a_service_name_that_is_no_text_selects_nothing(kind: str) -> None:
    async with world(server(kind)) as traces:
        evidence = await asked(traces, "ca\ud800rt")
    assert evidence.status is EvidenceStatus.EMPTY
    assert "ca\ufffdrt" in (evidence.manual or "")


@both
async def test_traces_beyond_the_caps_are_left_out_whole_and_said_to_be(kind: str) -> None:
    spans = [one for n in range(1, 31) for one in checkout(n, at=100 - n)]
    async with world(server(kind, spans), max_traces=10) as traces:
        evidence = await asked(traces, "cart")
        assert len(evidence.spans) == 40
        assert "10 traces" in (evidence.reason or "")
        evidence = await asked(traces, "cart", limit=9)
    assert len(evidence.spans) == 8
    assert "8 traces left out beyond 9 spans" in (evidence.reason or "")


@both
async def test_spans_with_impossible_times_are_left_out_and_said_to_be(kind: str) -> None:
    async with world(server(kind, checkout(ms=-5))) as traces:
        evidence = await asked(traces, "cart")
    assert len(evidence.spans) == 3
    assert evidence.reason == "1 spans with impossible times left out"


@pytest.mark.parametrize("times", [(1e300, 5.0), (1.0, 1e300), (-5.0, 1.0), (0.0, 1.0)])
async def test_times_beyond_all_calendars_are_impossible_too(times: tuple[float, float]) -> None:
    api = server("jaeger")
    item = {"traceID": "1", "spanID": "1", "startTime": times[0], "duration": times[1]}
    api.fault = answer({"data": [{"traceID": "1", "spans": [item], "processes": {}}]})
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert evidence.reason == "1 spans with impossible times left out"


@both
async def test_a_long_span_that_began_before_the_window_belongs_to_it(kind: str) -> None:
    spans = [
        Span(trace(1), span(1), "cart", "job", ago(4000), 1_000_000),
        Span(trace(1), span(2), "cart", "step", ago(3500), 5, span(1)),
    ]
    async with world(server(kind, spans)) as traces:
        assert len((await asked(traces, "cart")).spans) == 2


@both
@pytest.mark.parametrize("name", COMMON)
async def test_each_fault_is_a_gap_with_its_reason(kind: str, name: str) -> None:
    api = server(kind)
    api.fault, reason = COMMON[name]
    async with world(api, timeout="500ms" if name in SLOW else "30s") as traces:
        evidence = await asyncio.wait_for(asked(traces, "cart", "web"), 60)
    assert evidence.status is EvidenceStatus.FAILED
    assert reason in (evidence.reason or ""), evidence.reason


@both
@pytest.mark.parametrize("name", [name for name in COMMON if name not in SLOW])
async def test_what_fails_after_the_first_call_is_noted_beside_what_was_read(kind: str, name: str) -> None:
    api = server(kind, [one for n in range(1, 4) for one in checkout(n)])
    api.fault, reason = COMMON[name]
    api.healthy_calls = 2
    async with world(api) as traces:
        evidence = await asyncio.wait_for(asked(traces, *(("cart", "web", "x"))), 60)
    assert evidence.status is EvidenceStatus.OK
    assert evidence.reason is not None
    assert "not read: " in evidence.reason
    assert reason in evidence.reason


@both
@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (400, "invalid TraceQL query: parse error at line 1", "400: invalid TraceQL query"),
        (422, "max search duration exceeded", "422: max search duration"),
        (504, "", "answered 504"),
    ],
)
async def test_the_servers_own_words_come_through(kind: str, status: int, text: str, reason: str) -> None:
    api = server(kind)
    api.fault = saying(status, text)
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert (evidence.status, reason in (evidence.reason or "")) == (EvidenceStatus.FAILED, True), (
        evidence.reason
    )


def answer(body: Any) -> Fault:
    return saying(200, json.dumps(body), "application/json")


TRACE = {"traceID": "1", "spans": [], "processes": {}}


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("tempo", {"other": 1}, "no traces"),
        ("tempo", {"traces": "none"}, "traces is not a list"),
        ("tempo", {"traces": [7]}, "a trace that is not an object"),
        ("tempo", {"traces": [{"traceID": "../../admin"}]}, "not hexadecimal"),
        ("tempo", {"traces": [{"traceID": "1", "startTimeUnixNano": "soon"}]}, "a trace without a time"),
        ("jaeger", {"other": 1}, "no data"),
        ("jaeger", {"data": {}}, "data is not a list"),
        ("jaeger", {"data": None, "errors": [{"code": 500, "msg": "no storage"}]}, "no storage"),
        ("jaeger", {"data": [7]}, "not as Jaeger says"),
        ("jaeger", {"data": [{**TRACE, "traceID": "x y"}]}, "not hexadecimal"),
        ("jaeger", {"data": [{**TRACE, "spans": [{"traceID": "1", "spanID": "1"}]}]}, "not as Jaeger says"),
    ],
)
async def test_an_answer_of_another_shape_is_a_gap(kind: str, body: Any, reason: str) -> None:
    api = server(kind)
    api.fault = answer(body)
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert (evidence.status, reason in (evidence.reason or "")) == (EvidenceStatus.FAILED, True), (
        evidence.reason
    )


@pytest.mark.parametrize(
    "span_body",
    [
        {},
        {"traceId": "!", "spanId": "AAAAAAAAAAE=", "startTimeUnixNano": "1", "endTimeUnixNano": "2"},
        {"traceId": "0" * 32, "spanId": "0" * 16, "startTimeUnixNano": "x", "endTimeUnixNano": "2"},
        {"traceId": "0" * 32, "spanId": "0" * 16, "startTimeUnixNano": "1", "endTimeUnixNano": "9" * 400},
        7,
    ],
)
async def test_a_trace_of_another_shape_is_noted_as_not_read(span_body: Any) -> None:
    api = server("tempo")
    api.fault = answer({"batches": [{"resource": {}, "scopeSpans": [{"spans": [span_body]}]}]})
    api.healthy_calls = 1
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert evidence.status is EvidenceStatus.FAILED
    assert (evidence.reason or "").startswith("1 traces not read: ")


async def test_ids_in_hex_and_kinds_as_numbers_are_understood_too() -> None:
    item = {
        "traceId": trace(1), "spanId": span(2), "parentSpanId": "", "name": "x", "kind": 3,
        "startTimeUnixNano": str(int(ago(5).timestamp()) * 10**9),
        "endTimeUnixNano": str(int(ago(4).timestamp()) * 10**9), "status": {"code": 2},
    }  # fmt: skip
    api = server("tempo")
    api.fault = answer({"resourceSpans": [{"scopeSpans": [{"spans": [item]}]}]})
    api.healthy_calls = 1
    async with world(api) as traces:
        (found,) = (await asked(traces, "cart")).spans
    assert (found.trace_id, found.span_id, found.parent_id) == (trace(1), span(2), None)
    assert (found.kind, found.error, found.duration_ms, found.service) == ("client", True, 1000, "")


@both
async def test_traces_of_another_time_are_left_out_and_said_to_be(kind: str) -> None:
    """A server that ignores the time asked for."""
    other = server(kind, checkout(at=-7200))
    later = Window(start=NOW, end=NOW + timedelta(hours=3))
    async with world(other) as traces:
        honest = await traces.ask(SpanQuery(services=("cart",)), later, "cart")
        assert len(honest.spans) == 4
    api = server(kind, checkout(at=-7200))
    original = api.handle

    async def lying(request: Any) -> Any:
        query = dict(request.query)
        if "start" in query:
            scale = 1 if kind == "tempo" else 1_000_000
            query["end"] = str(int(query["end"]) + 10_000 * scale)
            request = request.clone(rel_url=request.rel_url.with_query(query))
        return await original(request)

    api.handle = lying  # type: ignore[method-assign]
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert evidence.status is EvidenceStatus.FAILED
    assert evidence.reason == "1 traces of another time than asked for left out"


async def test_a_span_that_only_follows_another_has_it_as_its_parent() -> None:
    api = server("jaeger")
    assert isinstance(api, Jaeger)
    api.follows = {span(13)}
    async with world(api) as traces:
        assert (await asked(traces, "cart")).spans[-1].parent_id == span(12)


async def test_an_answer_of_jaeger_that_is_too_large_is_asked_for_in_a_smaller_one() -> None:
    big = {"db.statement": "x" * 60_000}
    spans = [one for n in range(1, 201) for one in checkout(n, at=300 - n, attributes=big)]
    api = server("jaeger", spans)
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert [query["limit"] for _, query in api.asked] == ["200", "50"]
    assert len(evidence.spans) == 200
    assert max(one.start for one in evidence.spans) > ago(101)
    assert evidence.reason == "only 50 traces of cart"


async def test_a_part_that_jaeger_could_not_read_makes_the_answer_incomplete() -> None:
    api = server("jaeger")
    good = json.loads(json.dumps([api._trace(api.spans)]))  # type: ignore[union-attr]
    api.fault = answer({"data": good, "errors": [{"code": 404, "msg": f"trace not found, token={CANARY}"}]})
    async with world(api) as traces:
        evidence = await asked(traces, "cart")
    assert len(evidence.spans) == 4
    assert "trace not found" in (evidence.reason or "")
    assert CANARY not in repr(evidence)


async def test_one_service_that_fails_leaves_the_others() -> None:
    api = server("jaeger")
    original = api.handle

    async def one_fails(request: Any) -> Any:
        if request.query.get("service") == "mail":
            return await dropping(request)
        return await original(request)

    api.handle = one_fails  # type: ignore[method-assign]
    async with world(api) as traces:
        evidence = await asked(traces, "cart", "mail")
    assert len(evidence.spans) == 4
    assert (evidence.reason or "").startswith("traces of mail not read: cannot reach")


@both
async def test_no_more_than_eight_calls_run_at_once(kind: str) -> None:
    count = 30
    spans = [one for n in range(1, count + 1) for one in checkout(n, at=100 - n, service=f"s{n}")]
    api = server(kind, spans)
    original = api.handle
    running = most = 0

    async def counted(request: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return await original(request)

    api.handle = counted  # type: ignore[method-assign]
    async with world(api) as traces:
        assert (await asked(traces)).spans
    assert 1 < most <= 8


@both
async def test_the_tenant_and_the_credential_are_sent_and_the_credential_is_never_shown(kind: str) -> None:
    api = server(kind, multitenant=True) if kind == "tempo" else server(kind, tenant="shop")
    async with world(api, tenant="shop", auth=HttpAuth(bearer=SecretStr(CANARY))) as traces:
        evidence = await asked(traces, "cart")
    assert len(evidence.spans) == 4
    assert {one["Authorization"] for one in api.headers} == {f"Bearer {CANARY}"}
    assert CANARY not in repr(evidence)
    api = server(kind, multitenant=True) if kind == "tempo" else server(kind, tenant="shop")
    async with world(api) as traces:
        assert "answered 401: " in ((await asked(traces, "cart")).reason or "")


@both
async def test_a_secret_never_comes_through_wherever_it_stands(kind: str) -> None:
    spans = checkout(
        operation=f"GET /x?token={CANARY}",
        attributes={
            "peer.service": f"password={CANARY}",
            "http.route": f"/r?api_key={CANARY}",
            "db.system": f"postgres://u:{CANARY}@db/x",
            "http.url": f"https://x/?sig={CANARY}",
        },
        exception=f"secret={CANARY}",
        resource={"k8s.pod.name": f"token={CANARY}"},
    )
    spans.append(Span(trace(1), span(99), f"pwd={CANARY}", "x", ago(50), 1))
    api = server(kind, spans)
    async with world(api) as traces:
        evidence = await asked(traces)
        assert len(evidence.spans) == 5
        assert CANARY not in repr(evidence)
        api.fault = saying(400, f"bad token={CANARY}")
        assert CANARY not in repr(await asked(traces, "cart"))


async def test_tempos_link_and_command_ask_the_same() -> None:
    async with world(server("tempo"), external_url="https://g.example.org", datasource="T1") as traces:
        evidence = await asked(traces, "cart", "web")
    text = '{ resource.service.name = "cart" || resource.service.name = "web" }'
    assert evidence.query == text
    assert f"'q={text}'" in (evidence.manual or "")
    pane = json.loads(parse_qs(urlsplit(evidence.link or "").query)["panes"][0])["traces"]
    assert (pane["datasource"], pane["queries"][0]["query"]) == ("T1", text)
    async with world(server("tempo")) as traces:
        assert (await asked(traces, "cart")).link is None


async def test_jaegers_link_and_command_ask_the_same() -> None:
    async with world(server("jaeger"), external_url="https://j.example.org/ui") as traces:
        evidence = await asked(traces, "cart", "web")
        every = await asked(traces)
    assert evidence.query == "service=cart&service=web"
    assert (evidence.manual or "").count("curl -sG ") == 2
    assert (evidence.link or "").startswith("https://j.example.org/ui/search?service=cart&start=")
    assert (every.query, every.link) == ("every service", "https://j.example.org/ui/search")
