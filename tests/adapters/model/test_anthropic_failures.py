"""Whatever the provider does, the turn ends in time, with a kind and a reason that repeats nobody's words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapters.model.anthropic import AnthropicModel, open_anthropic
from bot.telemetry import Metrics
from config.model import ModelSection
from investigators.analyst.budget import Budget
from investigators.analyst.ports import FailureKind, Limits, Opening, Stop, Tier, ToolSpec, Usage
from tests.contracts.model_contract import failure_of
from tests.contracts.store_nouns import StillClock
from tests.fakes.purse import FakePurse
from tests.fakes.spending import FakeSpending
from tests.servers.api import Api, bursting, flooding, saying
from tests.servers.messages_api import (
    CUT,
    DROPPED,
    DROPPED_IN_BODY,
    FAULTS,
    KEY,
    OVERLOADED,
    PAGE,
    RATE_LIMIT_OF_AN_HOUR,
    REFUSAL,
    SERVER_ERROR,
    SLOW,
    SPEND_LIMIT,
    TRUNCATED,
    UNKNOWN_MODEL,
    WRONG_KEY,
    Fault,
    MessagesApi,
    Says,
    Turn,
    call,
    says,
    text,
)

CLOCK = StillClock(datetime(2026, 11, 25, 12, tzinfo=UTC))
CANARY = "canary-7f21"
TOOL = ToolSpec(name="look", description="", schema={"type": "object", "properties": {}})
OPENING = Opening(tier=Tier.FAST, system=f"You look. {CANARY}", tools=(TOOL,))
FOREVER = timedelta(seconds=60)
SHORT = timedelta(seconds=0.4)


@asynccontextmanager
async def model_at(url: str, metrics: Metrics | None = None, **section: Any) -> AsyncIterator[AnthropicModel]:
    settings = ModelSection.model_validate({"api_key": KEY, "base_url": url, **section})
    async with open_anthropic(settings, CLOCK, metrics) as model:
        yield model


ENDS: dict[str, tuple[list[Turn], FailureKind, str, bool]] = {
    "rate limit of an hour": ([RATE_LIMIT_OF_AN_HOUR], FailureKind.RATE_LIMITED, "wait 60 min", True),
    "spend limit": ([SPEND_LIMIT], FailureKind.SPEND_LIMIT, "limit of money", True),
    "contract's limit": (
        [Fault(status=429, code="contract_spend_limit_reached")],
        FailureKind.SPEND_LIMIT,
        "limit of money",
        True,
    ),
    "no credit": (
        [Fault(status=400, message="Your credit balance is too low")],
        FailureKind.SPEND_LIMIT,
        "limit of money",
        True,
    ),
    "billing": ([Fault(status=402)], FailureKind.SPEND_LIMIT, "limit of money", True),
    "overloaded": ([OVERLOADED] * 3, FailureKind.OVERLOADED, "overloaded (529)", True),
    "server error": ([SERVER_ERROR] * 3, FailureKind.SERVER_ERROR, "failed (500)", True),
    "wrong key": ([WRONG_KEY], FailureKind.KEY, "model.api_key", True),
    "forbidden": ([Fault(status=403)], FailureKind.KEY, "may not use claude-haiku-5-5", True),
    "unknown model": ([UNKNOWN_MODEL], FailureKind.UNKNOWN_MODEL, "claude-haiku-5-5", True),
    "dropped": ([DROPPED], FailureKind.UNREACHABLE, "broke off", False),
    "dropped in the body": ([DROPPED_IN_BODY], FailureKind.UNREACHABLE, "broke off", False),
    "page": ([PAGE], FailureKind.MALFORMED, "a web page", True),
    "truncated": ([TRUNCATED], FailureKind.MALFORMED, "not JSON", False),
    "large grammar": (
        [Fault(status=400, message=f"The compiled grammar is too large. {CANARY}")],
        FailureKind.REJECTED,
        "turn structured_outputs off",
        True,
    ),
    "echo": (
        [Fault(status=400, message=f"messages.0: {CANARY} is not allowed")],
        FailureKind.REJECTED,
        "refused the request as wrong (400)",
        True,
    ),
    "too large": ([Fault(status=413, message=CANARY)], FailureKind.REJECTED, "(413)", True),
    "gateway": ([Fault(status=504)], FailureKind.TIMEOUT, "gave up waiting (504)", False),
    "bad gateway": ([Fault(status=502)], FailureKind.SERVER_ERROR, "failed (502)", False),
    "overloaded, then dropped": ([OVERLOADED, DROPPED], FailureKind.UNREACHABLE, "broke off", False),
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_fault_has_its_kind_its_reason_and_its_cost(name: str) -> None:
    turns, kind, words, free = ENDS[name]
    spending = FakeSpending()
    async with MessagesApi([*turns]) as api, model_at(api.url) as model:
        began = time.monotonic()
        failure = await failure_of(model.open(OPENING, spending, FOREVER).say(f"What is wrong? {CANARY}"))
        assert time.monotonic() - began < 10
        assert api.script == [], "the provider was asked as often as it pays"
    assert failure.kind is kind
    assert words in failure.reason
    for secret in (CANARY, KEY):
        assert secret not in str(failure)
        assert secret not in repr(failure.__cause__) + repr(failure.__context__)
    ((most, tokens),) = spending.reserved
    ((usd, usage),) = spending.settled
    assert (usd, usage.total) == ((Decimal(0), 0) if free else (most, tokens))


def test_every_fault_of_the_local_server_has_a_test() -> None:
    assert set(FAULTS) - set(ENDS) == {"slow", "refusal", "cut"}


async def test_a_provider_that_says_nothing_is_waited_for_no_longer_than_the_turn() -> None:
    spending = FakeSpending()
    async with MessagesApi([SLOW]) as api, model_at(api.url) as model:
        failure = await failure_of(model.open(OPENING, spending, SHORT).say("What is wrong?"))
    assert failure.kind is FailureKind.TIMEOUT
    assert spending.settled[0][0] == spending.reserved[0][0], "nobody knows whether it was working"


async def test_waiting_to_try_again_ends_with_the_turn_and_tells_what_it_waited_for() -> None:
    spending = FakeSpending()
    async with MessagesApi(lambda body, number: OVERLOADED) as api, model_at(api.url) as model:
        failure = await failure_of(model.open(OPENING, spending, SHORT).say("What is wrong?"))
        assert len(api.requests) == 1
    assert failure.kind is FailureKind.OVERLOADED
    assert spending.settled == [(Decimal(0), Usage())]


async def test_nobody_at_the_address_costs_nothing() -> None:
    async with MessagesApi() as api:
        gone = api.url
    spending = FakeSpending()
    async with model_at(gone) as model:
        failure = await failure_of(model.open(OPENING, spending, FOREVER).say("What is wrong?"))
    assert failure.kind is FailureKind.UNREACHABLE
    assert "model.base_url" in failure.reason
    assert spending.settled == [(Decimal(0), Usage())]


@pytest.mark.parametrize("name", ["flood", "burst", "redirect"])
async def test_a_server_cannot_fill_the_memory_or_send_us_elsewhere(name: str) -> None:
    async with MessagesApi() as elsewhere, Api() as api:
        fault = {"flood": flooding, "burst": bursting, "redirect": saying(307, "")}[name]
        if name == "redirect":

            async def redirect(request: Any) -> Any:
                answer = await saying(307, "")(request)
                answer.headers["Location"] = f"{elsewhere.url}/v1/messages"
                return answer

            fault = redirect
        api.fault = fault
        async with model_at(api.url) as model:
            failure = await failure_of(model.open(OPENING, FakeSpending(), FOREVER).say("What is wrong?"))
        assert elsewhere.requests == []
    assert failure.kind in (FailureKind.UNREACHABLE, FailureKind.MALFORMED)


async def test_what_failed_and_then_worked_is_an_answer_and_every_attempt_is_counted() -> None:
    metrics, spending = Metrics(version="test"), FakeSpending()
    async with MessagesApi([SERVER_ERROR, OVERLOADED, says("ok")]) as api:
        async with model_at(api.url, metrics) as model:
            reply = await model.open(OPENING, spending, FOREVER).say("What is wrong?")
    assert reply.text == "ok"
    assert spending.settled == [(reply.usd, reply.usage)]
    shown = metrics.render().decode()
    for result in ("server_error", "overloaded", "ok"):
        assert f'assent_model_requests_total{{model="claude-haiku-5-5",result="{result}"}} 1.0' in shown
    assert 'assent_model_seconds_count{model="claude-haiku-5-5"} 3.0' in shown
    assert (
        f'assent_model_tokens_total{{kind="input",model="claude-haiku-5-5"}} {reply.usage.input}.0' in shown
    )
    assert reply.usd is not None
    assert f'assent_model_cost_usd_total{{model="claude-haiku-5-5"}} {float(reply.usd)}' in shown


@pytest.mark.parametrize("fault", [DROPPED, DROPPED_IN_BODY, Fault(status=504)])
async def test_what_may_be_billed_is_not_asked_again_and_the_day_pays_for_all_that_was_asked(
    fault: Fault,
) -> None:
    limits, purse = Limits(usd_per_day=Decimal(1)), FakePurse(CLOCK)
    spending = Budget(limits, purse, CLOCK, FOREVER)
    async with MessagesApi([fault, says("ok")]) as api, model_at(api.url) as model:
        await failure_of(model.open(OPENING, spending, FOREVER).say("What is wrong?"))
        assert len(api.requests) == 1
        projected = await purse.spent_today()
        reply = await model.open(OPENING, spending, FOREVER).say("What is wrong?")
    assert projected > 0
    assert reply.usd is not None
    assert await purse.spent_today() == projected + reply.usd == spending.usd


async def test_a_turn_that_is_cancelled_counts_in_full_and_ends_the_conversation() -> None:
    spending = FakeSpending()
    async with MessagesApi([SLOW]) as api, model_at(api.url) as model:
        talk = model.open(OPENING, spending, FOREVER)
        turn = asyncio.create_task(talk.say("What is wrong?"))
        await api.asked.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert spending.settled[0][0] == spending.reserved[0][0]
        with pytest.raises(RuntimeError, match="over"):
            await talk.say("Hello?")


async def test_a_second_turn_meanwhile_is_a_mistake_of_the_caller() -> None:
    async with MessagesApi([SLOW]) as api, model_at(api.url) as model:
        talk = model.open(OPENING, FakeSpending(), SHORT)
        turn = asyncio.create_task(talk.say("What is wrong?"))
        await api.asked.wait()
        with pytest.raises(RuntimeError):
            await talk.say("And?")
        await failure_of(turn)
        assert len(api.requests) == 1


async def test_an_answer_that_is_cut_or_refused_holds_no_calls_and_is_paid_for() -> None:
    unfinished = Says(content=[call("look", {}, "toolu_1")], stop="max_tokens")
    for turn, stop in ((CUT, Stop.CUT), (REFUSAL, Stop.REFUSED), (unfinished, Stop.CUT)):
        spending = FakeSpending()
        async with MessagesApi([turn, says("ok")]) as api, model_at(api.url) as model:
            talk = model.open(OPENING, spending, FOREVER)
            reply = await talk.say("What is wrong?")
            assert (reply.stop, reply.calls) == (stop, ())
            assert spending.settled == [(reply.usd, reply.usage)]
            assert (await talk.say("Shorter.")).text == "ok"
            assert api.refused == []


WILD: dict[str, list[Any]] = {
    "arguments in words": [{"type": "tool_use", "id": "a", "name": "look", "input": "all"}],
    "no arguments": [{"type": "tool_use", "id": "a", "name": "look"}],
    "no id": [call("look", {}, "")],
    "no name": [{"type": "tool_use", "id": "a", "name": None, "input": {}}],
    "one id twice": [call("look", {}, "a"), call("look", {}, "a")],
    "no text": [{"type": "text", "text": None}],
}


@pytest.mark.parametrize("name", WILD)
async def test_what_cannot_be_answered_is_malformed(name: str) -> None:
    async with MessagesApi([Says(content=WILD[name])]) as api, model_at(api.url) as model:
        failure = await failure_of(model.open(OPENING, FakeSpending(), FOREVER).say("?"))
    assert failure.kind is FailureKind.MALFORMED


@pytest.mark.parametrize("tokens", [-1, 10**400, "many", 1.5])
async def test_tokens_that_cannot_be_counted_are_malformed(tokens: Any) -> None:
    odd = Says(content=[text("ok")], usage={"input_tokens": tokens, "output_tokens": 1})
    spending = FakeSpending()
    async with MessagesApi([odd]) as api, model_at(api.url, Metrics(version="test")) as model:
        failure = await failure_of(model.open(OPENING, spending, FOREVER).say("?"))
    assert failure.kind is FailureKind.MALFORMED
    assert spending.settled[0][0] == spending.reserved[0][0], "what it says of its cost cannot be believed"


NO_MESSAGES = [
    "null",
    "[1, 2]",
    '{"type": "message"}',
    '{"type": "message", "content": ["text"]}',
    '{"content": []}',
    '"text"',
    "1",
]


@pytest.mark.parametrize("body", NO_MESSAGES)
async def test_json_that_is_no_message_is_malformed(body: str) -> None:
    async with Api() as api, model_at(api.url) as model:
        api.fault = saying(200, body, "application/json")
        failure = await failure_of(model.open(OPENING, FakeSpending(), FOREVER).say("?"))
    assert failure.kind is FailureKind.MALFORMED


async def test_unknown_blocks_and_reasons_are_no_failure() -> None:
    odd = Says(content=[{"type": "novelty", "data": 1}, text("ok")], stop="novel_reason")
    async with MessagesApi([odd]) as api, model_at(api.url) as model:
        reply = await model.open(OPENING, FakeSpending(), FOREVER).say("?")
    assert (reply.text, reply.stop) == ("ok", Stop.DONE)
