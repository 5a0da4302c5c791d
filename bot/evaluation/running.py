"""Cases in processes of their own, several at a time. One that breaks takes no other with it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from bot.app.replay import replay
from bot.domain.diagnosis import Diagnosis
from bot.domain.redaction import clean
from bot.evaluation.cases import CaseFile
from bot.evaluation.scoring import Score, ranked_of, score
from investigators.ports import Case, Investigation
from investigators.registry import Rules

_KIB = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One case's line of the report, and the most memory its process has used, in bytes."""

    line: dict[str, Any]
    peak_bytes: int


Look = Callable[[], Awaitable[tuple[Case, Investigation]]]


def run_case(case: CaseFile, rules: Rules | None = None, look: Look | None = None) -> Outcome:
    """Investigate one case in this process, with all rules or some, or as ``look`` does. Never raises: what
    broke is in the report."""
    began = time.perf_counter()
    told: list[Investigation] = []

    async def run() -> None:
        # Not as the task's result: asyncio formats the whole task when it puts the signal handler back.
        _, found = await (replay(case.path, rules) if look is None else look())
        told.append(found)

    try:
        asyncio.run(run())
    except Exception as error:  # noqa: BLE001 - one case, and the report says what broke
        return _broken(case, _told(error), time.perf_counter() - began)
    seconds = time.perf_counter() - began
    (answer,) = told
    diagnosis = answer.diagnosis
    right = None if case.expected is None else score(case.expected, diagnosis)
    return Outcome(
        line={
            "case": case.name,
            "verdict": diagnosis.verdict.value,
            "ranked": [asdict(one) for one in ranked_of(diagnosis)],
            "culprit_changes": [{"id": one.change_id, "score": one.score} for one in diagnosis.suspects],
            "no_culprit": diagnosis.no_culprit is True,
            "band": diagnosis.band.value,
            "seconds": round(seconds, 4),
            "expected": case.raw,
            **_judged(right),
            **_note(diagnosis),
        },
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB,
    )


def _note(diagnosis: Diagnosis) -> dict[str, Any]:
    """What became of the model, where one was asked or could have been."""
    note = diagnosis.model
    if note is None:
        return {}
    return {"model_state": note.state.value, "model_failure": note.kind, "model_reason": note.reason}


def _judged(right: Score | None) -> dict[str, Any]:
    """Cause and culprit apart only where the case judges both."""
    if right is None:
        return {"right_at_1": None, "right_at_3": None}
    judged: dict[str, Any] = {"right_at_1": right.right_at_1, "right_at_3": right.right_at_3}
    if right.cause_at_1 is not None and right.culprit_at_1 is not None:
        judged |= {
            "cause_at_1": right.cause_at_1,
            "cause_at_3": right.cause_at_3,
            "culprit_at_1": right.culprit_at_1,
            "culprit_at_3": right.culprit_at_3,
        }
    return judged


def _broken(case: CaseFile, error: str, seconds: float) -> Outcome:
    wrong = None if case.expected is None else False
    return Outcome(
        line={
            "case": case.name,
            "verdict": None,
            "ranked": [],
            "culprit_changes": [],
            "no_culprit": False,
            "band": None,
            "seconds": round(seconds, 4),
            "expected": case.raw,
            "right_at_1": wrong,
            "right_at_3": wrong,
            "error": error,
        },
        peak_bytes=0,
    )


def _told(error: BaseException) -> str:
    """The error and the line of our code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.relpath(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return clean(f"{type(error).__name__}: {error}{where}", limit=400)


def run_cases(
    cases: Sequence[CaseFile], jobs: int, run: Callable[[CaseFile], Outcome] = run_case
) -> list[Outcome]:
    """Every outcome, in the order of the cases, whatever the processes do."""
    outcomes: dict[str, Outcome] = {}
    _pool(cases, jobs, run, outcomes)
    # A process that died took the pool's other cases with it: each of those gets a process of its own.
    for case in cases:
        if case.name not in outcomes:
            _pool([case], 1, run, outcomes)
        if case.name not in outcomes:
            outcomes[case.name] = _broken(case, "the process that ran it died", 0.0)
    return [outcomes[case.name] for case in cases]


def _pool(
    cases: Sequence[CaseFile],
    jobs: int,
    run: Callable[[CaseFile], Outcome],
    outcomes: dict[str, Outcome],
) -> None:
    # Spawned, not forked: threads of this process would leave a forked one locked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(jobs, len(cases)), mp_context=context) as pool:
        futures: list[tuple[CaseFile, Future[Outcome]]] = []
        with suppress(BrokenProcessPool):
            for case in cases:
                futures.append((case, pool.submit(run, case)))
        for case, future in futures:
            error = future.exception()
            if error is None:
                outcomes[case.name] = future.result()
            elif not isinstance(error, BrokenProcessPool):
                outcomes[case.name] = _broken(case, _told(error), 0.0)
