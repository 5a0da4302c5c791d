"""The cluster at a glance, from its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from bot.domain.evidence import Fact, FactVerdict, Series
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.fakes.evidence import FixedClock, WorldMetrics, series
from tests.investigators.world import alert, case

FOUND, ABSENT, UNKNOWN = FactVerdict.FOUND, FactVerdict.ABSENT, FactVerdict.UNKNOWN
IN_CLUSTER = {"alertname": "Demo", "namespace": "shop", "pod": "cart-0", "service": "cart"}


def nodes(ready: int, of: int, **pressed: int) -> list[Series]:
    found = [series("kube_node_info", [of])]
    for name, count in {"Ready": ready, **pressed}.items():
        found.append(series("kube_node_status_condition", [count], condition=name, status="true"))
    return found


def pods(running: int, **others: int) -> list[Series]:
    return [
        series("kube_pod_status_phase", [count], phase=phase)
        for phase, count in {"Running": running, **others}.items()
    ]


def looping(count: int) -> Series:
    return series("kube_pod_container_status_waiting_reason", [count], reason="CrashLoopBackOff")


def memory(*shares: float) -> list[Series]:
    found = []
    for number, share in enumerate(shares):
        found.append(series("node_memory_MemAvailable_bytes", [share * 100], instance=f"n{number}"))
        found.append(series("node_memory_MemTotal_bytes", [100], instance=f"n{number}"))
    return found


def idle(*shares: float) -> list[Series]:
    return [
        series("rate:node_cpu_seconds_total", [share], instance=f"n{number}", mode="idle")
        for number, share in enumerate(shares)
    ]


@dataclass(frozen=True, kw_only=True)
class Look:
    name: str
    series: Sequence[Series]
    verdict: FactVerdict | None
    says: str = ""
    incomplete: str | None = None


LOOKS = [
    Look(name="half of the nodes", series=nodes(2, 4), verdict=FOUND, says="2 of 4 nodes are ready"),
    Look(name="one node of many", series=nodes(9, 10), verdict=ABSENT, says="9 of 10 nodes are ready"),
    Look(name="many pressed", series=nodes(4, 4, MemoryPressure=3), verdict=FOUND, says="MemoryPressure"),
    Look(name="one under pressure", series=nodes(4, 4, DiskPressure=1), verdict=ABSENT),
    Look(name="many pods wait", series=pods(10, Pending=5), verdict=FOUND, says="5 of 15 pods"),
    Look(name="many pods loop", series=[*pods(10), looping(4)], verdict=FOUND, says="4 of 10 pods"),
    Look(name="a few pods of many", series=[*pods(100, Pending=2), looping(1)], verdict=ABSENT),
    Look(name="jobs that are done", series=pods(10, Succeeded=90), verdict=ABSENT, says="0 of 10 pods"),
    Look(name="machines without memory", series=memory(0.02, 0.03, 0.5), verdict=FOUND, says="2% of its"),
    Look(name="one machine without memory", series=memory(0.02, 0.5, 0.5), verdict=ABSENT),
    Look(name="machines without idle time", series=idle(0.01, 0.02, 0.5), verdict=FOUND, says="99% of"),
    Look(
        name="alerts alone",
        series=[series("ALERTS", [40], alertstate="firing")],
        verdict=ABSENT,
    ),
    Look(name="a cut answer", series=nodes(4, 4), verdict=UNKNOWN, incomplete="cut"),
    Look(name="nothing is collected", series=[], verdict=UNKNOWN),
]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_the_clusters_metrics_are_judged(look: Look) -> None:
    metrics = WorldMetrics(series=list(look.series), incomplete=look.incomplete)
    (fact,) = await pressure(metrics, IN_CLUSTER)
    assert fact.verdict is look.verdict
    assert look.says in fact.detail


async def test_nobody_asks_about_a_cluster_for_what_is_in_none() -> None:
    assert await pressure(WorldMetrics(series=nodes(1, 4)), {"alertname": "Demo", "service": "demo"}) == []


async def pressure(metrics: WorldMetrics, labels: dict[str, str]) -> list[Fact]:
    sources = Sources(metrics=(metrics,))
    investigator = DeterministicInvestigator(sources, FixedClock(), timedelta(seconds=5), timedelta(hours=1))
    answer = await investigator.investigate(case(alert(labels=labels)))
    return [fact for fact in answer.diagnosis.facts if fact.kind == "cluster_pressure"]
