"""A diagnosis says whose the cause is, and how far the trouble has spread, from what is declared."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.evidence.declared import DeclaredServices
from adapters.evidence.known import KnownGraph
from bot.app.replay import FixedClock, replay, replay_sources
from bot.domain.clock import from_rfc3339
from bot.domain.graph import Edge
from config.services import DeclaredService
from investigators.ports import Investigation
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.fakes.known_edges import KnownEdgesInMemory

NOW = from_rfc3339("2026-11-25T12:00:00Z")
OWNED = (
    DeclaredService(name="web", depends_on=("cart",), team="shop"),
    DeclaredService(name="cart", team="baskets", owner="ada"),
)


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """The web fails because the cart refuses its connections."""
    alert = {
        "version": "4", "groupKey": "g", "status": "firing", "receiver": "assent", "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 0,
        "alerts": [{
            "status": "firing",
            "labels": {"alertname": "ErrorsHigh", "service": "web", "severity": "warning"},
            "annotations": {"summary": "web fails"}, "startsAt": "2026-11-25T11:50:00Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "f1",
        }],
    }  # fmt: skip
    (tmp_path / "alert.json").write_text(json.dumps(alert))
    (tmp_path / "meta.yaml").write_text("now: 2026-11-25T12:00:00Z\n")
    lines = [
        {
            "ts": f"2026-11-25T11:5{minute}:00Z", "service": "web", "level": "error",
            "message": "error: dial tcp: connect to cart:8080: connection refused",
        }
        for minute in range(10)
    ]  # fmt: skip
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "web.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return tmp_path


async def look(case: Path, services: tuple[DeclaredService, ...], *seen: Edge) -> Investigation:
    recorded, _ = await replay(case)
    clock = FixedClock(NOW)
    wide = [
        *replay_sources(case).wide,
        DeclaredServices(services, clock),
        KnownGraph(KnownEdgesInMemory(*seen), clock),
    ]
    investigator = DeterministicInvestigator(
        Sources(wide=tuple(wide)), clock, timedelta(minutes=1), timedelta(hours=1)
    )
    return await investigator.investigate(recorded)


async def test_a_cause_at_another_service_is_said_to_be_its_owners(refused: Path) -> None:
    diagnosis = (await look(refused, OWNED)).diagnosis
    assert diagnosis.root_cause is not None
    assert diagnosis.root_cause.startswith("cart: ")
    assert "cart belongs to team baskets, ada (declared)." in diagnosis.summary


async def test_nothing_is_said_of_owners_that_nobody_declared_or_of_the_alerts_own(refused: Path) -> None:
    for services in ((OWNED[0],), ()):
        assert "belongs to" not in (await look(refused, services)).diagnosis.summary


async def test_the_spread_is_cited_with_where_the_edge_is_known_from_and_its_age(refused: Path) -> None:
    declared = await look(refused, OWNED)
    (fact,) = [one for one in declared.diagnosis.facts if one.kind == "dependents_affected"]
    assert "calls it: configuration" in fact.detail
    cited = {one.id: one.source for one in declared.evidence}
    assert "declared services" in {cited[i] for i in fact.evidence_ids}
    assert fact.detail in {one.finding for one in declared.diagnosis.citations}
    seen = Edge(
        source="web", target="cart", kind="calls", origin="spans", seen_at=NOW - timedelta(hours=3),
        source_kind="service", target_kind="service",
    )  # fmt: skip
    before = await look(refused, (), seen)
    (fact,) = [one for one in before.diagnosis.facts if one.kind == "dependents_affected"]
    assert "calls it: spans, 3 h ago" in fact.detail
    assert before.edges == (seen,), "reading it again does not make it younger"


async def test_without_an_edge_nothing_is_said_of_dependents(refused: Path) -> None:
    investigation = await look(refused, ())
    assert [one for one in investigation.diagnosis.facts if one.kind == "dependents_affected"] == []
