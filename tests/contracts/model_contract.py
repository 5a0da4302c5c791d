"""What every model must do, whoever answers.

A test module supplies a :class:`World`: how its provider is made to say the turns of a script.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from investigators.analyst.ports import (
    FailureKind,
    Model,
    ModelFailure,
    Opening,
    Stop,
    Tier,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from tests.fakes.spending import FakeSpending

TIMEOUT = timedelta(seconds=20)
LOOK = ToolSpec(
    name="look",
    description="Looks.",
    schema={"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
)
OPENING = Opening(
    tier=Tier.DEEP,
    system="You find what is wrong.",
    tools=(LOOK,),
    answer_schema={
        "type": "object",
        "properties": {"cause": {"type": "string"}},
        "required": ["cause"],
        "additionalProperties": False,
    },
)
ANSWER = '{"cause": "the disk is full"}'


@dataclass(frozen=True, slots=True)
class Answers:
    """A turn that ends in text."""

    text: str = ANSWER
    stop: Stop = Stop.DONE


@dataclass(frozen=True, slots=True)
class Asks:
    """A turn that asks for ``look`` at each of these."""

    at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Breaks:
    """The provider fails (server error), or never answers."""

    hangs: bool = False


Step = Answers | Asks | Breaks


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pass of a test: ``asked`` counts the requests that left."""

    model: Model
    asked: Callable[[], int]


class World(Protocol):
    async def play(self, script: Sequence[Step], test: Callable[[Run], Awaitable[None]]) -> None:
        """Run ``test`` against a provider that keeps to the script; a replay once more without one."""
        ...


def results(calls: Sequence[ToolCall], text: str = "{}") -> list[ToolResult]:
    return [ToolResult(call_id=call.id, text=text) for call in calls]


async def failure_of(turn: Awaitable[object]) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await turn
    return caught.value


