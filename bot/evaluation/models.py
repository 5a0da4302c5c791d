"""A suite with a model behind the rules: live, live and recorded, or from a recording."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.app.models import limits_of, open_model
from bot.app.replay import replay
from bot.domain.clock import Clock, SystemClock
from bot.domain.errors import UserError
from bot.evaluation.cases import CaseFile
from bot.evaluation.running import Outcome, run_case
from config.model import ModelSection
from investigators.analyst.ports import (
    Conversation,
    Limits,
    Model,
    ModelFailure,
    Opening,
    Reply,
    Spending,
    Tier,
    ToolResult,
    Usage,
)
from investigators.ports import Case, Investigation, Investigator
from investigators.queries import Sources

OpenAnalyst = Callable[[Investigator, Model, Sources, Limits, Clock], Investigator]

OFF = "off"
CONFIGURED = "configured"


def _open_analyst(
    rules: Investigator, model: Model, sources: Sources, limits: Limits, clock: Clock
) -> Investigator:
    from investigators.analyst.analyst import Analyst

    return Analyst(rules, model, sources, limits=limits, clock=clock)


@dataclass(slots=True)
class Tally:
    """What a case's replies came to. ``usd`` None as soon as the price of one is not known."""

    turns: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: Decimal | None = Decimal(0)
    seconds: float = 0.0

    def heard(self, reply: Reply, seconds: float) -> None:
        self.turns += 1
        self.usage += reply.usage
        self.usd = None if self.usd is None or reply.usd is None else self.usd + reply.usd
        self.seconds += seconds

    def line(self, label: str) -> dict[str, Any]:
        return {
            "name": label,
            "turns": self.turns,
            "tokens": self.usage.total,
            "usd": None if self.usd is None else float(self.usd),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """One case with one model: runs in a process of its own. ``section`` None replays ``recorded``, which has
    a directory for each case; with both the answers are written there. There is no limit of a day."""

    label: str
    section: ModelSection | None
    recorded: Path | None
    limits: Limits
    analyst: OpenAnalyst = _open_analyst

    def __call__(self, case: CaseFile) -> Outcome:
        tally = Tally()

        async def look() -> tuple[Case, Investigation]:
            async with self._open(tally, case.name) as model:

                def with_model(rules: Investigator, sources: Sources, clock: Clock) -> Investigator:
                    return self.analyst(rules, model, sources, self.limits, clock)

                return await replay(case.path, wrap=with_model)

        outcome = run_case(case, look=look)
        outcome.line["model"] = tally.line(self.label)
        return outcome

    @asynccontextmanager
    async def _open(self, tally: Tally, case: str) -> AsyncIterator[Model]:
        from adapters.model.recording import RecordingModel, ReplayedModel, write_about

        folder = None if self.recorded is None else self.recorded / case
        if self.section is None:
            assert folder is not None
            yield ReplayedModel(folder, tally.heard)
            return
        async with open_model(self.section, SystemClock()) as model:
            assert model is not None
            if folder is None:
                yield _Heard(model, tally)
            else:
                write_about(model, folder)
                yield RecordingModel(model, folder, tally.heard)


class _Heard:
    """A model whose replies are counted."""

    def __init__(self, model: Model, tally: Tally) -> None:
        self.name = model.name
        self._model = model
        self._tally = tally

    def name_of(self, tier: Tier) -> str:
        return self._model.name_of(tier)

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        return _HeardConversation(self._model.open(opening, spending, timeout), self._tally)


@dataclass(frozen=True, slots=True)
class _HeardConversation:
    inner: Conversation
    tally: Tally

    async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
        began = asyncio.get_running_loop().time()
        reply = await self.inner.say(text, may_use_tools=may_use_tools)
        self.tally.heard(reply, asyncio.get_running_loop().time() - began)
        return reply

    async def give(
        self, results: Sequence[ToolResult], text: str = "", *, may_use_tools: bool = True
    ) -> Reply:
        began = asyncio.get_running_loop().time()
        reply = await self.inner.give(results, text, may_use_tools=may_use_tools)
        self.tally.heard(reply, asyncio.get_running_loop().time() - began)
        return reply


def live_runs(
    names: Sequence[str], section: ModelSection | None, record: Path | None
) -> list[ModelRun | None]:
    """A run for each name, None for ``off``: the rules alone. Prepares the directories of recordings. Raises
    UserError where there is no section, or a directory holds answers of another model."""
    from adapters.model.recording import write_about_ids

    runs: list[ModelRun | None] = []
    for name in names:
        if name == OFF:
            runs.append(None)
            continue
        if section is None:
            raise UserError(
                f"--model {name} needs the section model of a configuration: name its file with -c"
            )
        chosen = _chosen(name, section)
        label = chosen.deep if chosen.deep == chosen.fast else f"{chosen.fast}+{chosen.deep}"
        folder = None if record is None else record / _slug(label)
        if folder is not None:
            try:
                write_about_ids(
                    "claude-cli" if chosen.provider == "claude-cli" else "anthropic",
                    {Tier.FAST: chosen.fast, Tier.DEEP: chosen.deep},
                    folder,
                    limits_of(chosen),
                )
            except ModelFailure as failure:
                raise UserError(failure.reason) from None
        runs.append(ModelRun(label=label, section=chosen, recorded=folder, limits=limits_of(chosen)))
    return runs


def replayed_runs(names: Sequence[str], directory: Path) -> list[ModelRun | None]:
    """A run for each recorded model, or for those named, within the limits of the recording. Raises UserError
    where there is none."""
    from adapters.model.recording import read_about

    runs: list[ModelRun | None] = [None] * (OFF in names)
    wanted = [name for name in names if name not in (OFF, CONFIGURED)]
    folders = sorted(path.parent for path in directory.glob("*/about.json"))
    for folder in folders:
        try:
            about = read_about(folder)
        except ModelFailure as failure:
            raise UserError(failure.reason) from None
        fast, deep = about.ids[Tier.FAST], about.ids[Tier.DEEP]
        label = deep if deep == fast else f"{fast}+{deep}"
        if not wanted or label in {"+".join(dict.fromkeys(name.split(","))) for name in wanted}:
            runs.append(ModelRun(label=label, section=None, recorded=folder, limits=about.limits))
    if not any(runs):
        raise UserError(
            f"{directory} holds no recorded answers of {', '.join(wanted) or 'any model'}: record some with "
            "--model and --record-model"
        )
    return runs


def _chosen(name: str, section: ModelSection) -> ModelSection:
    """``configured``, one id for both tiers, or ``fast,deep``."""
    if name == CONFIGURED:
        return section
    fast, _, deep = name.partition(",")
    if not fast.strip():
        raise UserError("--model takes off, configured, the id of a model, or two with a comma: fast,deep")
    return section.model_copy(update={"fast": fast.strip(), "deep": deep.strip() or fast.strip()})


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", label)[:120]
