"""`assent eval`: every case of a suite investigated by rules alone, and the answers scored."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from bot.cli.output import complain, say, say_json
from bot.domain.errors import UserError
from bot.evaluation.cases import find_cases
from bot.evaluation.report import as_json, as_table, summarise
from bot.evaluation.running import Outcome, run_cases


async def evaluate(
    suite: Path,
    *,
    report: Path | None,
    least: float | None,
    jobs: int | None,
    only: str | None,
    as_json_text: bool,
) -> int:
    """Returns 1 when a case crashed or less than ``least`` is right at the first; 0 otherwise."""
    cases = await asyncio.to_thread(find_cases, suite, only)
    outcomes = await asyncio.to_thread(run_cases, cases, jobs or os.cpu_count() or 1)
    if report is not None:
        await asyncio.to_thread(_write, report, outcomes)
    summary = summarise(cases, outcomes)
    if as_json_text:
        say_json(as_json(summary))
    else:
        say(as_table(summary))
    for outcome in outcomes:
        if "error" in outcome.line:
            complain(f"{outcome.line['case']}: {outcome.line['error']}")
    missed = least is not None and (summary.at_1.value or 0.0) < least
    if missed:
        complain(f"right@1 is {summary.at_1}, wanted was {least:.3f}")
    return 1 if missed or summary.crashed else 0


def _write(report: Path, outcomes: Sequence[Outcome]) -> None:
    lines = [json.dumps(one.line, ensure_ascii=False, default=str) for one in outcomes]
    try:
        report.write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise UserError(f"{report}: {error.strerror}") from None
