"""An Answerer that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from investigators.answering import answer_by_rules
from investigators.ports import Answered, Question


@dataclass(slots=True)
class ScriptedAnswerer:
    """By rules, unless ``script`` says something else or raises. ``hold`` can be cleared to keep it waiting;
    ``asked`` is everything it was ever told."""

    script: Callable[[Question], Answered] = answer_by_rules
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Question] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hold.set()

    async def answer(self, question: Question) -> Answered:
        self.asked.append(question)
        await self.hold.wait()
        return self.script(question)
