"""Ask everything at once, under one deadline. A source that fails, is slow, lies or floods is a gap."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from operator import le
from typing import TypeVar

from bot.domain.clock import Clock
from bot.domain.evidence import Evidence, EvidenceStatus, Series, content_digest
from bot.domain.ids import EvidenceId
from bot.domain.redaction import clean
from bot.domain.threads import in_thread
from investigators.calls import Call, host_call, metric_call, wide_call
from investigators.entities import Entity
from investigators.plan import Ask, Plan
from investigators.ports import Case, HostSource
from investigators.queries import LogExpressionQuery, LogQuery, Query, Sources, SpanQuery, SurveyQuery
from investigators.wide import WideAsk

MAX_SERIES = 500
MAX_SAMPLES = 60_000
MAX_LINES = 5_000
MAX_RECORDS = 5_000
MAX_SURVEY_SERIES = 20_000
MAX_SURVEY_SAMPLES = 2_000_000
MAX_WIDE = 50_000
"""Lines, spans, changes or objects of one answer about the whole world."""
_Item = TypeVar("_Item")
_GRACE = 0.25
"""Seconds a cancelled source gets to clean up before we go on without it."""
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question and what one source said to it; ``query`` is what a wide question came to."""

    ask: Ask | WideAsk
    evidence: Evidence
    query: Query | None = None


async def gather(
    case: Case,
    plan: Plan,
    wide: Sequence[WideAsk],
    entities: Sequence[Entity],
    sources: Sources,
    deadline: timedelta,
    clock: Clock,
    first_number: int = 0,
    pool: Executor | None = None,
) -> tuple[Answer, ...]:
    """Every answer, in the order of the plan. Cancelling the caller cancels every source.

    ``first_number``: how many questions of this investigation were asked before, so that no two of its
    answers share an id.
    """
    # A source over files may read some to know what it covers.
    calls = await in_thread(pool, _calls, plan, wide, entities, sources)
    return await ask_all(case, calls, deadline, clock, first_number, pool)


async def ask_all(
    case: Case,
    calls: Sequence[Call],
    deadline: timedelta,
    clock: Clock,
    first_number: int = 0,
    pool: Executor | None = None,
    *,
    asker: str = "",
) -> tuple[Answer, ...]:
    """Every answer, in the order of the calls. ``asker``: who asks, where that is not the plan; each counts
    by itself, so that two of them never share an id."""
    tasks = [asyncio.ensure_future(_run(call)) for call in calls]
    for task in tasks:
        task.add_done_callback(_retrieve)
    late: list[asyncio.Task[Evidence]] = []
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=deadline.total_seconds())
    finally:
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_GRACE)
    numbers = [f"{asker}{number}" for number in range(first_number, first_number + len(calls))]
    # Checking what a flooding source sent takes tens of milliseconds: not on the event loop.
    return await in_thread(pool, _collect, case, numbers, calls, tasks, frozenset(late), deadline, clock)


def _calls(plan: Plan, wide: Sequence[WideAsk], entities: Sequence[Entity], sources: Sources) -> list[Call]:
    calls = [metric_call(ask, source) for ask in plan.metrics for source in sources.metrics]
    calls += _host_calls(plan, entities, sources.hosts)
    calls += [call for ask in wide for source in sources.wide if (call := wide_call(ask, source)) is not None]
    return calls


def _host_calls(plan: Plan, entities: Sequence[Entity], hosts: Sequence[HostSource]) -> list[Call]:
    by_subject = {entity.subject: entity for entity in entities}
    calls = []
    for ask in plan.host:
        for host in hosts:
            query = by_subject[ask.subject].host_queries.get(host.name)
            if query is not None:
                calls.append(host_call(ask, host, query))
    return calls


def _collect(
    case: Case,
    numbers: Sequence[str],
    calls: Sequence[Call],
    tasks: Sequence[asyncio.Task[Evidence]],
    late: frozenset[asyncio.Task[Evidence]],
    deadline: timedelta,
    clock: Clock,
) -> tuple[Answer, ...]:
    answers = []
    for number, call, task in zip(numbers, calls, tasks, strict=True):
        if task in late:
            evidence = _failed(call, f"deadline: no answer within {deadline.total_seconds():g} s", clock)
        else:
            evidence = _result(call, task, clock)
        identified = _identified(case, number, call, evidence)
        answers.append(Answer(ask=call.ask, evidence=identified, query=call.query))
    return tuple(answers)


async def _run(call: Call) -> Evidence:
    return await call.start()


def _retrieve(task: asyncio.Task[Evidence]) -> None:
    """Look at the exception of a task nobody waits for any more, so that it is not reported as lost."""
    if not task.cancelled():
        task.exception()


