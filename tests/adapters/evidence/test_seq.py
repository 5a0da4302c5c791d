"""Events from a Seq: what is asked, what comes back, and every way in which it can fail."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest

from adapters.evidence.seq import SeqLogs
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import SeqSource
from investigators.ports import Matcher, MatchOp
from investigators.queries import LogQuery
from tests.contracts.evidence_contract import check_evidence
from tests.contracts.source_contract import check_source
from tests.fakes.evidence import NOW, FixedClock
from tests.servers.api import COMMON, SLOW, Fault, saying
from tests.servers.seq import Seq

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
CANARY = "hunter2hunter2"
PLAIN = {"service": "Application", "pod": "Pod", "namespace": "Namespace", "node": "MachineName"}


def match(label: str, value: str, op: MatchOp = MatchOp.EQUAL) -> Matcher:
    return Matcher(label=label, op=op, value=value)


CART = match("service", "cart")


@asynccontextmanager
async def world(seq: Seq, **options: Any) -> AsyncIterator[SeqLogs]:
    async with seq, aiohttp.ClientSession() as session:
        config = SeqSource.model_validate({"url": seq.url, "timeout": "30s", "labels": PLAIN, **options})
        yield SeqLogs(config, session, FixedClock())


async def asked(logs: SeqLogs, *matchers: Matcher, **query: Any) -> Evidence:
    evidence = await logs.ask(LogQuery(matchers=matchers, **query), WINDOW, "cart")
    check_evidence(evidence, kind="log.lines", source="seq")
    return evidence


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def stocked(count: int = 10, **seq: Any) -> Seq:
    server = Seq(**seq)
    for n in range(count):
        server.add(ago(count - n), f"event {n}", Application="cart", Pod=f"cart-{n % 2}")
    return server


async def test_it_keeps_the_contract_of_sources() -> None:
    async with world(stocked()) as logs:
        nothing = LogQuery(matchers=(match("service", "nobody"),))
        found = await check_source(logs, LogQuery(matchers=(CART,)), nothing, WINDOW)
    assert [line.text for line in found.lines] == [f"event {n}" for n in range(10)]


async def test_an_event_carries_its_exception_and_the_labels_we_know() -> None:
    seq = Seq()
    seq.add(
        ago(5), "Checkout failed", level="Error", exception="System.TimeoutException: late\n   at Pay()",
        Application="cart", Pod="cart-1", Namespace="shop", MachineName="n1", Zone="b",
    )  # fmt: skip
    async with world(seq) as logs:
        (line,) = (await asked(logs, CART)).lines
    assert line.text == "Checkout failed\nSystem.TimeoutException: late\n   at Pay()"
    assert dict(line.labels) == {
        "service": "cart", "pod": "cart-1", "namespace": "shop", "node": "n1", "level": "Error",
    }  # fmt: skip
    assert line.at == ago(5)


async def test_resources_of_open_telemetry_are_the_default_labels() -> None:
    seq = Seq()
    seq.add(ago(5), "x", resource={"service": {"name": "cart"}, "k8s": {"pod": {"name": "cart-1"}}})
    seq.add(ago(4), "y", resource={"service": {"name": "other"}})
    async with world(seq, labels={}) as logs:
        (line,) = (await asked(logs, CART)).lines
    assert dict(line.labels) == {"service": "cart", "pod": "cart-1", "level": "Information"}


async def test_every_kind_of_matcher_and_text_selects_what_it_says() -> None:
    seq = Seq()
    seq.add(ago(9), "Connection refused (1.2.3.4)", level="Error", Application="cart", Pod="a")
    seq.add(ago(8), "all well", Application="cart", Pod="b")
    seq.add(ago(7), "it failed", level="Error", exception="Timeout/Exception", Application="cart")
    async with world(seq) as logs:

        async def texts(*matchers: Matcher, **query: Any) -> list[str]:
            lines = (await asked(logs, *matchers, **query)).lines
            return [line.text.partition("\n")[0] for line in lines]

        assert len(await texts()) == 3
        assert await texts(match("pod", "a")) == ["Connection refused (1.2.3.4)"]
        assert await texts(match("pod", "a", MatchOp.NOT_EQUAL)) == ["all well", "it failed"]
        assert len(await texts(match("pod", "a|b", MatchOp.REGEX))) == 2
        assert await texts(match("pod", "a|b", MatchOp.NOT_REGEX)) == ["it failed"]
        assert await texts(match("Application", "c/?rt|cart", MatchOp.REGEX), match("pod", "b")) == [
            "all well"
        ]
        assert len(await texts(match("level", "error"))) == 2
        assert await texts(contains=("REFUSED (1.2", "timeout/")) == [
            "Connection refused (1.2.3.4)",
            "it failed",
        ]
        assert await texts(contains=("' or 1 = 1",)) == []


async def test_a_hostile_value_selects_exactly_itself() -> None:
    hostile = "a'b\\c\n' or true /* ü日 */"
    seq = stocked()
    seq.add(ago(1), "mine", Application="cart", Pod=hostile)
    async with world(seq) as logs:
        evidence = await asked(logs, match("pod", hostile))
    assert [line.text for line in evidence.lines] == ["mine"]


async def test_a_value_that_is_no_text_selects_nothing() -> None:
    async with world(stocked()) as logs:
        evidence = await asked(logs, CART, match("pod", "c\ud800"), match("pod", "c\ud800|x", MatchOp.REGEX))
    assert evidence.status is EvidenceStatus.EMPTY


async def test_a_label_that_cannot_be_written_is_a_reason_and_nothing_is_asked() -> None:
    seq = stocked()
    async with world(seq) as logs:
        evidence = await asked(logs, match("a b", "x"))
    assert (evidence.status, seq.asked) == (EvidenceStatus.FAILED, [])


async def test_pages_and_partial_answers_are_followed_without_losing_or_repeating_an_event() -> None:
    seq = stocked(50, scans=9)
    async with world(seq, page_lines=7) as logs:
        evidence = await asked(logs, match("pod", "cart-1"))
    assert [line.text for line in evidence.lines] == [f"event {n}" for n in range(1, 50, 2)]
    assert evidence.reason is None


async def test_the_last_events_are_kept_and_the_cut_is_said() -> None:
    async with world(stocked(50), page_lines=8) as logs:
        evidence = await asked(logs, CART, limit=20)
    assert [line.text for line in evidence.lines] == [f"event {n}" for n in range(30, 50)]
    assert evidence.reason == "only the last 20 lines"


async def test_a_search_that_stops_without_saying_where_is_incomplete() -> None:
    seq = Seq()
    body = {"Events": [], "Statistics": {"Status": "Partial", "LastReadEventId": None}}
    seq.fault = saying(200, json.dumps(body), "application/json")
    async with world(seq) as logs:
        evidence = await asked(logs, CART)
    assert evidence.status is EvidenceStatus.FAILED
    assert "stopped before it had looked at everything" in (evidence.reason or "")


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    seq = Seq()
    for n in range(200):
        seq.add(ago(200 - n), f"{n} " + "x" * 60_000, Application="cart")
    async with world(seq, page_lines=200) as logs:
        evidence = await asked(logs, CART)
    assert (len(evidence.lines), evidence.reason) == (200, None)


async def test_events_of_another_time_are_left_out_and_said_to_be() -> None:
    def event(at: datetime, text: str) -> dict[str, Any]:
        return {"Id": text, "Timestamp": at.isoformat(), "RenderedMessage": text}

    events = [event(NOW + timedelta(days=1), "after"), event(ago(1), "in"), event(ago(7200), "before")]
    seq = Seq()
    body = {"Events": events, "Statistics": {"Status": "Complete"}}
    seq.fault = saying(200, json.dumps(body), "application/json")
    async with world(seq) as logs:
        evidence = await asked(logs, CART)
    assert [line.text for line in evidence.lines] == ["in"]
    assert evidence.reason == "2 lines of another time than asked for left out"


async def test_a_server_that_repeats_itself_forever_is_asked_a_few_times_only() -> None:
    event = {"Id": "one", "Timestamp": ago(1).isoformat(), "RenderedMessage": "x"}
    seq = Seq()
    body = {"Events": [event] * 5, "Statistics": {"Status": "Complete"}}
    seq.fault = saying(200, json.dumps(body), "application/json")
    async with world(seq, page_lines=5) as logs:
        evidence = await asked(logs, CART)
    assert len(seq.asked) < 5
    assert evidence.reason is not None


@pytest.mark.parametrize("name", COMMON)
async def test_each_fault_is_a_gap_with_its_reason(name: str) -> None:
    seq = stocked()
    seq.fault, reason = COMMON[name]
    async with world(seq, timeout="500ms" if name in SLOW else "30s") as logs:
        evidence = await asyncio.wait_for(asked(logs, CART), 60)
    assert evidence.status is EvidenceStatus.FAILED
    assert reason in (evidence.reason or ""), evidence.reason


async def test_a_fault_on_a_later_page_keeps_the_events_before_it() -> None:
    seq = stocked(30)
    seq.fault = saying(500, "internal error")
    seq.healthy_calls = 2
    async with world(seq, page_lines=10) as logs:
        evidence = await asked(logs, CART)
    assert len(evidence.lines) == 20
    assert evidence.reason == "only the last 20 lines: answered 500: internal error"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            saying(400, '{"Error": "Syntax error (line 1, column 9)"}', "application/json"),
            "400: Syntax error",
        ),
        (saying(403, "{}", "application/json"), "answered 403"),
        (saying(200, '{"Events": []}', "application/json"), "no Events or no Statistics"),
        (saying(200, '{"Events": [{}], "Statistics": {}}', "application/json"), "event 1 has no Id"),
        (
            saying(
                200, '{"Events": [{"Id": "a", "Timestamp": "soon"}], "Statistics": {}}', "application/json"
            ),
            "no readable Timestamp",
        ),
    ],
)
async def test_seqs_own_failures_are_told_in_its_words(fault: Fault, reason: str) -> None:
    seq = stocked()
    seq.fault = fault
    async with world(seq) as logs:
        evidence = await asked(logs, CART)
    assert (evidence.status, reason in (evidence.reason or "")) == (EvidenceStatus.FAILED, True), (
        evidence.reason
    )


async def test_the_key_is_sent_and_never_shown() -> None:
    seq = stocked(api_key=CANARY)
    async with world(seq, api_key=CANARY) as logs:
        evidence = await asked(logs, CART)
        assert evidence.status is EvidenceStatus.OK
        assert CANARY not in repr(evidence)
    async with world(stocked(api_key=CANARY), api_key="wrongwrongwrong") as logs:
        evidence = await asked(logs, CART)
    assert evidence.reason == "answered 401: This action requires authentication."
    assert "wrongwrong" not in repr(evidence)


async def test_a_secret_never_comes_through_wherever_it_stands() -> None:
    seq = Seq()
    seq.add(ago(9), f"login with password={CANARY} failed", Application="cart", Pod=f"token={CANARY}")
    seq.add(ago(8), "x", Application="cart", exception=f"dsn postgres://u:{CANARY}@db/x")
    seq.add(ago(7), "x", Application="cart", level=f"secret={CANARY}")
    seq.add(ago(6), "not taken", Application="cart", ApiKey=CANARY)
    async with world(seq) as logs:
        evidence = await asked(logs, CART)
        assert len(evidence.lines) == 4
        assert CANARY not in repr(evidence)
        seq.fault = saying(400, json.dumps({"Error": f"near password={CANARY}"}), "application/json")
        assert CANARY not in repr(await asked(logs, CART))


async def test_the_command_asks_the_same_and_the_link_opens_it() -> None:
    async with world(stocked(), external_url="https://seq.example.org/") as logs:
        evidence = await asked(logs, CART, contains=("it's",))
    words = shlex.split(evidence.manual or "")
    assert words[:2] == ["seqcli", "search"]
    assert f"--filter={evidence.query}" in words
    assert (evidence.link or "").startswith("https://seq.example.org/#/events?filter=")
    assert evidence.query in unquote(evidence.link or "")
