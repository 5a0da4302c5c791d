"""Real faults in real processes, seen through a real Prometheus and from inside the machine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from adapters.evidence.host import LocalHost
from adapters.evidence.prometheus import PrometheusMetrics
from bot.domain.clock import SystemClock
from bot.domain.diagnosis import Band, Diagnosis, DiagnosisVerdict
from config.schema import HostEvidence, PrometheusSource, WatchedProcess
from investigators.ports import Case, Investigation
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.investigators.world import alert, case
from tests.servers.exporter import Exporter
from tests.servers.prometheus import NodeExporter, Prometheus

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]
FAULTS = ("leaking", "burning", "hanging", "crashing", "stopped", "calm")
BREAKING = 14
"""Seconds for which the faults have been going on when they are looked at."""


class Worlds:
    """One service per fault, all scraped by one Prometheus as one job, all declared on this machine."""

    def __init__(self, prometheus: Prometheus, services: dict[str, Exporter], directory: Path) -> None:
        self.prometheus, self.services, self.directory = prometheus, services, directory
        self.onset = datetime.now(UTC)

    def investigator(
        self, session: aiohttp.ClientSession, *, metrics: bool = True
    ) -> DeterministicInvestigator:
        processes = tuple(
            WatchedProcess(
                name=name,
                match={"service": name},
                pid_file=service.pid_file,
                log_file=service.log_file,
                exit_file=self.directory / "exits",
            )
            for name, service in self.services.items()
        )
        config = PrometheusSource.model_validate({"url": self.prometheus.url})
        clock = SystemClock()
        return DeterministicInvestigator(
            Sources(
                metrics=(PrometheusMetrics(config, session, clock),) if metrics else (),
                hosts=(LocalHost(HostEvidence(names=("127.0.0.1",), processes=processes), clock),),
            ),
            clock,
            timedelta(seconds=15),
            timedelta(hours=1),
        )

    def case(self, name: str, alertname: str, expr: str) -> Case:
        now = datetime.now(UTC)
        service = self.services[name]
        labels = {"job": "demo", "instance": service.address, "service": name, "severity": "critical"}
        fired = alert(alertname, labels=labels, expr=expr, now=now, started=now - self.onset)
        return case(fired, now=now)

    async def investigate(
        self, name: str, alertname: str, expr: str, *, metrics: bool = True
    ) -> Investigation:
        async with aiohttp.ClientSession() as session:
            return await self.investigator(session, metrics=metrics).investigate(
                self.case(name, alertname, expr)
            )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worlds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worlds]:
    directory = tmp_path_factory.mktemp("worlds")
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(NodeExporter())
        services = {name: Exporter(directory, name) for name in FAULTS}
        for service in services.values():
            await stack.enter_async_context(service)
        prometheus = await stack.enter_async_context(
            Prometheus(
                scrape={"demo": [s.address for s in services.values()], "node": [node.address]},
                rules=[{"alert": "MemoryHigh", "expr": MEMORY, "for": "1s"}],
            )
        )
        worlds = Worlds(prometheus, services, directory)
        (directory / "exits").touch()
        for service in services.values():
            for number in range(8):
                await service.tell("log", text=f"INFO request {number} served in {number * 7} ms")
        await prometheus.until('count(up{job="demo"} == 1) == 6')
        # Quiet seconds, so that each fault has a before.
        await asyncio.sleep(8)
        worlds.onset = datetime.now(UTC)
        await services["leaking"].tell("leak", bytes_per_second=4_000_000)
        await services["burning"].tell("burn")
        await services["hanging"].tell("hang")
        for name, number in (("crashing", 11), ("stopped", 15)):
            pid = services[name].process.pid  # type: ignore[union-attr]
            code = await services[name].die(number)
            entry = {"name": name, "pid": pid, "exit_code": code, "signal": number, "at": time.time()}
            with (directory / "exits").open("a") as file:
                file.write(json.dumps(entry) + "\n")
        await asyncio.sleep(BREAKING)
        yield worlds


MEMORY = 'process_resident_memory_bytes{job="demo"} > 6e7'
DOWN = 'up{job="demo"} == 0'
CPU = 'rate(process_cpu_seconds_total{job="demo"}[10s]) > 0.8'


def causes(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(h.object, h.fault) for h in diagnosis.hypotheses if h.refuted_by is None]


async def test_a_leak_is_found_and_a_restart_suggested(worlds: Worlds) -> None:
    result = await worlds.investigate("leaking", "MemoryHigh", MEMORY)
    diagnosis = result.diagnosis
    assert causes(diagnosis)[0] == ("leaking", "memory_growth")
    assert (diagnosis.verdict, diagnosis.band) == (DiagnosisVerdict.ACTION_NEEDED, Band.HIGH)
    assert diagnosis.suggestion is not None
    assert diagnosis.suggestion.params == {"process": "leaking"}
    assert {c.evidence_id for c in diagnosis.citations} <= {e.id for e in result.evidence}
    growth = next(f for f in diagnosis.facts if f.rule == "memory_growth.history")
    assert growth.values["slope"] == pytest.approx(4e6, rel=0.35)
    began = datetime.fromtimestamp(growth.values["onset"], UTC)
    assert abs(began - worlds.onset) < timedelta(seconds=8)


async def test_a_leak_is_found_without_any_metrics(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("leaking", "MemoryHigh", MEMORY, metrics=False)).diagnosis
    assert causes(diagnosis)[0] == ("leaking", "memory_growth")
    assert diagnosis.band is Band.MEDIUM
    assert diagnosis.suggestion is not None


async def test_a_busy_loop_is_cpu_saturation(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("burning", "CpuHigh", CPU)).diagnosis
    assert causes(diagnosis)[0] == ("burning", "cpu_saturation"), diagnosis.hypotheses


async def test_a_hang_is_told_from_a_crash(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("hanging", "TargetDown", DOWN)).diagnosis
    assert causes(diagnosis)[0] == ("hanging", "process_hang")
    assert "context deadline exceeded" in diagnosis.summary
    assert not any(fault in ("process_crash", "process_not_running") for _, fault in causes(diagnosis))


async def test_a_crash_is_named_with_its_signal(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("crashing", "TargetDown", DOWN)).diagnosis
    assert causes(diagnosis)[0] == ("crashing", "process_crash")
    assert "SIGSEGV" in diagnosis.summary
    assert diagnosis.band is Band.HIGH
    assert diagnosis.suggestion is not None
    assert diagnosis.suggestion.target == "crashing"
    assert any("connection refused" in c.finding for c in diagnosis.citations)


async def test_a_process_stopped_on_purpose_is_not_started_again_unasked(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("stopped", "TargetDown", DOWN)).diagnosis
    assert causes(diagnosis)[0] == ("stopped", "process_stopped")
    assert diagnosis.suggestion is None


async def test_a_false_alarm_needs_no_action(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("calm", "MemoryHigh", MEMORY)).diagnosis
    assert diagnosis.suggestion is None
    assert not any(obj == "calm" for obj, _ in causes(diagnosis)), diagnosis.hypotheses
    assert diagnosis.root_cause is None or "calm" not in diagnosis.root_cause


async def test_half_the_job_down_is_neither_one_instance_nor_the_cluster(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("crashing", "TargetDown", DOWN)).diagnosis
    scope = [f for f in diagnosis.facts if f.kind.startswith("scope_") and f.rule == "scope.up"]
    assert "3 of 6 instances" in scope[0].detail


async def test_memory_of_one_instance_alone_is_over_the_limit(worlds: Worlds) -> None:
    diagnosis = (await worlds.investigate("leaking", "MemoryHigh", MEMORY)).diagnosis
    scope = next(f for f in diagnosis.facts if f.rule == "scope.expression")
    assert (scope.kind, scope.verdict.value) == ("scope_one_instance", "found"), scope


async def test_an_investigation_costs_little_cpu_and_never_holds_the_event_loop(worlds: Worlds) -> None:
    async with aiohttp.ClientSession() as session:
        investigator = worlds.investigator(session)
        await investigator.investigate(worlds.case("leaking", "MemoryHigh", MEMORY))
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - before)

        watcher = asyncio.create_task(watch())
        began = time.process_time()
        await investigator.investigate(worlds.case("leaking", "MemoryHigh", MEMORY))
        spent = time.process_time() - began
        watcher.cancel()
    # The watcher itself wakes a thousand times in that second and costs some 40 ms of it.
    assert spent < 0.2
    assert longest < 0.05


async def test_prometheus_going_away_leaves_gaps_and_what_the_machine_shows(worlds: Worlds) -> None:
    """Runs last: it stops the server."""
    await worlds.prometheus.stop()
    diagnosis = (await worlds.investigate("crashing", "TargetDown", DOWN)).diagnosis
    assert causes(diagnosis)[0] == ("crashing", "process_crash")
    gap = next(gap for gap in diagnosis.gaps if gap.what.startswith("prometheus"))
    assert "cannot reach" in gap.reason
    assert gap.manual is not None
