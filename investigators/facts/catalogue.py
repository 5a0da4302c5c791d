"""Every rule, by name, in the order in which facts are listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.domain.evidence import Fact
from investigators.entities import Entity
from investigators.facts import (
    alert_condition,
    cluster,
    cpu,
    disk,
    hour,
    logs,
    memory,
    onset,
    osquery,
    pressure,
    process,
    scope,
    target_down,
)
from investigators.pack import Pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A pure function from evidence about one entity to facts."""

    name: str
    check: Callable[[Pack, Entity], Sequence[Fact]]


RULES: tuple[Rule, ...] = (
    Rule(name="alert_condition", check=alert_condition.check),
    Rule(name="onset", check=onset.check),
    Rule(name="hour", check=hour.check),
    Rule(name="target_down", check=target_down.check),
    Rule(name="process", check=process.check),
    Rule(name="memory", check=memory.check),
    Rule(name="cpu", check=cpu.check),
    Rule(name="disk", check=disk.check),
    Rule(name="pressure", check=pressure.check),
    Rule(name="osquery", check=osquery.check),
    Rule(name="logs", check=logs.check),
    Rule(name="scope", check=scope.check),
    Rule(name="cluster", check=cluster.check),
)
