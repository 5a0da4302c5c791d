"""Who investigates, answers and sums up: rules, and the configured model behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

from bot.app.evidence import Memory, live_sources
from bot.app.mcp import open_tool_sources
from bot.app.models import limits_of, open_model
from bot.app.resting import Resting
from bot.app.seams import Seams
from bot.telemetry import Metrics
from config.schema import Config
from investigators.analyst.ports import Limits, Model, OfferedAction, Purse, ToolSource
from investigators.answering import RulesAnswerer
from investigators.ports import Answerer, Investigator
from investigators.queries import Sources
from investigators.retrospect.account import RulesSummariser
from investigators.retrospect.story import Summariser

_THREADS = 1
"""More would not be faster, as they share the interpreter's lock, and the event loop would wait for a turn of
each: three times as long with two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoners:
    """``deadline`` is how long an investigation may take, ``answering`` how long a question may, both with
    their models."""

    investigator: Investigator
    answerer: Answerer
    summariser: Summariser
    deadline: timedelta
    answering: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Behind:
    """A model, and everything that it may use."""

    model: Model
    limits: Limits
    sources: Sources
    servers: Sequence[ToolSource]
    actions: Sequence[OfferedAction]
    purse: Purse | None
    pool: Executor


@asynccontextmanager
async def open_reasoners(
    config: Config,
    seams: Seams,
    session: aiohttp.ClientSession,
    memory: Memory | None = None,
    *,
    purse: Purse | None = None,
    metrics: Metrics | None = None,
    actions: Sequence[OfferedAction] = (),
) -> AsyncIterator[Reasoners]:
    """Over every configured source, until the end of the context.

    ``memory`` is what earlier investigations left that later ones may learn from, ``purse`` the day's money,
    ``actions`` what a model may name. Servers of tools are only connected to where there is a model to use
    them. Raises ConfigError where what the configuration asks for is not installed.
    """
    from investigators.registry import DeterministicInvestigator

    with thinking() as pool:
        async with (
            live_sources(config, seams, session, memory) as sources,
            open_model(config.model, seams.clock, metrics) as configured,
        ):
            rules = DeterministicInvestigator(
                sources,
                clock=seams.clock,
                deadline=config.evidence.deadline,
                lookback=config.evidence.lookback,
                pool=pool,
            )
            model = seams.model or configured
            if model is None:
                yield _by_rules(config, seams, rules)
                return
            async with open_tool_sources(config, seams) as servers:
                behind = _Behind(
                    model=model,
                    limits=Limits() if config.model is None else limits_of(config.model),
                    sources=sources,
                    servers=servers,
                    actions=actions,
                    purse=purse,
                    pool=pool,
                )
                yield _with_model(config, seams, rules, behind)


@contextmanager
def thinking() -> Iterator[Executor]:
    """Where investigations judge, however many of these there are. One that still judges at the end is not
    waited for."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="judging")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _by_rules(config: Config, seams: Seams, rules: Investigator) -> Reasoners:
    deadline = config.evidence.deadline
    return Reasoners(
        investigator=seams.investigator or Resting(rules),
        answerer=seams.answerer or RulesAnswerer(),
        summariser=seams.summariser or RulesSummariser(),
        deadline=deadline,
        answering=deadline,
    )


def _with_model(config: Config, seams: Seams, rules: Investigator, behind: _Behind) -> Reasoners:
    from investigators.analyst.analyst import Analyst
    from investigators.analyst.conversing import Talk
    from investigators.analyst.follow_up import ModelAnswerer
    from investigators.analyst.retrospect import ModelSummariser

    clock, limits = seams.clock, behind.limits
    analyst = Analyst(
        rules,
        behind.model,
        behind.sources,
        behind.servers,
        behind.actions,
        limits=limits,
        clock=clock,
        purse=behind.purse,
        pool=behind.pool,
        on_error=seams.on_error,
    )
    talk = Talk(behind.model, behind.sources, behind.servers, limits, clock, behind.purse, behind.pool)
    answerer = ModelAnswerer(talk, clock, offers=behind.actions)
    summariser = ModelSummariser(behind.model, limits, clock, behind.purse)
    return Reasoners(
        investigator=seams.investigator or Resting(analyst),
        answerer=seams.answerer or answerer,
        summariser=seams.summariser or summariser,
        deadline=config.evidence.deadline + limits.wall,
        answering=limits.wall,
    )
