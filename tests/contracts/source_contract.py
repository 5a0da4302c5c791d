"""What every source of typed questions must do, real or fake."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.evidence import Evidence, EvidenceStatus, Window
from investigators.queries import EvidenceSource, GraphQuery, Query
from tests.contracts.evidence_contract import check_evidence


async def check_source(source: EvidenceSource, known: Query, nothing: Query, window: Window) -> Evidence:
    """``known`` must find something in the window, ``nothing`` must find nothing; both of one type."""
    assert type(known) in source.answers
    assert source.covers(known)
    foreign = GraphQuery()
    assert not source.covers(foreign)
    assert source.command(foreign, window) is None
    refused = await source.ask(foreign, window, "subject")
    check_evidence(refused, kind=foreign.kind, source=source.name)
    assert refused.status is EvidenceStatus.FAILED

    found = await source.ask(known, window, "subject")
    check_evidence(found, kind=known.kind, source=source.name)
    assert found.status is EvidenceStatus.OK, found.reason
    assert found.subject == "subject"
    assert found.manual == source.command(known, window)
    assert found.manual
    for one in found.series:
        assert all(window.start <= sample.at <= window.end for sample in one.samples)
    times = [line.at for line in found.lines if line.at is not None]
    assert times == sorted(times)
    assert all(window.start <= at < window.end for at in times)
    assert [span.start for span in found.spans] == sorted(span.start for span in found.spans)
    assert found.outsider_writable == bool(found.lines or found.spans)

    again = await source.ask(known, window, "subject")
    assert (again.series, again.lines, again.spans) == (found.series, found.lines, found.spans)

    missing = await source.ask(nothing, window, "subject")
    check_evidence(missing, kind=nothing.kind, source=source.name)
    assert missing.status is EvidenceStatus.EMPTY, missing.reason

    never = Window(start=window.end, end=window.end)
    backwards = Window(start=window.end, end=window.end - timedelta(seconds=1))
    for impossible in (never, backwards):
        assert (await source.ask(known, impossible, "subject")).status is EvidenceStatus.FAILED
    return found
