"""How many services are known to depend on an action's target: it raises a risk, and never lowers one."""

from __future__ import annotations

import pytest

from approvals.blast import with_dependents
from approvals.catalogue import builtin_catalogue
from approvals.policy import RiskSettings, compute_risk
from bot.domain.graph import Dependents, Edge
from bot.domain.proposal import Risk
from tests.approvals import world
from tests.approvals.world import START


def edges(count: int, target: str = "web") -> list[Edge]:
    return [
        Edge(source=f"s{n:02}", target=target, kind="calls", origin="spans", seen_at=START)
        for n in range(count)
    ]


def test_nobody_known_is_told_as_nobody_known_and_leaves_the_radius() -> None:
    assert with_dependents(world.target(blast_radius=3), []) == world.target(
        blast_radius=3, dependents=Dependents()
    )


def test_the_greater_number_is_the_radius() -> None:
    found = with_dependents(world.target(blast_radius=1), edges(7))
    assert found.blast_radius == 7
    assert found.dependents == Dependents(names=("s00", "s01", "s02", "s03", "s04"), seen_at=START, more=2)
    assert found.dependents.count == 7
    assert with_dependents(world.target(blast_radius=20), edges(7)).blast_radius == 20


@pytest.mark.parametrize("label", ["service", "app", "app.kubernetes.io/name"])
def test_a_target_goes_by_its_labels_too(label: str) -> None:
    target = world.target(name="web-1", labels={label: "Web"})
    assert with_dependents(target, edges(2)).blast_radius == 2


def test_the_service_of_the_incident_is_not_the_target() -> None:
    assert with_dependents(world.target(name="helper"), edges(9)).blast_radius == 1


def test_hiding_an_alert_stops_nothing() -> None:
    silence = world.target(kind="silence", name="service=web", labels={"service": "web"}, blast_radius=2)
    assert with_dependents(silence, edges(30)) == silence


@pytest.mark.parametrize(("count", "risk"), [(0, Risk.LOW), (4, Risk.LOW), (5, Risk.MEDIUM), (10, Risk.HIGH)])
def test_the_risk_rises_with_the_dependents(count: int, risk: Risk) -> None:
    spec = builtin_catalogue()["process.restart"]
    target = with_dependents(world.target(), edges(count))
    assert compute_risk(spec, target, world.incident(), RiskSettings()) is risk
