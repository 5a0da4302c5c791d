"""The service graph as it is declared and as it was seen before, as sources of evidence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.evidence.declared import DeclaredServices, declared_edges
from adapters.evidence.known import KnownGraph
from adapters.storage import SqlStore, open_store
from bot.domain.errors import IntegrityError, Unavailable
from bot.domain.evidence import EvidenceStatus, Window
from bot.domain.graph import Owner
from config.services import DeclaredService
from investigators.queries import GraphQuery, LogQuery
from investigators.world.building import build_world
from tests.contracts.evidence_contract import check_evidence_source
from tests.contracts.store_nouns import NOW, StillClock, Woken, declared_edge, edge
from tests.fakes.known_edges import KnownEdgesInMemory

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
SERVICES = (
    DeclaredService(name="shop", depends_on=("orders-db", "payments"), team="web"),
    DeclaredService(name="orders-db", kind="datastore", team="storage", owner="ada"),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=Woken()) as opened:
        yield opened


async def test_declared_services_keep_the_contract() -> None:
    source = DeclaredServices(SERVICES, StillClock())
    (answer,) = await check_evidence_source(
        source, [(GraphQuery(), EvidenceStatus.OK)], WINDOW, unanswered=LogQuery()
    )
    assert answer.excerpt == (
        "shop (service): team web\n  depends on orders-db (declared)\n  depends on payments (declared)\n"
        "orders-db (datastore): team storage, ada"
    )
    nobody = DeclaredServices((), StillClock())
    await check_evidence_source(nobody, [(GraphQuery(), EvidenceStatus.EMPTY)], WINDOW, unanswered=LogQuery())


def test_a_declared_dependency_on_a_datastore_uses_it_and_on_others_calls_them() -> None:
    found = [(e.source, e.kind, e.target, e.target_kind, e.declared) for e in declared_edges(SERVICES)]
    assert found == [
        ("shop", "uses", "orders-db", "datastore", True),
        ("shop", "calls", "payments", "service", True),
    ]


async def test_a_world_knows_declared_edges_as_declared_and_whose_services_are() -> None:
    answer = await DeclaredServices(SERVICES, StillClock()).ask(GraphQuery(), WINDOW, "shop")
    graph = build_world(NOW, NOW, (), (), [(GraphQuery(), answer)]).graph
    assert [e.told(NOW) for e in graph.dependencies("shop")] == ["configuration", "configuration"]
    assert graph.kinds["orders-db"] == "datastore"
    assert graph.owners == {"shop": Owner(team="web"), "orders-db": Owner(team="storage", person="ada")}
    assert graph.kept(NOW) == (), "what is declared is kept by the configuration alone"


async def test_what_was_seen_before_keeps_the_contract(store: SqlStore) -> None:
    source = KnownGraph(store, StillClock())
    await check_evidence_source(source, [(GraphQuery(), EvidenceStatus.EMPTY)], WINDOW, unanswered=LogQuery())
    async with store.transaction() as tx:
        await tx.declare_edges([declared_edge("a", "b")], NOW)
        await tx.keep_edges([edge("cart", "db", seen_at=NOW - timedelta(hours=3))], NOW - timedelta(days=7))
    (answer,) = await check_evidence_source(
        source, [(GraphQuery(), EvidenceStatus.OK)], WINDOW, unanswered=LogQuery()
    )
    assert answer.excerpt == "cart calls db (spans, 3 h ago)"
    assert answer.outsider_writable


async def test_reading_what_was_seen_before_does_not_make_it_younger() -> None:
    old = edge("cart", "db", seen_at=NOW - timedelta(days=6))
    answer = await KnownGraph(KnownEdgesInMemory(old), StillClock()).ask(GraphQuery(), WINDOW, "cart")
    graph = build_world(NOW, NOW, (), (), [(GraphQuery(), answer)]).graph
    assert graph.kept(NOW) == (old,)


async def test_edges_seen_after_the_window_are_left_out() -> None:
    known = KnownEdgesInMemory(edge("a", "b", seen_at=NOW + timedelta(minutes=1)))
    answer = await KnownGraph(known, StillClock()).ask(GraphQuery(), WINDOW, "a")
    assert answer.status is EvidenceStatus.EMPTY


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (KnownEdgesInMemory(error=Unavailable("store", "disk full")), "disk full"),
        (KnownEdgesInMemory(error=IntegrityError("torn page")), "torn page"),
        (KnownEdgesInMemory(hang=True), "timeout after 0.01 s"),
    ],
)
async def test_a_store_that_does_not_answer_is_a_gap(known: KnownEdgesInMemory, reason: str) -> None:
    source = KnownGraph(known, StillClock(), timeout=timedelta(milliseconds=10))
    (answer,) = await check_evidence_source(
        source, [(GraphQuery(), EvidenceStatus.FAILED)], WINDOW, unanswered=LogQuery()
    )
    assert reason in (answer.reason or "")
