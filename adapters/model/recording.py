"""Answers of a model kept in a directory, and given again without one: for tests that cost nothing.

One JSON file per turn, named by the SHA-256 of the model's name and id, the opening, and everything told
since: the same words find the same answer, and a single other word finds none. Where the same was told
several times, each answer is kept, and given again in that order.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from investigators.analyst.ports import (
    Conversation,
    FailureKind,
    Limits,
    Model,
    ModelFailure,
    Opening,
    Reply,
    Reservation,
    Spending,
    Tier,
    ToolResult,
    Usage,
)

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One turn. ``usd_at_most`` and ``tokens_at_most`` are what was reserved for it, so that a replay runs
    into the same limits; ``seconds`` how long it took; ``told`` its own words, for people. Without a
    ``reply`` the budget allowed no more, so nobody was asked."""

    format: int
    told: dict[str, Any]
    usd_at_most: Decimal | None
    tokens_at_most: int
    seconds: float
    reply: Reply | None


_RECORDED = TypeAdapter(Recorded)

OnReply = Callable[[Reply, float], None]
"""Called with each reply and how long it took when it was made, in seconds."""


def _unheard(reply: Reply, seconds: float) -> None:
    """The default of ``on_reply``."""


class RecordingModel:
    """A model whose every answer is written down. Failures are not: they are not what a model said."""

    def __init__(self, model: Model, directory: Path, on_reply: OnReply = _unheard) -> None:
        self._model = model
        self._directory = directory
        self._on_reply = on_reply
        self._times: Counter[str] = Counter()
        self.name = model.name

    def name_of(self, tier: Tier) -> str:
        return self._model.name_of(tier)

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        noted = _Noted(spending)
        inner = self._model.open(opening, noted, timeout)
        return _Recording(inner, noted, _Key(self, opening, self._times), self._directory, self._on_reply)


