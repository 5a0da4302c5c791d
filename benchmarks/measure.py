"""What a benchmark found: a value beside a baseline of the same run, and whether the goal is met."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
NO_RATIO = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """``name`` says what was measured, ``baseline_name`` what it is held against; both values are in
    ``unit``. ``goal`` is a bound on the value, or on its ratio to the baseline with ``goal_on_ratio``;
    ``at_least`` says which side of it is good."""

    name: str
    value: float
    unit: str
    baseline_name: str
    baseline: float
    goal: float | None = None
    at_least: bool = False
    goal_on_ratio: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.baseline

    @property
    def met(self) -> bool | None:
        """None without a goal."""
        if self.goal is None:
            return None
        judged = self.ratio if self.goal_on_ratio else self.value
        return judged >= self.goal if self.at_least else judged < self.goal

    def as_json(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline_name": self.baseline_name,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "goal": self._goal(),
            "met": self.met,
            "note": self.note,
        }

    def row(self) -> tuple[str, ...]:
        """The cells of a table's row."""
        return (
            f"{self.name} ({self.note})" if self.note else self.name,
            f"{number(self.value)} {self.unit}",
            f"{number(self.baseline)} {self.unit} ({self.baseline_name})",
            f"{self.ratio:.2f}" if self.ratio < 100 else f"{self.ratio:.0f}",
            self._goal() or NO_RATIO,
            {True: "yes", False: "NO", None: NO_RATIO}[self.met],
        )

    def _goal(self) -> str | None:
        if self.goal is None:
            return None
        bound = f"{self.goal:.0%} of baseline" if self.goal_on_ratio else f"{number(self.goal)} {self.unit}"
        return f"{'≥' if self.at_least else '<'} {bound}"


HEADINGS = ("Measured", "Assent", "Baseline of the same run", "Ratio", "Goal", "Met")


def table(measures: Iterable[Measure]) -> str:
    """A Markdown table that is also readable as it stands."""
    rows = [HEADINGS, *(measure.row() for measure in measures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> Mapping[str, Any]:
    """When and on what: the first thing to know about a number."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": [round(each, 2) for each in os.getloadavg()],
    }


def machine_line(found: Mapping[str, Any]) -> str:
    load = ", ".join(f"{each:g}" for each in found["load"])
    return (
        f"{found['date']}, {found['cores']} cores ({found['cpu']}), {found['memory_gb']} GB, "
        f"{found['system']}, Python {found['python']}, load average {load}"
    )


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def percentile(values: Sequence[float], percent: int) -> float:
    """``percent`` from 1 to 99."""
    return statistics.quantiles(values, n=100)[percent - 1]


def cpu_clock() -> float:
    """Seconds of CPU this process has used, all threads together."""
    return time.process_time()
