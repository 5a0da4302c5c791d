"""The investigator that asks a model after the rules."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.clock import Clock
from investigators.analyst.ports import Limits, Model, OfferedAction, Purse, ToolSource
from investigators.ports import Investigator
from investigators.queries import Sources


def open_analyst(
    rules: Investigator,
    model: Model,
    sources: Sources,
    *,
    limits: Limits,
    clock: Clock,
    purse: Purse | None = None,
    tool_sources: Sequence[ToolSource] = (),
    actions: Sequence[OfferedAction] = (),
) -> Investigator:
    """``rules`` with a model behind them. ``purse`` None: no limit of a day."""
    from investigators.analyst import analyst

    made: Investigator = analyst.Analyst(
        rules=rules,
        model=model,
        sources=sources,
        tool_sources=tool_sources,
        actions=actions,
        limits=limits,
        purse=purse,
        clock=clock,
    )
    return made
