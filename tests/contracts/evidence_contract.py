"""What every source of evidence must do, real or fake."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.domain.evidence import Change, Evidence, EvidenceStatus, Window, content_digest
from investigators.ports import HostQuery, HostSource, Matcher, MatchOp, MetricQuery, MetricSource
from investigators.queries import (
    ChangeQuery,
    EvidenceSource,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PodLogQuery,
    Query,
)

_STEP = timedelta(seconds=1)


def check_evidence(evidence: Evidence, *, kind: str, source: str) -> None:
    """Whatever the answer: it says what it is, digests what it shows, and explains itself."""
    assert (evidence.kind, evidence.source) == (kind, source)
    assert evidence.id
    assert evidence.query
    assert evidence.summary
    assert evidence.taken_at.tzinfo is not None
    match evidence.status:
        case EvidenceStatus.OK:
            assert evidence.filled
            assert evidence.excerpt
            assert evidence.content_digest == content_digest(evidence.excerpt)
        case EvidenceStatus.EMPTY:
            assert evidence.reason
            assert not evidence.filled
        case EvidenceStatus.FAILED:
            assert evidence.reason
            assert evidence.content_digest is None
            assert not evidence.filled
    for one in evidence.series:
        times = [sample.at for sample in one.samples]
        assert times == sorted(times)
        assert times
        assert "__name__" not in one.labels
    for line in evidence.lines:
        assert line.at is None or line.at.tzinfo is not None
    for span in evidence.spans:
        assert span.trace_id
        assert span.span_id
        assert span.start.tzinfo is not None
        assert span.duration_ms >= 0
        assert span.kind in ("client", "server", "internal", "producer", "consumer", "")
    _check_changes(evidence.changes)
    for document in evidence.objects:
        json.dumps(document)  # as an API prints it: nothing but JSON


def _check_changes(changes: Sequence[Change]) -> None:
    """Oldest first, each with an id of its own."""
    assert [one.at for one in changes] == sorted(one.at for one in changes)
    assert len({one.id for one in changes}) == len(changes)
    for change in changes:
        assert change.id
        assert change.at.tzinfo is not None
        assert change.kind in ("deploy", "commit", "config", "flag", "scale", "rollback")


async def check_evidence_source(
    source: EvidenceSource,
    cases: Sequence[tuple[Query, EvidenceStatus]],
    window: Window,
    *,
    unanswered: Query,
) -> list[Evidence]:
    """Each case with the status its answer must have; ``unanswered`` is of a type it does not answer. Returns
    the answers, in the order of the cases."""
    answers = []
    for query, status in cases:
        assert type(query) in source.answers
        assert source.covers(query)
        evidence = await source.ask(query, window, "subject")
        check_evidence(evidence, kind=query.kind, source=source.name)
        assert evidence.status is status, (evidence.query, evidence.status, evidence.reason)
        assert (evidence.window, evidence.subject) == (window, "subject") or getattr(query, "healthy", False)
        if evidence.status is not EvidenceStatus.FAILED:
            assert evidence.manual == source.command(query, window)
        _check_answer(query, evidence)
        answers.append(evidence)
    assert type(unanswered) not in source.answers
    assert not source.covers(unanswered)
    refused = await source.ask(unanswered, window, "subject")
    check_evidence(refused, kind=unanswered.kind, source=source.name)
    assert refused.status is EvidenceStatus.FAILED
    return answers


def _check_answer(query: Query, evidence: Evidence) -> None:
    """The structured data is of the shape the query promises."""
    match query:
        case ObjectQuery():
            for document in evidence.objects:
                assert document["kind"] == query.object_kind
                assert document["apiVersion"]
                metadata = document["metadata"]
                assert query.name in (None, metadata["name"])
                assert query.namespace in (None, metadata.get("namespace"))
                if query.object_kind in ("Secret", "ConfigMap"):
                    assert set(document.get("data", {}).values()) <= {""}
        case PodLogQuery():
            for line in evidence.lines:
                assert line.labels["namespace"] == query.namespace
                assert line.labels["pod"] == query.pod
                assert query.container in (None, line.labels["container"])
        case GraphQuery():
            for record in evidence.records:
                assert record["from"]
                if record["to"] is not None:
                    assert record["kind"] in ("calls", "runs_on", "uses", "routes_to")
                    assert record["origin"]
        case ChangeQuery():
            assert len(evidence.changes) <= query.limit
            if query.services:
                assert {change.service for change in evidence.changes} <= set(query.services)
        case LogQuery():
            assert len(evidence.lines) <= query.limit
        case _:
            pass


async def check_metric_source(source: MetricSource, known: Matcher, now: datetime) -> None:
    """``known`` must select a series of ``up`` that exists now, and its target."""
    window = Window(start=now - timedelta(seconds=30), end=now)
    here = MetricQuery(metric="up", matchers=(known,))
    nowhere = MetricQuery(metric="no_such_metric_anywhere", matchers=(known,))

    found = await source.range(here, window, _STEP, "subject")
    check_evidence(found, kind="metric.range", source=source.name)
    assert found.status is EvidenceStatus.OK, found.reason
    assert all(one.name == "up" for one in found.series)
    assert all(one.labels.get(known.label) == known.value for one in found.series)
    assert all(window.start <= s.at <= window.end + _STEP for one in found.series for s in one.samples)
    assert found.subject == "subject"

    missing = await source.range(nowhere, window, _STEP, "subject")
    check_evidence(missing, kind="metric.range", source=source.name)
    assert missing.status is EvidenceStatus.EMPTY
    assert missing.manual

    current = await source.instant(here, now, "subject")
    check_evidence(current, kind="metric.instant", source=source.name)
    assert [len(one.samples) for one in current.series] == [1] * len(current.series)
    assert current.series

    target = await source.targets((known,), now, "subject")
    check_evidence(target, kind="metric.targets", source=source.name)
    assert {"job", "instance", "health", "last_error", "last_scrape"} <= set(target.records[0])
    other = Matcher(label=known.label, op=MatchOp.EQUAL, value="nowhere-at-all")
    assert (await source.targets((other,), now, "subject")).status is EvidenceStatus.EMPTY

    rules = await source.rules("NoSuchRuleAnywhere", now)
    check_evidence(rules, kind="metric.rules", source=source.name)
    assert rules.status is EvidenceStatus.EMPTY

    expression = await source.expression("no_such_metric_anywhere > 1", window, _STEP, "subject")
    check_evidence(expression, kind="metric.expression", source=source.name)
    assert expression.status is EvidenceStatus.EMPTY
    assert "no_such_metric_anywhere" in source.command(nowhere, window)


async def check_host_source(source: HostSource, query: HostQuery, window: Window) -> None:
    """``query`` must name a declared process that runs."""
    parts = {
        "processes": "host.process",
        "resources": "host.resources",
        "disks": "host.disk",
        "ports": "host.ports",
        "log": "log.tail",
        "exits": "host.exits",
    }
    for part, kind in parts.items():
        evidence: Evidence = await getattr(source, part)(query, window)
        check_evidence(evidence, kind=kind, source=source.name)
        assert source.command(part, query)
        if part == "processes":
            (record,) = evidence.records
            assert record["name"] == query.process
            assert record["status"] != "not_running"
        if part == "log":
            assert evidence.status is not EvidenceStatus.OK or evidence.outsider_writable
