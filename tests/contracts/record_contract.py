"""What every source of typed questions must do, whatever it asks."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.evidence import Evidence, EvidenceStatus, Window
from investigators.queries import EvidenceSource, GraphQuery, Query, SurveyQuery
from tests.contracts.evidence_contract import check_evidence

FOREIGN: tuple[Query, ...] = (GraphQuery(), SurveyQuery())
"""Questions that no source of records answers."""


async def check_source(
    source: EvidenceSource, query: Query, window: Window, *, secrets: Sequence[str]
) -> Evidence:
    """``query`` must find something. Returns the answer."""
    assert type(query) in source.answers
    assert source.covers(query)
    command = source.command(query, window)
    assert command
    found = await source.ask(query, window, "subject")
    check_evidence(found, kind=query.kind, source=source.name)
    assert found.status is EvidenceStatus.OK, found.reason
    assert found.subject == "subject"
    assert found.window == window
    assert found.manual == command
    assert not any(secret in repr(found) for secret in secrets)
    for foreign in FOREIGN:
        assert type(foreign) not in source.answers
        assert not source.covers(foreign)
        assert source.command(foreign, window) is None
        refused = await source.ask(foreign, window, "subject")
        check_evidence(refused, kind=foreign.kind, source=source.name)
        assert refused.status is EvidenceStatus.FAILED
    return found


def check_failed(evidence: Evidence, *, kind: str, source: str, reason: str) -> None:
    """A gap with this in its reason."""
    check_evidence(evidence, kind=kind, source=source)
    assert evidence.status is EvidenceStatus.FAILED, evidence
    assert reason in (evidence.reason or ""), evidence.reason
