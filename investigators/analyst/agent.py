"""One conversation with a model: what it is told, the tools it calls, and one chance to mend its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from investigators.analyst.answer import Answer, Malformed, Status, answer_schema, parse_answer
from investigators.analyst.budget import Budget
from investigators.analyst.citations import Checked, Exhibits
from investigators.analyst.ports import (
    Conversation,
    FailureKind,
    Model,
    ModelFailure,
    Opening,
    Reply,
    Stop,
    Tier,
)
from investigators.analyst.prompts import analyst_prompt
from investigators.analyst.tools import ToolBox

_KEPT_TURNS = 3
"""To answer, to mend the answer, and for a second look: no tool is offered where fewer would be left."""
_LAST = "This was the last reading. Answer now, with what you have."
_MEND = (
    "Your answer does not stand:\n{problems}\nAnswer once more with the whole JSON object. Quote only words "
    "that stand in the text of the evidence with that id, or leave the claim out; if nothing is left that "
    "proves the cause, the status is inconclusive."
)
_PROBLEMS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The last answer of a conversation and what its quotes came to."""

    answer: Answer
    claims: Checked

    @property
    def stands(self) -> bool:
        return self.answer.status is not Status.DIAGNOSED or self.claims.sound


class Dialogue:
    """A conversation within the budget. Every method raises ModelFailure."""

    def __init__(self, conversation: Conversation, budget: Budget, tools: ToolBox | None = None) -> None:
        self._conversation = conversation
        self._budget = budget
        self._tools = tools

    async def ask(self, text: str, *, read: bool = True) -> str:
        """What it says in the end; ``read``: it may use tools on the way."""
        may = read and self._may_read()
        self._budget.begin_turn()
        reply = await self._conversation.say(text, may_use_tools=may)
        while reply.calls:
            if self._tools is None or not may:
                raise ModelFailure(FailureKind.MALFORMED, "it called a tool where none was offered")
            results = await self._tools.run(reply.calls, self._budget.tools_left)
            self._budget.tool_calls += len(reply.calls)
            may = self._may_read()
            self._budget.begin_turn()
            reply = await self._conversation.give(results, "" if may else _LAST, may_use_tools=may)
        return _finished(reply)

    def _may_read(self) -> bool:
        budget = self._budget
        enough = budget.turns_left > _KEPT_TURNS and budget.tools_left > 0 and not budget.scarce
        return self._tools is not None and enough


def _finished(reply: Reply) -> str:
    match reply.stop:
        case Stop.REFUSED:
            raise ModelFailure(FailureKind.REFUSED, "it refused to answer")
        case Stop.CUT:
            raise ModelFailure(FailureKind.CUT, "its answer was cut off at the most tokens it may write")
        case Stop.TOOLS | Stop.DONE:
            return reply.text


async def quick(model: Model, budget: Budget, exhibits: Exhibits, text: str) -> Told | None:
    """The fast model, once, without tools; None where its answer cannot be read or does not stand."""
    opening = _opening(Tier.FAST, analyst_prompt(tools=False, perspectives=False), answer_schema())
    dialogue = Dialogue(model.open(opening, budget, budget.left), budget)
    try:
        told = _told(await dialogue.ask(text), exhibits)
    except Malformed:
        return None
    return told if told.stands else None


async def thorough(
    model: Model, budget: Budget, tools: ToolBox, exhibits: Exhibits, text: str, *, perspectives: bool
) -> Told:
    """The deep model with tools. An answer that does not stand may be mended once; what is returned may still
    not stand."""
    may_read = bool(tools.specs)
    system = analyst_prompt(tools=may_read, perspectives=perspectives)
    opening = _opening(Tier.DEEP, system, answer_schema(), tools if may_read else None)
    conversation = model.open(opening, budget, budget.left)
    dialogue = Dialogue(conversation, budget, tools if may_read else None)
    said = await dialogue.ask(text)
    try:
        first = _told(said, exhibits)
        if first.stands or budget.turns_left == 0:
            return first
        problems = _problems(first)
    except Malformed as error:
        first, problems = None, f"- {error}"
    try:
        return _told(await dialogue.ask(_MEND.format(problems=problems), read=False), exhibits)
    except Malformed as error:
        if first is not None:
            return first
        raise ModelFailure(FailureKind.MALFORMED, f"its answer cannot be read: {error}") from None


def _opening(tier: Tier, system: str, schema: Mapping[str, Any], tools: ToolBox | None = None) -> Opening:
    return Opening(tier=tier, system=system, tools=() if tools is None else tools.specs, answer_schema=schema)


def _told(text: str, exhibits: Exhibits) -> Told:
    answer = parse_answer(text)
    return Told(answer=answer, claims=exhibits.check(answer.claims))


def _problems(told: Told) -> str:
    """Which of its claims fail, by number: none of its words are repeated."""
    numbers = {claim: number for number, claim in enumerate(told.answer.claims, 1)}
    lines = [f"- evidence number {numbers[claim]}: {why}" for claim, why in told.claims.unverified]
    return "\n".join(lines[:_PROBLEMS]) or "- it quotes no evidence for its cause"
