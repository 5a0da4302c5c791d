"""Runs of one suite side by side: what each model got right, cost and took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.evaluation.report import Summary, as_json, table
from bot.evaluation.running import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTotals:
    """``usd`` None where the price of any answer is not known; ``states`` counts what became of the model by
    case, failures by their kind."""

    turns: int
    tokens: int
    usd: float | None
    seconds: float
    states: Mapping[str, int]


def totals(outcomes: Sequence[Outcome]) -> ModelTotals:
    lines = [outcome.line for outcome in outcomes]
    used = [line["model"] for line in lines if "model" in line]
    prices = [one["usd"] for one in used]
    return ModelTotals(
        turns=sum(one["turns"] for one in used),
        tokens=sum(one["tokens"] for one in used),
        usd=None if None in prices else round(sum(prices), 6),
        seconds=round(sum(one["seconds"] for one in used), 3),
        states=Counter(
            line["model_failure"] or line["model_state"] for line in lines if "model_state" in line
        ),
    )


def compared_json(runs: Mapping[str, tuple[Summary, ModelTotals]]) -> dict[str, Any]:
    """By the run's name: everything of the suite, and ``model`` with turns, tokens, USD and seconds."""
    return {
        "models": {
            name: {
                **as_json(summary),
                "model": {
                    "turns": used.turns,
                    "tokens": used.tokens,
                    "usd": used.usd,
                    "seconds": used.seconds,
                    "states": dict(sorted(used.states.items())),
                },
            }
            for name, (summary, used) in runs.items()
        }
    }


def compared_table(runs: Mapping[str, tuple[Summary, ModelTotals]]) -> str:
    rows = [("model", "right@1", "right@3", "false", "USD", "tokens", "model s/case", "came to")]
    for name, (summary, used) in runs.items():
        rows.append(
            (
                name,
                str(summary.at_1),
                str(summary.at_3),
                str(summary.false_alarms),
                "unknown" if used.usd is None else f"{used.usd:.4f}",
                str(used.tokens),
                f"{used.seconds / summary.cases:.1f}",
                ", ".join(f"{state} {number}" for state, number in sorted(used.states.items())) or "–",
            )
        )
    return "\n".join(table(rows))
