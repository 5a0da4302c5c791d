"""`assent eval`: every case of a suite investigated, by rules alone or with models, and scored."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.cli.loading import load_config
from bot.cli.output import complain, say, say_json
from bot.domain.errors import UserError
from bot.evaluation.cases import CaseFile, find_cases
from bot.evaluation.comparison import compared_json, compared_table, totals
from bot.evaluation.models import OFF, ModelRun, live_runs, replayed_runs
from bot.evaluation.report import Summary, as_json, as_table, summarise
from bot.evaluation.running import Outcome, run_case, run_cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Which models, ``off`` among them for none; and where their answers are written or read."""

    names: Sequence[str] = ()
    config: Path | None = None
    record: Path | None = None
    replay: Path | None = None


async def evaluate(
    suite: Path,
    *,
    report: Path | None,
    least: float | None,
    jobs: int | None,
    only: str | None,
    as_json_text: bool,
    models: Models | None = None,
) -> int:
    """Returns 1 when a case crashed or less than ``least`` is right at the first, with any of the models; 0
    otherwise."""
    cases = await asyncio.to_thread(find_cases, suite, only)
    runs = await asyncio.to_thread(_runs, models or Models())
    found: dict[str, tuple[Summary, list[Outcome]]] = {}
    for run in runs:
        outcomes = await asyncio.to_thread(_run, cases, run, jobs or os.cpu_count() or 1)
        found[OFF if run is None else run.label] = (summarise(cases, outcomes), outcomes)
    if report is not None:
        await asyncio.to_thread(_write, report, [one for _, outcomes in found.values() for one in outcomes])
    _tell(found, as_json_text)
    good = True
    for name, (summary, outcomes) in found.items():
        good = _judge(f"{name}: " if any(runs) else "", summary, outcomes, least) and good
    return 0 if good else 1


def _runs(models: Models) -> Sequence[ModelRun | None]:
    """None: the rules alone."""
    if models.replay is not None:
        return replayed_runs(models.names, models.replay)
    names = list(dict.fromkeys(models.names)) or [OFF]
    if names == [OFF]:
        if models.record is not None:
            raise UserError("--record-model writes the answers of a model: name one with --model")
        return [None]
    config = None if models.config is None else load_config(models.config)
    return live_runs(names, None if config is None else config.model, models.record)


def _run(cases: Sequence[CaseFile], run: ModelRun | None, jobs: int) -> list[Outcome]:
    return run_cases(cases, jobs, run_case if run is None else run)


def _tell(found: dict[str, tuple[Summary, list[Outcome]]], as_json_text: bool) -> None:
    if list(found) == [OFF]:
        summary = found[OFF][0]
        if as_json_text:
            say_json(as_json(summary))
        else:
            say(as_table(summary))
        return
    compared = {name: (summary, totals(outcomes)) for name, (summary, outcomes) in found.items()}
    if as_json_text:
        say_json(compared_json(compared))
        return
    say(compared_table(compared))
    for name, (summary, _) in found.items():
        say(f"\n{name}\n\n{as_table(summary)}")


def _judge(name: str, summary: Summary, outcomes: Sequence[Outcome], least: float | None) -> bool:
    for outcome in outcomes:
        if "error" in outcome.line:
            complain(f"{name}{outcome.line['case']}: {outcome.line['error']}")
    missed = least is not None and (summary.at_1.value or 0.0) < least
    if missed:
        complain(f"{name}right@1 is {summary.at_1}, wanted was {least:.3f}")
    return not (missed or summary.crashed)


def _write(report: Path, outcomes: Sequence[Outcome]) -> None:
    lines = [json.dumps(one.line, ensure_ascii=False, default=str) for one in outcomes]
    try:
        report.write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise UserError(f"{report}: {error.strerror}") from None
