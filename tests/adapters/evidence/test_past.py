"""The bot's own past incidents as a source, over the real store and over one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.evidence.past import PastIncidents
from adapters.storage import SqlStore, open_store
from bot.domain.errors import IntegrityError, Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict, Window, content_digest
from bot.domain.incident import IncidentState
from bot.domain.past import PastIncident
from investigators.queries import EvidenceSource, LogQuery, PastQuery
from investigators.similar import similar
from tests.contracts.store_nouns import NOW, StillClock, Woken, add_incident, incident, past_incident
from tests.investigators.world import alert, case

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with open_store(tmp_path / "assent.db", clock=StillClock(), wake=Woken()) as opened:
        yield opened


async def keep(store: SqlStore, *kept: PastIncident) -> None:
    for number, one in enumerate(kept, 1):
        await add_incident(store, incident(number, state=IncidentState.RESOLVED, run=1))
        async with store.transaction() as tx:
            await tx.remember(one)


def source_of(store: SqlStore) -> EvidenceSource:
    return PastIncidents(store, StillClock())


async def test_past_incidents_are_answered_as_the_query_says(store: SqlStore) -> None:
    await keep(store, past_incident(1))
    source = source_of(store)
    assert source.covers(PastQuery())
    assert not source.covers(LogQuery())
    assert source.command(PastQuery(), WINDOW) is None
    evidence = await source.ask(PastQuery(), WINDOW, "checkout")
    assert (evidence.status, evidence.kind, evidence.source) == (
        EvidenceStatus.OK,
        "incident.past",
        source.name,
    )
    assert evidence.reason is None
    assert evidence.outsider_writable
    assert evidence.content_digest == content_digest(evidence.excerpt)
    assert "process.restart of checkout, verified" in evidence.excerpt
    assert evidence.objects == (
        {
            "id": "inc_1",
            "short_id": "K7Q2",
            "service": "checkout",
            "environment": None,
            "title": "HighMemory: memory grows",
            "alert_names": ["HighMemory"],
            "facts": [["memory_growth", "", "own"], ["oom_killed", "pod", "dependency"]],
            "cause": {"object": "checkout", "object_kind": "service", "fault": "memory_growth"},
            "root_cause": "checkout: memory keeps growing",
            "resolution": "process.restart of checkout, verified: it helped",
            "opened_at": "2026-11-21T02:00:00.123456Z",
            "resolved_at": "2026-11-21T03:00:00.123456Z",
            "quality": 0.8,
        },
    )


async def test_what_is_answered_can_be_searched_for_similar_ones(store: SqlStore) -> None:
    await keep(store, past_incident(1))
    evidence = await source_of(store).ask(PastQuery(), WINDOW, "")
    leak = Fact(
        kind="memory_growth",
        verdict=FactVerdict.FOUND,
        confidence=0.9,
        subject="checkout",
        evidence_ids=(),
        rule="r",
    )
    asked = case(alert("HighMemory"), now=NOW + timedelta(hours=1))
    asked = replace(asked, incident=replace(asked.incident, id=incident(9).id, service="checkout"))
    (found,) = similar([leak], asked, evidence.objects)
    assert found.short_id == "K7Q2"
    assert found.shared == ("memory_growth", "the same service", "the alert HighMemory")


async def test_without_a_past_the_answer_is_empty_and_says_so(store: SqlStore) -> None:
    evidence = await source_of(store).ask(PastQuery(), WINDOW, "")
    assert evidence.status is EvidenceStatus.EMPTY
    assert evidence.reason


async def test_what_is_resolved_after_the_window_is_not_known_yet(store: SqlStore) -> None:
    await keep(store, past_incident(1))
    before = Window(start=NOW - timedelta(hours=2), end=NOW - timedelta(hours=1))
    assert (await source_of(store).ask(PastQuery(), before, "")).status is EvidenceStatus.EMPTY


async def test_an_answer_cut_at_its_limit_says_that_there_may_be_more(store: SqlStore) -> None:
    await keep(store, *(past_incident(n, resolved_at=NOW - timedelta(days=n)) for n in (1, 2, 3)))
    evidence = await source_of(store).ask(PastQuery(limit=2), WINDOW, "")
    assert [one["id"] for one in evidence.objects] == ["inc_1", "inc_2"]
    assert evidence.reason == "only the newest 2"


async def test_another_question_is_a_gap_and_no_answer(store: SqlStore) -> None:
    evidence = await source_of(store).ask(LogQuery(), WINDOW, "")
    assert evidence.status is EvidenceStatus.FAILED
    assert evidence.kind == "log.lines"


@dataclass
class BrokenMemory:
    """Raises, or never answers."""

    error: Exception | None

    async def past_incidents(self, limit: int, before: datetime) -> Sequence[PastIncident]:
        if self.error is None:
            await asyncio.Event().wait()
            return []
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("store", "disk I/O error"), "disk I/O error"),
        (IntegrityError("a stored PastIncident cannot be read: quality"), "cannot be read"),
        (None, "timeout after 0.01 s"),
    ],
)
async def test_a_store_that_fails_or_hangs_is_a_gap_and_no_absence(
    error: Exception | None, reason: str
) -> None:
    source = PastIncidents(BrokenMemory(error), StillClock(), timedelta(milliseconds=10))
    evidence: Evidence = await source.ask(PastQuery(), WINDOW, "")
    assert evidence.status is EvidenceStatus.FAILED
    assert reason in (evidence.reason or "")
    assert evidence.content_digest is None
    assert not evidence.filled
