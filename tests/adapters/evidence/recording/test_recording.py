"""What was recorded is replayed to the byte, whatever the sources did; and it can be asked something new."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from adapters.evidence.recording import Recorder, sources_in
from adapters.evidence.recording.codec import evidence_from_json, evidence_to_json
from adapters.evidence.snapshot import Snapshot, SnapshotHost, SnapshotMetrics, SnapshotSource
from bot.app.replay import Saved, replay
from bot.domain.errors import InputError
from bot.domain.evidence import (
    Change,
    Evidence,
    EvidenceStatus,
    LogLine,
    Sample,
    Series,
    TraceSpan,
    Window,
)
from bot.domain.ids import EvidenceId
from investigators.ports import Case, Investigation, MetricQuery, MetricSource
from investigators.queries import (
    ChangeQuery,
    EvidenceSource,
    GraphQuery,
    LogQuery,
    ObjectQuery,
    PastQuery,
    PodLogQuery,
    Query,
    RunbookQuery,
    Sources,
    SpanQuery,
    SurveyQuery,
    TableQuery,
)
from investigators.registry import DeterministicInvestigator
from tests.adapters.evidence.snapshot.writing import HOUR, NOW, ago, meta, pod, put, samples
from tests.fakes.evidence import FixedClock, WorldHost, WorldMetrics, series
from tests.investigators.world import LABELS, alert, case

LOOKBACK = timedelta(hours=1)
BODY = b'{"alertname": "Demo", "summary": "it is slow"}'


def as_bytes(answer: Investigation) -> bytes:
    return TypeAdapter(Investigation).dump_json(answer)


async def recorded(
    directory: Path,
    asked: Case,
    *,
    metrics: Sequence[MetricSource] = (),
    hosts: Sequence[Any] = (),
    wide: Sequence[EvidenceSource] = (),
    questions: Sequence[Query] = (),
    deadline: float = 5.0,
    body: bytes = BODY,
) -> tuple[Investigation, list[Evidence]]:
    """Investigate and record; ``questions`` are put to the wide sources besides."""
    recorder = Recorder(directory)
    listened = tuple(recorder.wide(source) for source in wide)
    engine = DeterministicInvestigator(
        Sources(
            metrics=tuple(recorder.metrics(source) for source in metrics),
            hosts=tuple(recorder.host(source) for source in hosts),
            wide=listened,
        ),
        FixedClock(asked.now),
        timedelta(seconds=deadline),
        LOOKBACK,
    )
    answer = await engine.investigate(asked)
    told = []
    for source in listened:
        for query in questions:
            if source.covers(query):
                told.append(await source.ask(query, HOUR, "subject"))
    saved = TypeAdapter(Saved).dump_json(Saved(case=asked, lookback=LOOKBACK)).decode()
    await recorder.finish(now=asked.now, alert=body, case=saved, evidence=answer.evidence)
    return answer, told


def world() -> tuple[WorldMetrics, WorldHost]:
    grows = [100e6 + 3e6 * index for index in range(120)]
    metrics = WorldMetrics(
        series=[
            series("process_resident_memory_bytes", grows, job="demo", instance="box:8000"),
            series("up", [1] * 60, job="demo", instance="box:8000"),
            series("rate:process_cpu_seconds_total", [0.1] * 60, job="demo", instance="box:8000"),
        ],
        expressions={"demo_errors > 1": [series("demo_errors", [2, 3, 4], job="demo")]},
        target_records=[
            {"job": "demo", "instance": "box:8000", "health": "up", "last_error": "", "last_scrape": "x"}
        ],
        rule_records=[
            {
                "name": "Demo",
                "query": "demo_errors > 1",
                "duration_s": 5,
                "state": "firing",
                "health": "ok",
                "last_error": "",
            }
        ],
    )
    host = WorldHost(
        process_records=[{"name": "demo", "status": "sleeping", "pid": 7, "rss_bytes": 1e8,
                          "cpu_percent": 1.0, "threads": 3, "open_files": 9, "started_at": ago(5000)}],
        disk_records=[{"mount": "/", "total_bytes": 10**9, "free_bytes": 10**6, "used_percent": 99.9,
                       "inodes_used_percent": 1.0}],
        lines=[LogLine(at=NOW - timedelta(seconds=i), text=f"ERROR boom {i}") for i in range(30, 0, -1)],
        exit_records=[],
    )  # fmt: skip
    return metrics, host


async def test_a_replay_is_the_recorded_investigation_to_the_byte(tmp_path: Path) -> None:
    metrics, host = world()
    answer, _ = await recorded(
        tmp_path / "r", case(alert(expr="demo_errors > 1")), metrics=[metrics], hosts=[host]
    )
    asked, again = await replay(tmp_path / "r")
    assert as_bytes(again) == as_bytes(answer)
    assert asked == case(alert(expr="demo_errors > 1"))
    assert {item.source for item in again.evidence} == {"world", "host:box"}
    assert len(again.evidence) > 20


@dataclass(slots=True)
class Misbehaving(WorldMetrics):
    """Does to ``process_*`` what its name says, and answers everything else."""

    manner: str = ""

    async def range(self, query: MetricQuery, window: Window, step: timedelta, subject: str) -> Evidence:
        found = await WorldMetrics.range(self, query, window, step, subject)
        if not query.metric.startswith("process_"):
            return found
        match self.manner:
            case "hangs":
                await asyncio.Event().wait()
            case "raises":
                raise RuntimeError("a bug")
            case "answers something else":
                return replace(found, kind="metric.instant")
            case "answers no evidence":
                return None  # type: ignore[return-value]
            case "claims an answer":
                return replace(found, status=EvidenceStatus.OK, series=(), records=())
            case "sends no numbers":
                bad = Series(name="x", labels={}, samples=(Sample(at=NOW, value=math.nan),) * 2)
                return replace(found, status=EvidenceStatus.OK, series=(bad, *found.series))
            case "sends garbage":
                return replace(found, status=EvidenceStatus.OK, series=("garbage",))  # type: ignore[arg-type]
        return found


@pytest.mark.parametrize(
    "manner",
    [
        "hangs",
        "raises",
        "answers something else",
        "answers no evidence",
        "claims an answer",
        "sends no numbers",
        "sends garbage",
    ],
)
async def test_what_a_misbehaving_source_did_is_replayed_to_the_byte(tmp_path: Path, manner: str) -> None:
    good, host = world()
    bad = Misbehaving(name="bad", series=good.series, manner=manner)
    answer, _ = await recorded(tmp_path / "r", case(alert()), metrics=[good, bad], hosts=[host], deadline=0.3)
    assert any(item.source == "bad" and item.reason for item in answer.evidence)
    _, again = await replay(tmp_path / "r")
    assert as_bytes(again) == as_bytes(answer)


EVERY: tuple[Query, ...] = (
    SurveyQuery(step=timedelta(seconds=1)),
    SurveyQuery(healthy=True, step=timedelta(seconds=1)),
    LogQuery(),
    ObjectQuery(object_kind="Pod"),
    ObjectQuery(object_kind="Secret", namespace="shop"),
    ObjectQuery(object_kind="NetworkPolicy"),
    PodLogQuery(namespace="shop", pod="a-1"),
    PodLogQuery(namespace="shop", pod="a-1", previous=True),
    SpanQuery(),
    ChangeQuery(),
    GraphQuery(),
    TableQuery(host="box", table="mounts"),
    RunbookQuery(url="https://example.org/disk-full"),
    PastQuery(),
)


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    root = tmp_path / "snapshot"
    meta(root, tempo="failed: 502 Bad Gateway")
    labels = {"job": "demo", "instance": "box:8000"}
    rows = [
        (ago(600 - 5.5 * i), "process_resident_memory_bytes", 1e8 + 3e6 * i + 0.1, labels) for i in range(100)
    ]
    samples(root, "metrics/a.csv", [*rows, *[(ago(300 - 15 * i), "up", 1, labels) for i in range(20)]])
    samples(root, "baseline/metrics/a.csv", [(ago(90_000 - i), "up", 1, labels) for i in range(5)])
    put(
        root,
        "logs/a.jsonl",
        [{"ts": ago(9.25), "message": f"ERROR {i % 3}", "service": "demo"} for i in range(9)],
    )
    secret = {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "s", "namespace": "shop"},
        "data": {"k": "v"},
    }
    put(root, "kubernetes/all.yaml", {"kind": "List", "items": [pod("a-1", app="a"), secret]})
    put(root, "kubernetes/networkpolicies.json", {"kind": "List", "items": []})
    put(
        root,
        "kubernetes/logs/shop/a-1/main.log",
        "2026-03-01T11:59:00.5Z hello\n  stack\n2026-03-01T11:59:01Z bye\n",
    )
    put(root, "kubernetes/logs/shop/a-1/main.previous.log", "2026-03-01T11:50:00Z died\n")
    put(
        root,
        "changes.jsonl",
        [{"ts": ago(50), "kind": "deploy", "id": "d1", "service": "demo", "files": ["a.py"]}],
    )
    put(root, "topology.json", {"nodes": [{"id": "q", "kind": "queue"}], "edges": [{"from": "a", "to": "b"}]})
    put(
        root,
        "hosts/box/mounts.json",
        [{"path": "/", "blocks": "1000", "blocks_size": "4096", "blocks_available": "5"}],
    )
    put(
        root,
        "hosts/box/processes.json",
        [{"name": "demo", "pid": "7", "resident_size": "1000", "state": "S"}],
    )
    put(root, "runbooks/disk-full.md", "# Disk full\nDelete logs.\n")
    put(root, "incidents.jsonl", [{"id": "1", "opened_at": "2026-02-01T00:00:00Z", "title": "like this"}])
    return Snapshot(root)


async def test_a_snapshot_that_is_recorded_again_is_the_same_to_the_byte(
    tmp_path: Path, snapshot: Snapshot
) -> None:
    answer, told = await recorded(
        tmp_path / "r",
        case(alert(labels={**LABELS, "instance": "box:8000"}, expr="up == 1")),
        metrics=[SnapshotMetrics(snapshot, "prometheus")],
        hosts=[SnapshotHost(snapshot, "box")],
        wide=[SnapshotSource(snapshot, "everything")],
        questions=EVERY,
    )
    assert len(told) == len(EVERY)
    _, again = await replay(tmp_path / "r")
    assert as_bytes(again) == as_bytes(answer)
    (source,) = sources_in(Snapshot(tmp_path / "r")).wide
    repeated = [await source.ask(query, HOUR, "subject") for query in EVERY if source.covers(query)]
    assert [evidence_to_json(one) for one in repeated] == [evidence_to_json(one) for one in told]


async def test_what_the_parts_reproduce_is_not_written_twice(tmp_path: Path, snapshot: Snapshot) -> None:
    reproduced = [query for query in EVERY if not isinstance(query, LogQuery | RunbookQuery | SpanQuery)]
    await recorded(
        tmp_path / "r",
        case(alert()),
        wide=[SnapshotSource(snapshot)],
        questions=reproduced,
    )
    lines = [json.loads(line) for line in (tmp_path / "r/recorded/answers.jsonl").read_text().splitlines()]
    answers = [json.loads(line["question"])[1].split(" ")[0] for line in lines if "answer" in line]
    # The investigation asks for these too; their answers are cut, so they are kept as they were.
    assert set(answers) <= {"log.lines", "trace.spans"}


async def test_a_recording_answers_new_questions_from_its_parts(tmp_path: Path, snapshot: Snapshot) -> None:
    await recorded(
        tmp_path / "r",
        case(alert(labels={**LABELS, "instance": "box:8000"})),
        metrics=[SnapshotMetrics(snapshot, "prometheus")],
        wide=[SnapshotSource(snapshot)],
        questions=EVERY,
    )
    sources = sources_in(Snapshot(tmp_path / "r"))
    (wide,) = sources.wide
    new = ObjectQuery(object_kind="Pod", namespace="shop", name="a-1")
    assert wide.covers(new)
    assert len((await wide.ask(new, HOUR, "x")).objects) == 1
    other = Window(start=NOW - timedelta(minutes=5), end=NOW)
    assert (await wide.ask(SurveyQuery(), other, "x")).status is EvidenceStatus.OK
    assert not wide.covers(ObjectQuery(object_kind="Deployment"))
    (metrics,) = sources.metrics
    found = await metrics.expression("up * 2", other, timedelta(minutes=1), "x")
    assert (found.source, found.series[0].samples[-1].value) == ("prometheus", 2)


async def test_a_source_that_failed_throughout_is_in_the_recordings_meta(
    tmp_path: Path, snapshot: Snapshot
) -> None:
    await recorded(
        tmp_path / "r", case(alert()), wide=[SnapshotSource(snapshot)], questions=[SpanQuery(), ChangeQuery()]
    )
    assert Snapshot(tmp_path / "r").failure is not None
    text = (tmp_path / "r/meta.yaml").read_text()
    assert "traces: 'failed: tempo: 502 Bad Gateway'" in text
    assert "changes" not in text


def test_a_recording_is_never_written_over_something(tmp_path: Path) -> None:
    put(tmp_path, "mine.txt", "precious")
    with pytest.raises(InputError, match="not empty"):
        Recorder(tmp_path)
    with pytest.raises(InputError):
        Recorder(tmp_path / "mine.txt")


async def test_a_secret_of_the_alert_is_not_written_down(tmp_path: Path) -> None:
    body = json.dumps({"alertname": "Demo", "summary": "password=hunter2-canary"}).encode()
    await recorded(tmp_path / "r", case(alert()), body=body)
    written = b"".join(path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file())
    assert b"hunter2-canary" not in written
    await recorded(tmp_path / "s", case(alert()), body=BODY)
    assert (tmp_path / "s/alert.json").read_bytes() == BODY


async def test_a_damaged_recording_is_named_with_its_line(tmp_path: Path) -> None:
    metrics, _ = world()
    await recorded(tmp_path / "r", case(alert()), metrics=[metrics])
    answers = tmp_path / "r/recorded/answers.jsonl"
    lines = answers.read_text().splitlines()
    answers.write_text("\n".join([lines[0], lines[1][:50], *lines[2:]]))
    with pytest.raises(InputError, match=r"answers.jsonl:2"):
        await replay(tmp_path / "r")


def test_every_field_of_evidence_survives_being_written() -> None:
    evidence = Evidence(
        id=EvidenceId("ev_recorded"),
        source="s",
        kind="k",
        query="q",
        window=Window(start=NOW - timedelta(microseconds=1), end=NOW + timedelta(microseconds=7)),
        taken_at=NOW + timedelta(microseconds=3),
        status=EvidenceStatus.OK,
        summary="é\n🙂",
        subject="x",
        excerpt="y",
        content_digest=None,
        link="http://x",
        reason="cut",
        manual="ls",
        outsider_writable=True,
        series=(Series(name="a", labels={"b": "c"}, samples=(Sample(at=NOW, value=0.1 + 0.2),)),),
        lines=(LogLine(at=None, text="", labels={}), LogLine(at=NOW, text="t", labels={"a": "b"})),
        records=({"a": None, "b": 1, "c": 1.5, "d": True, "e": "f"},),
        spans=(
            TraceSpan(trace_id="t", span_id="s", parent_id=None, service="a", operation="o", kind="",
                      start=NOW, duration_ms=1.25, error=True, peer="p", pod="q", attributes={"a": "b"}),
        ),
        changes=(Change(id="c", kind="deploy", at=NOW, files=("a", "b"), diff="+x"),),
        objects=({"kind": "Pod", "deep": [{"a": None}]},),
    )  # fmt: skip
    assert evidence_from_json(json.loads(json.dumps(evidence_to_json(evidence)))) == evidence


def test_a_directory_that_was_not_recorded_is_its_own_sources(snapshot: Snapshot, tmp_path: Path) -> None:
    sources = sources_in(snapshot)
    assert [source.name for source in sources.hosts] == ["host:box"]
    assert (len(sources.metrics), len(sources.wide)) == (1, 1)
    meta(tmp_path / "none")
    assert sources_in(Snapshot(tmp_path / "none")).metrics == ()


async def test_an_answer_that_cannot_be_recorded_is_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SnapshotSource):
        async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
            raise RuntimeError("nobody gathers this")

    meta(tmp_path / "s")
    put(tmp_path / "s", "changes.jsonl", [{"ts": ago(50), "id": "d1"}])
    recorder = Recorder(tmp_path / "r")
    source = recorder.wide(Broken(tmp_path / "s", "broken"))
    with pytest.raises(RuntimeError):
        await source.ask(ChangeQuery(), HOUR, "x")
    await recorder.finish(now=NOW, alert=BODY, case="{}", evidence=())
    assert "what broken said to change.list could not be recorded" in caplog.text