class ReplayedModel:
    """The answers of a directory. ``name`` and ``ids`` are those of the model that gave them, as
    :class:`RecordingModel` wrote them."""

    def __init__(self, directory: Path, on_reply: OnReply = _unheard) -> None:
        about = read_about(directory)
        self._directory = directory
        self._on_reply = on_reply
        self._times: Counter[str] = Counter()
        self._ids = about.ids
        self.name = about.name

    def name_of(self, tier: Tier) -> str:
        return self._ids[tier]

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        return _Replaying(_Key(self, opening, self._times), spending, self._directory, self._on_reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Whose answers a directory holds, and the limits they were given within: ``about.json``."""

    name: str
    ids: dict[Tier, str]
    limits: Limits = field(default_factory=Limits)


_ABOUT = TypeAdapter(About)


def write_about(model: Model, directory: Path) -> None:
    """:func:`write_about_ids` of a model that is open."""
    write_about_ids(model.name, {tier: model.name_of(tier) for tier in Tier}, directory)


def write_about_ids(
    name: str, ids: Mapping[Tier, str], directory: Path, limits: Limits | None = None
) -> None:
    """Make the directory, and say whose answers it is for. Raises ModelFailure (rejected) where it holds
    those of another model."""
    about = About(name=name, ids=dict(ids), limits=limits or Limits())
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "about.json"
    if path.exists() and (known := read_about(directory)) and (known.name, known.ids) != (name, about.ids):
        raise ModelFailure(
            FailureKind.REJECTED,
            f"{directory} holds answers of another model: record into an empty directory",
        )
    path.write_bytes(_ABOUT.dump_json(about, indent=1) + b"\n")


def read_about(directory: Path) -> About:
    """Raises ModelFailure (unreachable) where nothing was recorded."""
    try:
        return _ABOUT.validate_json((directory / "about.json").read_bytes())
    except (OSError, ValidationError):
        raise ModelFailure(
            FailureKind.UNREACHABLE,
            f"{directory} holds no recorded answers: record some with --model and --record-model",
        ) from None


class _Key:
    """The running digest of a conversation. ``times`` counts what was told to the model, in all of them."""

    def __init__(self, model: Model, opening: Opening, times: Counter[str]) -> None:
        self.turn = 0
        self._times = times
        self._hash = hashlib.sha256()
        self._add(
            {
                "model": [model.name, model.name_of(opening.tier)],
                "tier": opening.tier.value,
                "system": opening.system,
                "tools": [[tool.name, tool.description, tool.schema] for tool in opening.tools],
                "answer_schema": opening.answer_schema,
            }
        )

    def of(self, told: dict[str, Any]) -> tuple[str, int]:
        """The digest, and for which time this was told."""
        self.turn += 1
        self._add(told)
        digest = self._hash.hexdigest()
        self._times[digest] += 1
        return digest, self._times[digest]

    def _add(self, part: dict[str, Any]) -> None:
        text = json.dumps(part, sort_keys=True, ensure_ascii=True)
        self._hash.update(text.encode())


def _path(directory: Path, digest: str, time: int) -> Path:
    return directory / (f"{digest}.json" if time == 1 else f"{digest}.{time}.json")


def _told(results: Sequence[ToolResult], text: str, may_use_tools: bool) -> dict[str, Any]:
    return {
        "text": text,
        "results": [[result.call_id, result.text, result.failed] for result in results],
        "may_use_tools": may_use_tools,
    }


class _Noted:
    """Spending that remembers what was reserved last."""

    def __init__(self, spending: Spending) -> None:
        self._spending = spending
        self.usd: Decimal | None = None
        self.tokens = 0

    async def reserve(self, usd: Decimal | None, tokens: int) -> Reservation:
        self.usd, self.tokens = usd, tokens
        return await self._spending.reserve(usd, tokens)


class _Recording:
    def __init__(
        self, inner: Conversation, noted: _Noted, key: _Key, directory: Path, on_reply: OnReply
    ) -> None:
        self._inner = inner
        self._noted = noted
        self._key = key
        self._directory = directory
        self._on_reply = on_reply

    async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
        turn = self._inner.say(text, may_use_tools=may_use_tools)
        return await self._turn(turn, _told((), text, may_use_tools))

    async def give(
        self, results: Sequence[ToolResult], text: str = "", *, may_use_tools: bool = True
    ) -> Reply:
        turn = self._inner.give(results, text, may_use_tools=may_use_tools)
        return await self._turn(turn, _told(results, text, may_use_tools))

    async def _turn(self, turn: Awaitable[Reply], told: dict[str, Any]) -> Reply:
        began = asyncio.get_running_loop().time()
        try:
            reply = await turn
        except ModelFailure as failure:
            if failure.kind in (FailureKind.BUDGET, FailureKind.DAILY_BUDGET):
                await self._keep(told, None, 0.0)
            raise
        seconds = round(asyncio.get_running_loop().time() - began, 3)
        await self._keep(told, reply, seconds)
        self._on_reply(reply, seconds)
        return reply

    async def _keep(self, told: dict[str, Any], reply: Reply | None, seconds: float) -> None:
        recorded = Recorded(
            format=FORMAT,
            told=told,
            usd_at_most=self._noted.usd,
            tokens_at_most=self._noted.tokens,
            seconds=seconds,
            reply=reply,
        )
        path = _path(self._directory, *self._key.of(told))
        await asyncio.to_thread(path.write_bytes, _RECORDED.dump_json(recorded, indent=1) + b"\n")


class _Replaying:
    def __init__(self, key: _Key, spending: Spending, directory: Path, on_reply: OnReply) -> None:
        self._key = key
        self._spending = spending
        self._directory = directory
        self._on_reply = on_reply
        self._pending: tuple[str, ...] = ()
        self._over = False

    async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
        return await self._turn((), text, may_use_tools)

    async def give(
        self, results: Sequence[ToolResult], text: str = "", *, may_use_tools: bool = True
    ) -> Reply:
        return await self._turn(tuple(results), text, may_use_tools)

    async def _turn(self, results: tuple[ToolResult, ...], text: str, may_use_tools: bool) -> Reply:
        if self._over:
            raise RuntimeError("the conversation is over")
        if tuple(result.call_id for result in results) != self._pending:
            raise RuntimeError("every call of the last reply needs one result, in its order")
        self._over = True
        name, time = self._key.of(_told(results, text, may_use_tools))
        recorded = self._recorded(name, time)
        reservation = await self._spending.reserve(recorded.usd_at_most, recorded.tokens_at_most)
        reply = recorded.reply
        if reply is None:
            await reservation.settle(Decimal(0), Usage())
            raise self._missing(name)
        await reservation.settle(reply.usd, reply.usage)
        self._pending = tuple(call.id for call in reply.calls)
        self._over = False
        self._on_reply(reply, recorded.seconds)
        return reply

    def _recorded(self, name: str, time: int) -> Recorded:
        # Told more often than when it was recorded: the last answer stands.
        while time > 1 and not _path(self._directory, name, time).exists():
            time -= 1
        path = _path(self._directory, name, time)
        try:
            # A small local file: a thread would take longer than reading it.
            recorded = _RECORDED.validate_json(path.read_bytes())
        except FileNotFoundError:
            raise self._missing(name) from None
        except (OSError, ValidationError):
            raise ModelFailure(
                FailureKind.UNREACHABLE, f"{path} cannot be read as a recorded answer: record it anew"
            ) from None
        if recorded.format != FORMAT:
            raise ModelFailure(
                FailureKind.UNREACHABLE,
                f"{path} has format {recorded.format}, this release reads {FORMAT}: record it anew",
            )
        return recorded

    def _missing(self, name: str) -> ModelFailure:
        return ModelFailure(
            FailureKind.UNREACHABLE,
            f"no recorded answer to turn {self._key.turn} of this conversation ({name[:12]}… in "
            f"{self._directory}): what the model is told, or may spend, has changed; record anew with "
            "--model and --record-model",
        )