class ModelContract:
    """Inherited with a fixture ``world``."""

    async def test_an_answer_says_who_gave_it_and_what_it_took(self, world: World) -> None:
        async def test(run: Run) -> None:
            spending = FakeSpending()
            reply = await run.model.open(OPENING, spending, TIMEOUT).say("What is wrong?")
            assert reply.text == ANSWER
            assert (reply.calls, reply.stop) == ((), Stop.DONE)
            assert reply.model == run.model.name_of(Tier.DEEP)
            assert reply.usage.total > 0
            assert len(spending.reserved) == 1
            assert spending.settled == [(reply.usd, reply.usage)]

        await world.play([Answers()], test)

    async def test_each_call_has_an_id_and_its_result_brings_the_next_turn(self, world: World) -> None:
        async def test(run: Run) -> None:
            talk = run.model.open(OPENING, FakeSpending(), TIMEOUT)
            first = await talk.say("What is wrong?")
            assert first.stop is Stop.TOOLS
            assert [(call.name, call.arguments) for call in first.calls] == [
                ("look", {"at": "disk"}),
                ("look", {"at": "memory"}),
            ]
            assert len({call.id for call in first.calls}) == 2
            second = await talk.give(results(first.calls), "Go on.")
            assert [call.arguments for call in second.calls] == [{"at": "disk"}]
            assert second.calls[0].id not in {call.id for call in first.calls}
            assert (await talk.give(results(second.calls))).text == ANSWER

        await world.play([Asks(("disk", "memory")), Asks(("disk",)), Answers()], test)

    async def test_results_come_in_the_order_of_the_calls_and_none_is_left_out(self, world: World) -> None:
        async def test(run: Run) -> None:
            talk = run.model.open(OPENING, FakeSpending(), TIMEOUT)
            reply = await talk.say("What is wrong?")
            before = run.asked()
            for wrong in (
                results(reply.calls)[::-1],
                results(reply.calls)[:1],
                [*results(reply.calls), ToolResult(call_id="another", text="{}")],
            ):
                with pytest.raises((RuntimeError, AssertionError)):
                    await talk.give(wrong)
            with pytest.raises((RuntimeError, AssertionError)):
                await talk.say("Never mind.")
            assert run.asked() == before

        await world.play([Asks(("disk", "memory"))], test)

    async def test_on_the_last_turn_there_are_no_calls_and_one_may_still_ask_again(
        self, world: World
    ) -> None:
        async def test(run: Run) -> None:
            talk = run.model.open(OPENING, FakeSpending(), TIMEOUT)
            reply = await talk.say("Answer now.", may_use_tools=False)
            assert (reply.calls, reply.stop) == ((), Stop.DONE)
            assert (await talk.say("In JSON.", may_use_tools=False)).text == ANSWER

        await world.play([Asks(("disk",)), Answers()], test)

    async def test_a_budget_that_says_no_keeps_the_request_from_leaving(self, world: World) -> None:
        async def test(run: Run) -> None:
            spending = FakeSpending(refuses=1)
            talk = run.model.open(OPENING, spending, TIMEOUT)
            await talk.say("What is wrong?")
            before = run.asked()
            failure = await failure_of(talk.say("Sure?"))
            assert failure.kind is FailureKind.BUDGET
            assert run.asked() == before
            assert len(spending.settled) == 1

        await world.play([Answers(), Answers()], test)

    async def test_a_budget_is_asked_for_more_than_the_answer_takes(self, world: World) -> None:
        async def test(run: Run) -> None:
            spending = FakeSpending()
            talk = run.model.open(OPENING, spending, TIMEOUT)
            replies = [await talk.say("What is wrong?"), await talk.say("Sure?")]
            for (most, tokens), reply in zip(spending.reserved, replies, strict=True):
                assert tokens >= reply.usage.total
                assert most is not None
                assert reply.usd is not None
                assert most >= reply.usd > 0

        await world.play([Answers(), Answers()], test)

    async def test_two_conversations_of_one_model_know_nothing_of_each_other(self, world: World) -> None:
        async def test(run: Run) -> None:
            one = run.model.open(OPENING, FakeSpending(), TIMEOUT)
            other = run.model.open(OPENING, FakeSpending(), TIMEOUT)
            reply = await one.say("What is wrong with the shop?")
            assert (await other.say("What is wrong with the bank?")).text == ANSWER
            assert (await one.give(results(reply.calls))).text == ANSWER

        await world.play([Asks(("disk",)), Answers(), Answers()], test)

    async def test_a_refusal_is_a_reply_without_calls(self, world: World) -> None:
        async def test(run: Run) -> None:
            reply = await run.model.open(OPENING, FakeSpending(), TIMEOUT).say("What is wrong?")
            assert (reply.calls, reply.stop) == ((), Stop.REFUSED)

        await world.play([Answers("", Stop.REFUSED)], test)


class FailingModelContract:
    """For those that have a provider which can fail."""

    async def test_a_failure_ends_the_conversation_and_costs_nothing(self, world: World) -> None:
        async def test(run: Run) -> None:
            spending = FakeSpending()
            talk = run.model.open(OPENING, spending, TIMEOUT)
            failure = await failure_of(talk.say("What is wrong?"))
            assert failure.kind is FailureKind.SERVER_ERROR
            assert spending.settled == [(Decimal(0), Usage())]
            before = run.asked()
            with pytest.raises((RuntimeError, AssertionError)):
                await talk.say("Hello?")
            assert run.asked() == before

        await world.play([Breaks()], test)


class SlowModelContract:
    """For those that take time."""

    async def test_a_turn_takes_no_longer_than_its_time_and_then_counts_in_full(self, world: World) -> None:
        async def test(run: Run) -> None:
            spending = FakeSpending()
            talk = run.model.open(OPENING, spending, timedelta(seconds=1))
            failure = await failure_of(talk.say("What is wrong?"))
            assert failure.kind is FailureKind.TIMEOUT
            ((most, tokens),) = spending.reserved
            ((usd, usage),) = spending.settled
            assert (usd, usage.total) == (most, tokens)
            with pytest.raises(RuntimeError):
                await talk.say("Hello?")

        await world.play([Breaks(hangs=True)], test)
