"""What every source of evidence must do, real or fake."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.evidence import Evidence, EvidenceStatus, Window, content_digest
from investigators.ports import HostQuery, HostSource, Matcher, MatchOp, MetricQuery, MetricSource

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
