"""A source that fails, is slow, lies or floods never sinks an investigation and never proves absence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.evidence.build import answered
from bot.domain.diagnosis import DiagnosisVerdict
from bot.domain.evidence import Evidence, EvidenceStatus, FactVerdict, LogLine, Sample, Series, Window
from investigators.ports import MetricQuery
from tests.fakes.evidence import NOW, WorldHost, WorldMetrics, series
from tests.investigators.test_rules import EXPR, OWN, START, record, target
from tests.investigators.world import alert, case, investigate, investigator, verdicts

HEALTHY_SERIES = [
    series("up", [1] * 20, **OWN),
    series("process_resident_memory_bytes", [50e6] * 150, **OWN),
    series("process_cpu_seconds_total", [1.0] * 150, **OWN),
    series("process_start_time_seconds", [START] * 240, step=15, **OWN),
    series("process_open_fds", [9.0] * 10, **OWN),
    series("process_max_fds", [1024.0] * 10, **OWN),
]
HEALTHY = WorldMetrics(series=HEALTHY_SERIES, target_records=[target("up")])


class Changed(WorldMetrics):
    """Answers as the world does, then as the test wants."""

    change: Callable[[Evidence], object]

    async def range(self, *args: object, **kwargs: object) -> Evidence:  # type: ignore[override]
        return self.change(await WorldMetrics.range(self, *args, **kwargs))  # type: ignore[arg-type, return-value]

    async def instant(self, *args: object, **kwargs: object) -> Evidence:  # type: ignore[override]
        return self.change(await WorldMetrics.instant(self, *args, **kwargs))  # type: ignore[arg-type, return-value]

    async def targets(self, *args: object, **kwargs: object) -> Evidence:  # type: ignore[override]
        return self.change(await WorldMetrics.targets(self, *args, **kwargs))  # type: ignore[arg-type, return-value]


def changed(change: Callable[[Evidence], object]) -> Changed:
    source = Changed(series=HEALTHY_SERIES, target_records=[target("up")])
    source.change = change
    return source


def _explode(evidence: Evidence) -> Evidence:
    raise RuntimeError("the source has a bug; password=hunter22")


async def test_a_healthy_world_gives_absences() -> None:
    """The control of the tests below: with an honest source these are absent."""
    result = await investigate(metrics=[HEALTHY])
    for kind in ("target_down", "memory_growth", "cpu_saturation", "fd_exhaustion", "process_restarted"):
        assert FactVerdict.ABSENT in verdicts(result, kind), kind


LIES: dict[str, Callable[[Evidence], object]] = {
    "raises": _explode,
    "says nothing": lambda evidence: None,
    "says text": lambda evidence: "all is well",
    "another kind": lambda evidence: replace(evidence, kind="log.tail"),
    "another source": lambda evidence: replace(evidence, source="elsewhere"),
    "ok without data": lambda evidence: replace(evidence, status=EvidenceStatus.OK, series=(), records=()),
    "malformed series": lambda evidence: replace(evidence, series=("x", "y")),  # type: ignore[arg-type]
    "no series at all": lambda evidence: replace(evidence, series=None),  # type: ignore[arg-type]
    "failed with data": lambda evidence: replace(evidence, status=EvidenceStatus.FAILED),
    "not numbers": lambda evidence: replace(
        evidence, records=(), series=tuple(_all(one, float("nan")) for one in evidence.series)
    ),
    "from the future": lambda evidence: replace(
        evidence, records=(), series=tuple(_later(one) for one in evidence.series)
    ),
}


def _all(one: Series, value: float) -> Series:
    return replace(one, samples=tuple(replace(sample, value=value) for sample in one.samples))


def _later(one: Series) -> Series:
    return replace(one, samples=tuple(replace(s, at=s.at + timedelta(days=400)) for s in one.samples))


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_source_never_proves_absence(lie: str) -> None:
    result = await investigate(metrics=[changed(LIES[lie])], hosts=[WorldHost(process_records=[record()])])
    about_metrics = {e.id for e in result.evidence if e.source == "world"}
    for fact in result.diagnosis.facts:
        if fact.verdict is FactVerdict.ABSENT:
            assert not about_metrics & set(fact.evidence_ids), fact
    assert FactVerdict.ABSENT in verdicts(result, "process_not_running"), "the honest source still counts"
    assert any(gap.what.startswith("world") for gap in result.diagnosis.gaps)


async def test_what_a_broken_source_raises_is_named_but_not_quoted() -> None:
    result = await investigate(metrics=[changed(_explode)])
    reasons = [gap.reason for gap in result.diagnosis.gaps]
    assert any("RuntimeError" in reason for reason in reasons)
    assert not any("hunter22" in str(part) for part in (result.diagnosis, result.evidence))


async def test_a_failing_source_is_one_gap_with_a_command_and_no_absence() -> None:
    result = await investigate(
        case(alert(expr=EXPR)), metrics=[WorldMetrics(failure="cannot reach it: connection refused")]
    )
    assert all(fact.verdict is FactVerdict.UNKNOWN for fact in result.diagnosis.facts)
    gaps = [gap for gap in result.diagnosis.gaps if gap.reason == "cannot reach it: connection refused"]
    assert len(gaps) == 1
    assert gaps[0].manual is not None
    assert "more questions" in gaps[0].what
    assert result.diagnosis.verdict is DiagnosisVerdict.INCONCLUSIVE


class Stuck(WorldMetrics):
    """Answers nothing until it is cancelled; a stubborn one not even then."""

    stubborn = False
    cancelled = 0

    async def range(self, *args: object, **kwargs: object) -> Evidence:  # type: ignore[override]
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            if not self.stubborn:
                raise
            await asyncio.sleep(1.5)
        raise AssertionError("not reached while anybody waits")


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_slow_source_costs_the_deadline_and_no_more(stubborn: bool) -> None:
    slow = Stuck(name="slow", target_records=[target("up")])
    slow.stubborn = stubborn
    began = time.monotonic()
    result = await investigator([slow, HEALTHY], [], deadline=0.2).investigate(case(alert()))
    assert time.monotonic() - began < 1.2
    late = [e for e in result.evidence if e.status is EvidenceStatus.FAILED]
    assert late
    assert all(e.source == "slow" and e.reason == "deadline: no answer within 0.2 s" for e in late)
    assert any(e.manual for e in late)
    assert FactVerdict.ABSENT in verdicts(result, "memory_growth"), "the fast source still counts"
    await asyncio.sleep(1.4 if stubborn else 0)  # let the stubborn one end inside this test


async def test_cancelling_the_caller_cancels_the_sources() -> None:
    slow = Stuck(name="slow")
    task = asyncio.create_task(investigator([slow], []).investigate(case(alert())))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.cancelled > 3


class Flood(WorldMetrics):
    """Answers every range with the same 3,000 series at once."""

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        return MANY


MANY = answered(
    source="flood",
    kind="metric.range",
    query="everything",
    window=Window(start=NOW, end=NOW),
    taken_at=NOW,
    summary="everything",
    subject="",
    excerpt="everything",
    series=[series("process_resident_memory_bytes", [50e6] * 150, n=str(n), **OWN) for n in range(3_000)],
)


async def test_a_flood_is_capped_and_never_proves_absence_nor_holds_the_event_loop() -> None:
    lines = [
        LogLine(at=NOW - timedelta(seconds=3000 - n % 3000), text=f"INFO line {n}") for n in range(60_000)
    ]
    host = WorldHost(process_records=[record()], lines=lines)
    lag = 0.0

    async def watch() -> None:
        nonlocal lag
        while True:
            before = time.thread_time()  # not wall time: other programs share this machine
            await asyncio.sleep(0.001)
            lag = max(lag, time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    result = await investigate(metrics=[Flood(name="flood")], hosts=[host])
    watcher.cancel()
    flooded = [e for e in result.evidence if e.series or e.lines]
    assert all(sum(len(s.samples) for s in e.series) <= 60_000 for e in flooded)
    assert all(len(e.lines) <= 5_000 for e in flooded)
    assert all(e.reason for e in flooded)
    for kind in ("memory_growth", "cpu_saturation", "fd_exhaustion", "process_restarted"):
        assert FactVerdict.ABSENT not in verdicts(result, kind), kind
    assert FactVerdict.ABSENT not in verdicts(result, "log_template_new")
    assert lag < 0.05, f"event loop held for {lag * 1000:.0f} ms"


async def test_unordered_samples_are_put_in_order() -> None:
    def shuffle(evidence: Evidence) -> Evidence:
        return replace(
            evidence, series=tuple(replace(s, samples=tuple(reversed(s.samples))) for s in evidence.series)
        )

    result = await investigate(metrics=[changed(shuffle)])
    memory = next(
        e for e in result.evidence if e.kind == "metric.range" and len(e.series) and e.query == "up"
    )
    times = [sample.at for sample in memory.series[0].samples]
    assert times == sorted(times)


async def test_the_same_world_gives_the_same_investigation() -> None:
    first, second = await investigate(metrics=[HEALTHY]), await investigate(metrics=[HEALTHY])
    assert first == second
    assert len({e.id for e in first.evidence}) == len(first.evidence)
    other = await investigate(case(alert(), now=NOW + timedelta(seconds=1)), metrics=[HEALTHY])
    assert not {e.id for e in first.evidence} & {e.id for e in other.evidence}


def test_samples_stay_small() -> None:
    """Tens of thousands of these are alive in one investigation."""
    assert not hasattr(Sample(at=NOW, value=1.0), "__dict__")
