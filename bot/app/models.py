"""The configured model, opened only where one is configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from bot.domain.clock import Clock
from bot.domain.errors import ConfigError, Unavailable
from bot.telemetry import Metrics
from config.loader import process_environment
from config.model import ModelSection
from investigators.analyst.ports import Limits, Model, ModelFailure


@asynccontextmanager
async def open_model(
    section: ModelSection | None, clock: Clock, metrics: Metrics | None = None
) -> AsyncIterator[Model | None]:
    """A model until the end of the context, None without a section. Asks nobody anything. Raises ConfigError
    where its libraries are not installed."""
    if section is None:
        yield None
        return
    await _load(section)
    if section.provider == "claude-cli":
        from adapters.model.claude_cli import ClaudeCommand

        yield ClaudeCommand(section, clock, process_environment(), metrics)
    else:
        from adapters.model.anthropic import open_anthropic

        async with open_anthropic(section, clock, metrics) as model:
            yield model


async def _load(section: ModelSection) -> None:
    """A second of importing, in a thread: neither the event loop nor an investigation should wait for it."""
    names = ("genai_prices",) if section.provider == "claude-cli" else ("anthropic", "genai_prices")
    try:
        for name in names:
            await asyncio.to_thread(import_module, name)
    except ModuleNotFoundError as error:
        remedy = "install it with: pip install 'assent[claude]', or remove the section"
        raise ConfigError([f"model: {error.name} is not installed; {remedy}"]) from None


def limits_of(section: ModelSection) -> Limits:
    """Of one investigation, as configured."""
    budget = section.budget
    return Limits(
        turns=budget.turns,
        tool_calls=budget.tool_calls,
        tokens=budget.tokens,
        usd=budget.investigation_usd,
        usd_per_day=budget.day_usd,
        wall=budget.wall,
    )


async def probe_model(section: ModelSection, clock: Clock) -> str:
    """What the provider says to a question that costs nothing, or a few tokens where there is none. Raises
    Unavailable with what is wrong, ConfigError where a library is missing."""
    await _load(section)
    try:
        if section.provider == "claude-cli":
            from adapters.model.claude_cli import ClaudeCommand

            said = await ClaudeCommand(section, clock, process_environment()).version()
            return f"{said}; whether it is signed in shows with the first question; this one cost nothing"
        from adapters.model.anthropic.probe import probe

        return await probe(section, clock)
    except ModelFailure as failure:
        raise Unavailable("model", failure.reason) from None