def _result(call: Call, task: asyncio.Task[Evidence], clock: Clock) -> Evidence:
    if task.cancelled():
        return _failed(call, "the source gave up", clock)
    error = task.exception()
    if error is not None:
        # A source must never raise; one that does must not take the others with it.
        logging.getLogger(__name__).error("evidence source %s failed", call.source, exc_info=error)
        return _failed(call, f"internal error in the source ({type(error).__name__})", clock)
    evidence = task.result()
    if not isinstance(evidence, Evidence) or evidence.kind != call.kind or evidence.source != call.source:
        return _failed(call, "the source answered something else than it was asked", clock)
    try:
        # Half a pair of characters has no digest and no place in a row.
        content_digest(evidence.excerpt)
        return _bounded(call, evidence, clock)
    except (TypeError, ValueError, AttributeError):
        return _failed(call, "the source's answer is malformed", clock)


def _bounded(call: Call, evidence: Evidence, clock: Clock) -> Evidence:
    """Cap what a flooding source sent, and drop samples that cannot be true."""
    if evidence.status is EvidenceStatus.FAILED:
        return replace(
            evidence, series=(), lines=(), records=(), spans=(), changes=(), objects=(), content_digest=None
        )
    notes = [] if evidence.reason is None else [evidence.reason]
    wide = isinstance(call.query, SurveyQuery)
    caps = (MAX_SURVEY_SERIES, MAX_SURVEY_SAMPLES) if wide else (MAX_SERIES, MAX_SAMPLES)
    # A recording of a healthy time may be from any time.
    latest = evidence.window.end if getattr(call.query, "healthy", False) else clock.now()
    series, note = _bounded_series(evidence.series, latest + _CLOCK_SKEW, *caps)
    notes += note
    lines = evidence.lines
    most = MAX_WIDE if isinstance(call.query, LogQuery | LogExpressionQuery | SpanQuery) else MAX_LINES
    if len(lines) > most:
        notes.append(f"only the last {most} of {len(lines)} lines")
        lines = lines[-most:]
    records, note = _first(evidence.records, MAX_RECORDS, "records")
    spans, more = _first(evidence.spans, MAX_WIDE, "spans")
    changes, even_more = _first(evidence.changes, MAX_RECORDS, "changes")
    objects, most_of_all = _first(evidence.objects, MAX_WIDE, "objects")
    notes += [*note, *more, *even_more, *most_of_all]
    bounded = replace(
        evidence,
        series=series,
        lines=lines,
        records=records,
        spans=spans,
        changes=changes,
        objects=objects,
        reason="; ".join(notes) or None,
    )
    said = bounded.filled or (call.in_words and bool(bounded.excerpt))
    if evidence.status is EvidenceStatus.OK and not said:
        return _failed(call, bounded.reason or "the source said it had an answer and gave none", clock)
    return bounded


def _first(items: tuple[_Item, ...], most: int, what: str) -> tuple[tuple[_Item, ...], list[str]]:
    if len(items) <= most:
        return items, []
    return items[:most], [f"only {most} of {len(items)} {what}"]


def _bounded_series(
    series: tuple[Series, ...], latest: datetime, most: int, most_samples: int
) -> tuple[tuple[Series, ...], list[str]]:
    kept: list[Series] = []
    total = dropped = 0
    known: Sequence[datetime] = ()
    for one in islice(series, most):
        if total + len(one.samples) > most_samples:
            break
        samples = one.samples
        times = one.times
        # The sum is finite only where every value is, and several times cheaper to look at.
        good = math.isfinite(sum(one.values)) or all(map(math.isfinite, one.values))
        # Most series of one answer share their moments.
        ordered = times is known or all(map(le, times, times[1:]))
        if ordered:
            known = times
        if not good or not ordered or (times and times[-1] > latest):
            right = [s for s in samples if math.isfinite(s.value) and s.at <= latest]
            dropped += len(samples) - len(right)
            samples = tuple(sorted(right, key=lambda sample: sample.at))
        if samples:
            total += len(samples)
            kept.append(replace(one, samples=samples) if samples is not one.samples else one)
    notes = []
    if len(kept) < min(len(series), most) or len(series) > most:
        notes.append(f"only {len(kept)} of {len(series)} series")
    if dropped:
        notes.append(f"{dropped} samples were not numbers or lay in the future")
    return tuple(kept), notes


def _failed(call: Call, reason: str, clock: Clock) -> Evidence:
    return Evidence(
        id=EvidenceId(""),
        source=call.source,
        kind=call.kind,
        query=call.text,
        window=call.window,
        taken_at=clock.now(),
        status=EvidenceStatus.FAILED,
        summary=reason,
        subject=call.ask.subject,
        reason=clean(reason, limit=400),
        manual=call.manual,
    )


def evidence_id(case: Case, number: str, source: str) -> EvidenceId:
    """The same investigation of the same world gives the same ids, so that a replay is identical; two
    investigations never share one."""
    text = "\n".join((case.incident.id, str(case.run), case.now.isoformat(), number, source))
    return EvidenceId(f"ev_{sha256(text.encode()).hexdigest()[:24]}")


def _identified(case: Case, number: str, call: Call, evidence: Evidence) -> Evidence:
    digest = evidence.content_digest
    if evidence.status is EvidenceStatus.OK and digest != content_digest(evidence.excerpt):
        digest = content_digest(evidence.excerpt)
    return replace(
        evidence,
        id=evidence_id(case, number, call.source),
        subject=call.ask.subject,
        content_digest=digest,
    )
