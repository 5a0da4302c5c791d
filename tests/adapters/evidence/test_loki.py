"""Log lines from a Loki: what is asked, what comes back, and every way in which it can fail."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from adapters.evidence.loki import LokiLogs
from adapters.evidence.loki.logql import render
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import HttpAuth, LokiLabels, LokiSource
from investigators.ports import Matcher, MatchOp
from investigators.queries import LogExpressionQuery, LogQuery
from tests.contracts.evidence_contract import check_evidence
from tests.contracts.source_contract import check_source
from tests.fakes.evidence import NOW, FixedClock
from tests.servers.api import COMMON, SLOW, Fault, saying
from tests.servers.loki import Loki
from tests.servers.ports import free_port

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
CANARY = "hunter2hunter2"
CART = Matcher(label="service", op=MatchOp.EQUAL, value="cart")


def source(url: str, session: aiohttp.ClientSession, **options: Any) -> LokiLogs:
    config = LokiSource.model_validate({"url": url, "timeout": "30s", **options})
    return LokiLogs(config, session, FixedClock())


@asynccontextmanager
async def world(loki: Loki, **options: Any) -> AsyncIterator[LokiLogs]:
    async with loki, aiohttp.ClientSession() as session:
        yield source(loki.url, session, **options)


async def asked(logs: LokiLogs, *matchers: Matcher, **query: Any) -> Evidence:
    evidence = await logs.ask(LogQuery(matchers=matchers or (CART,), **query), WINDOW, "cart")
    check_evidence(evidence, kind="log.lines", source="loki")
    return evidence


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def stocked(count: int = 10, **loki: Any) -> Loki:
    server = Loki(**loki)
    for n in range(count):
        labels = {"service_name": "cart", "pod": f"cart-{n % 2}", "namespace": "shop", "container": "main"}
        server.push(ago(count - n), f"line {n}", **labels)
    return server


def match(label: str, value: str, op: MatchOp = MatchOp.EQUAL) -> Matcher:
    return Matcher(label=label, op=op, value=value)


async def test_it_keeps_the_contract_of_sources() -> None:
    async with world(stocked()) as logs:
        nothing = LogQuery(matchers=(match("service", "nobody"),))
        found = await check_source(logs, LogQuery(matchers=(CART,)), nothing, WINDOW)
    assert [line.text for line in found.lines] == [f"line {n}" for n in range(10)]


async def test_lines_carry_the_labels_we_know_under_our_names() -> None:
    loki = Loki()
    loki.push(ago(5), "ERROR no stock", app="cart", pod_name="cart-1", ns="shop", host="n1", zone="b")
    labels = {"service": "app", "pod": "pod_name", "namespace": "ns", "node": "host"}
    async with world(loki, labels=labels) as logs:
        evidence = await asked(logs)
    assert [dict(line.labels) for line in evidence.lines] == [
        {"service": "cart", "pod": "cart-1", "namespace": "shop", "node": "n1", "level": "error"}
    ]
    assert evidence.lines[0].at == ago(5)
    assert evidence.summary == "1 lines: 1 error"
    assert evidence.query == '{app="cart"}'


@pytest.mark.parametrize("keeps_apart", [True, False])
async def test_a_level_is_found_in_structured_metadata_or_in_a_label(keeps_apart: bool) -> None:
    loki = Loki(keeps_apart=keeps_apart)
    if keeps_apart:
        loki.push(ago(5), "no stock", service_name="cart", metadata={"detected_level": "warn"})
    else:
        loki.push(ago(5), "no stock", service_name="cart", level="warn")
    async with world(loki) as logs:
        evidence = await asked(logs)
    assert [line.labels["level"] for line in evidence.lines] == ["warn"]


async def test_every_kind_of_matcher_and_text_selects_what_it_says() -> None:
    loki = Loki()
    for n, (pod, line) in enumerate(
        [("a", "ERROR Connection refused (1.2.3.4)"), ("b", "info all well"), ("a", "error: timeout")]
    ):
        loki.push(ago(10 - n), line, service_name="cart", pod=pod)
    async with world(loki) as logs:

        async def texts(*matchers: Matcher, **query: Any) -> list[str]:
            return [line.text for line in (await asked(logs, CART, *matchers, **query)).lines]

        assert len(await texts(match("pod", "a"))) == 2
        assert await texts(match("pod", "a", MatchOp.NOT_EQUAL)) == ["info all well"]
        assert len(await texts(match("pod", "a|b", MatchOp.REGEX))) == 3
        assert await texts(match("pod", "a", MatchOp.NOT_REGEX)) == ["info all well"]
        assert len(await texts(match("level", "ERROR"))) == 2
        assert await texts(match("level", "Error", MatchOp.NOT_EQUAL)) == ["info all well"]
        assert len(await texts(match("level", "error|info", MatchOp.REGEX))) == 3
        assert await texts(contains=("refused (1.2", "TIMEOUT")) == [
            "ERROR Connection refused (1.2.3.4)",
            "error: timeout",
        ]
        assert await texts(match("level", "info"), contains=("WELL",)) == ["info all well"]
        assert await texts(contains=('"} |= "x',)) == []


async def test_a_hostile_value_selects_exactly_itself() -> None:
    hostile = 'a"b\\c\n} |= "" # ü日\t\x01'
    loki = stocked()
    loki.push(ago(1), "mine", service_name="cart", pod=hostile)
    async with world(loki) as logs:
        evidence = await asked(logs, match("pod", hostile))
    assert [line.text for line in evidence.lines] == ["mine"]


async def test_a_question_without_a_stream_label_gets_one_and_says_what_it_misses() -> None:
    async with world(stocked()) as logs:
        evidence = await asked(logs, match("level", "unknown"))
    assert evidence.query == '{service_name=~".+"} | detected_level=~"(?i)unknown"'
    assert len(evidence.lines) == 10
    assert evidence.reason == "streams without the label service_name were not looked at"


def test_labels_can_be_structured_metadata_instead() -> None:
    labels = LokiLabels(pod="k8s_pod_name", metadata=("pod", "node"))
    query = LogQuery(matchers=(CART, match("pod", "cart-1"), match("level", "error"), match("zone", "b")))
    assert render(query, labels)[0] == (
        '{service_name="cart", detected_level=~"(?i)error", zone="b"} | k8s_pod_name="cart-1"'
    )


async def test_a_value_that_is_no_text_selects_nothing() -> None:
    async with world(stocked()) as logs:
        evidence = await asked(logs, CART, match("pod", "c\ud800"), match("pod", "c\ud800|x", MatchOp.REGEX))
    assert evidence.status is EvidenceStatus.EMPTY


async def test_a_label_that_cannot_be_written_is_a_reason_and_nothing_is_asked() -> None:
    loki = stocked()
    async with world(loki) as logs:
        evidence = await asked(logs, match('a"}', "x"))
    assert evidence.status is EvidenceStatus.FAILED
    assert loki.asked == []


async def test_pages_are_read_backwards_without_losing_or_repeating_a_line() -> None:
    loki = Loki()
    for n in range(100):
        loki.push(ago(100 - n // 3), f"line {n}", service_name="cart", pod=f"p{n % 3}")
    async with world(loki, page_lines=7) as logs:
        evidence = await asked(logs)
    assert sorted(line.text for line in evidence.lines) == sorted(f"line {n}" for n in range(100))
    assert evidence.reason is None
    assert all(query["direction"] == "backward" for _, query in loki.asked)
    assert max(int(query["limit"]) for _, query in loki.asked) == 7


async def test_the_last_lines_are_kept_and_the_cut_is_said() -> None:
    async with world(stocked(50), page_lines=8) as logs:
        evidence = await asked(logs, limit=20)
    assert [line.text for line in evidence.lines] == [f"line {n}" for n in range(30, 50)]
    assert evidence.reason == "only the last 20 lines"
    async with world(stocked(50), max_lines=10) as logs:
        assert len((await asked(logs)).lines) == 10


async def test_more_lines_at_one_moment_than_a_page_holds_are_said_to_be_cut() -> None:
    loki = Loki()
    for n in range(30):
        loki.push(ago(10), f"same {n}", service_name="cart")
    loki.push(ago(20), "older", service_name="cart")
    async with world(loki, page_lines=10) as logs:
        evidence = await asked(logs)
    assert len(evidence.lines) == 11
    assert "more than 10 lines at one moment" in (evidence.reason or "")


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    loki = Loki()
    for n in range(200):
        loki.push(ago(200 - n), f"{n} " + "x" * 60_000, service_name="cart")
    async with world(loki, page_lines=200) as logs:
        evidence = await asked(logs)
    assert (len(evidence.lines), evidence.reason) == (200, None)
    assert max(len(line.text) for line in evidence.lines) <= 2000


async def test_lines_of_another_time_are_left_out_and_said_to_be() -> None:
    at = int(NOW.timestamp()) * 10**9
    values = [[str(at - 10**9), "in"], [str(at + 10**9), "after"], ["0", "before"]]
    body = {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {"service_name": "cart"}, "values": values}]},
    }
    loki = Loki()
    loki.fault = saying(200, json.dumps(body), "application/json")
    async with world(loki) as logs:
        evidence = await asked(logs)
    assert [line.text for line in evidence.lines] == ["in"]
    assert evidence.reason == "2 lines of another time than asked for left out"


async def test_a_server_that_repeats_itself_forever_is_asked_a_few_times_only() -> None:
    at = int(NOW.timestamp()) * 10**9 - 10**9
    values = [[str(at), f"line {n}"] for n in range(5)]
    body = {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {"service_name": "cart"}, "values": values}]},
    }
    loki = Loki()
    loki.fault = saying(200, json.dumps(body), "application/json")
    async with world(loki, page_lines=5) as logs:
        evidence = await asked(logs)
    assert len(evidence.lines) == 5
    assert evidence.reason is not None
    assert len(loki.asked) < 5


async def test_the_order_of_the_answer_does_not_matter() -> None:
    at = int(NOW.timestamp()) * 10**9
    values = [[str(at - n * 10**9), f"{n} ago"] for n in (3, 1, 2)]
    body = {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {"service_name": "cart"}, "values": values}]},
    }
    loki = Loki()
    loki.fault = saying(200, json.dumps(body), "application/json")
    async with world(loki) as logs:
        evidence = await asked(logs)
    assert [line.text for line in evidence.lines] == ["3 ago", "2 ago", "1 ago"]


@pytest.mark.parametrize("name", COMMON)
async def test_each_fault_is_a_gap_with_its_reason(name: str) -> None:
    loki = stocked()
    loki.fault, reason = COMMON[name]
    async with world(loki, timeout="500ms" if name in SLOW else "30s") as logs:
        evidence = await asyncio.wait_for(asked(logs), 60)
    assert evidence.status is EvidenceStatus.FAILED
    assert reason in (evidence.reason or ""), evidence.reason
    assert evidence.manual


@pytest.mark.parametrize("name", [name for name in COMMON if name not in SLOW])
async def test_a_fault_on_a_later_page_keeps_the_lines_before_it(name: str) -> None:
    loki = stocked(30)
    loki.fault, reason = COMMON[name]
    loki.healthy_calls = 2
    async with world(loki, page_lines=10) as logs:
        evidence = await asyncio.wait_for(asked(logs), 60)
    assert evidence.status is EvidenceStatus.OK
    assert 19 <= len(evidence.lines) < 30
    assert (evidence.reason or "").startswith(f"only the last {len(evidence.lines)} lines: ")
    assert reason in (evidence.reason or "")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            saying(400, "parse error at line 1, col 5: syntax error: unexpected }"),
            "400: parse error at line 1",
        ),
        (saying(400, "the query would read too many bytes (query: 1.1GiB, limit: 1GiB)"), "too many bytes"),
        (saying(400, "maximum of series (500) reached for a single query"), "maximum of series (500)"),
        (saying(504, "context deadline exceeded"), "504: context deadline exceeded"),
        (saying(403, '{"message": "denied"}', "application/json"), "answered 403: denied"),
        (saying(500, "{}", "application/json"), "answered 500"),
        (saying(200, '{"status": "error"}', "application/json"), "no status success"),
        (
            saying(
                200, '{"status":"success","data":{"resultType":"matrix","result":[]}}', "application/json"
            ),
            "not a list of streams",
        ),
        (
            saying(
                200,
                '{"status":"success","data":{"resultType":"streams","result":[{"stream":{}}]}}',
                "application/json",
            ),
            "stream 1 has no labels or no values",
        ),
        (
            saying(
                200,
                '{"status":"success","data":{"resultType":"streams","result":'
                '[{"stream":{},"values":[["soon","x"]]}]}}',
                "application/json",
            ),
            "not a [time, text] pair",
        ),
        (
            saying(
                200,
                '{"status":"success","data":{"resultType":"streams","result":'
                '[{"stream":{},"values":[["1", 7]]}]}}',
                "application/json",
            ),
            "an entry is not text",
        ),
    ],
)
async def test_lokis_own_failures_are_told_in_its_words(fault: Fault, reason: str) -> None:
    loki = stocked()
    loki.fault = fault
    async with world(loki) as logs:
        evidence = await asked(logs)
    assert (evidence.status, reason in (evidence.reason or "")) == (EvidenceStatus.FAILED, True), (
        evidence.reason
    )


async def test_a_page_beyond_the_servers_limit_is_a_reason_that_names_the_limit() -> None:
    async with world(stocked(max_entries=500), page_lines=1000) as logs:
        evidence = await asked(logs)
    assert "max_entries_limit_per_query (1000 > 500)" in (evidence.reason or "")


async def test_nothing_found_beside_a_warning_is_a_gap() -> None:
    body = {
        "status": "success",
        "warnings": ["a querier was not reached"],
        "data": {"resultType": "streams", "result": []},
    }
    loki = Loki()
    loki.fault = saying(200, json.dumps(body), "application/json")
    async with world(loki) as logs:
        evidence = await asked(logs)
    assert (evidence.status, evidence.reason) == (
        EvidenceStatus.FAILED,
        "no such lines; a querier was not reached",
    )


async def test_a_server_that_is_not_there_is_a_reason() -> None:
    async with aiohttp.ClientSession() as session:
        evidence = await asked(source(f"http://127.0.0.1:{free_port()}", session))
    assert evidence.status is EvidenceStatus.FAILED
    assert "cannot reach http://127.0.0.1" in (evidence.reason or "")


async def test_the_tenant_and_the_credential_are_sent_and_the_credential_is_never_shown() -> None:
    loki = Loki(auth=True)
    loki.push(ago(1), "mine", tenant="shop", service_name="cart")
    loki.push(ago(1), "theirs", tenant="other", service_name="cart")
    async with world(loki, tenant="shop", auth=HttpAuth(bearer=SecretStr(CANARY))) as logs:
        evidence = await asked(logs)
    assert [line.text for line in evidence.lines] == ["mine"]
    assert loki.headers[0]["Authorization"] == f"Bearer {CANARY}"
    assert CANARY not in repr(evidence)
    async with world(Loki(auth=True)) as logs:
        assert "answered 401: no org id" in ((await asked(logs)).reason or "")


async def test_a_secret_never_comes_through_wherever_it_stands() -> None:
    loki = Loki()
    loki.push(ago(9), f"login with password={CANARY} failed", service_name="cart")
    loki.push(ago(8), f'{{"msg": "x", "api_key": "{CANARY}"}}', service_name="cart")
    loki.push(ago(7), f"pass\u200bword={CANARY}", service_name="cart")
    loki.push(ago(6), f"dsn postgres://u:{CANARY}@db/x", service_name="cart", node_name=f"token={CANARY}")
    loki.push(ago(5), "x", service_name="cart", metadata={"detected_level": f"secret={CANARY}"})
    loki.push(ago(4), "-----BEGIN RSA PRIVATE KEY-----", service_name="cart", pod="a")
    loki.push(ago(3.5), "from another pod", service_name="cart", pod="b")
    loki.push(ago(3), CANARY, service_name="cart", pod="a")
    loki.push(ago(2), "-----END RSA PRIVATE KEY-----", service_name="cart", pod="a")
    loki.push(ago(1), "still here", service_name="cart", pod="a")
    async with world(loki, page_lines=4) as logs:
        evidence = await asked(logs)
        assert CANARY not in repr(evidence)
        assert [line.text for line in evidence.lines[-3:]] == [
            "[redacted:private-key]",
            "from another pod",
            "still here",
        ]
        loki.fault = saying(400, f"parse error near password={CANARY}")
        assert CANARY not in repr(await asked(logs))


async def test_control_characters_of_a_line_are_gone() -> None:
    loki = Loki()
    loki.push(ago(1), "\x1b[31mred\x1b[0m\u202etxt\rover", service_name="cart")
    async with world(loki) as logs:
        evidence = await asked(logs)
    assert [line.text for line in evidence.lines] == ["redtxt\nover"]
    assert evidence.outsider_writable


async def test_the_command_asks_the_same_and_the_link_opens_it() -> None:
    async with world(
        stocked(), tenant="a|b", external_url="https://g.example.org/x/", datasource="P1"
    ) as logs:
        evidence = await asked(logs, contains=("it's",))
    words = shlex.split(evidence.manual or "")
    assert words[0] == "logcli"
    assert words[-1] == evidence.query == '{service_name="cart"} |~ "(?i)(?:it\'s)"'
    assert "--org-id=a|b" in words
    assert {"--from=2026-03-01T11:00:00.000000Z", "--to=2026-03-01T12:00:00.000000Z"} <= set(words)
    link = urlsplit(evidence.link or "")
    assert (link.netloc, link.path) == ("g.example.org", "/x/explore")
    pane = json.loads(parse_qs(link.query)["panes"][0])["logs"]
    assert pane["datasource"] == "P1"
    assert pane["queries"][0]["expr"] == evidence.query
    assert pane["range"]["to"] == str(int(NOW.timestamp() * 1000))


async def test_without_a_grafana_there_is_no_link() -> None:
    async with world(stocked()) as logs:
        assert (await asked(logs)).link is None


async def test_an_expression_of_lines_is_asked_as_it_was_written() -> None:
    server = stocked()
    async with world(server) as logs:
        query = LogExpressionQuery(expression=' {service_name="cart"} |~ "line" ', limit=3)
        assert logs.covers(query)
        evidence = await logs.ask(query, WINDOW, "cart")
        assert '{service_name="cart"} |~ "line"' in (logs.command(query, WINDOW) or "")
    check_evidence(evidence, kind="log.expression", source="loki")
    assert evidence.status is EvidenceStatus.OK
    assert len(evidence.lines) == 3
    assert evidence.outsider_writable


@pytest.mark.parametrize(
    "expression", ["sum(rate({app='cart'}[5m]))", "", "vector(1)", '{app="' + "x" * 2_000 + '"}']
)
async def test_an_expression_that_is_no_question_for_lines_is_not_asked(expression: str) -> None:
    server = stocked()
    async with world(server) as logs:
        evidence = await logs.ask(LogExpressionQuery(expression=expression), WINDOW, "cart")
    assert evidence.status is EvidenceStatus.FAILED
    assert "expression" in (evidence.reason or "")
    assert server.asked == []
