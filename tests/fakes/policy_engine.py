"""A policy engine that answers what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


class FakeEngine:
    """Answers ``answer``, or raises it, or never answers when ``answer`` is None; keeps what it was asked."""

    policy_hash = "f" * 64

    def __init__(self, answer: Mapping[str, Any] | Exception | None) -> None:
        self.answer = answer
        self.asked: list[Mapping[str, Any]] = []

    async def evaluate(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(document)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer
