"""The conversion keeps what an investigation may see and hides the truth from it."""

# ruff: noqa: E501
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.convert.rootcausebench import cases, convert
from benchmarks.convert.worlds import load
from benchmarks.rootcausebench import judge, score, truth
from investigators.changes.verdict import Rules

SHA = {name: f"{index:040x}" for index, name in enumerate(("culprit", "decoy", "undeployed"), start=0xABC)}


def _rows() -> dict[str, Any]:
    return {
        "data/alert.json": {
            "service": "users", "metric": "http_5xx_ratio", "threshold": 0.02, "observed": 0.6,
            "fired_at": "2026-06-23T09:45:00Z", "severity": "high", "monitor": "users-errors", "summary": "users returning 500s",
        },
        "data/traces.json": [
            {"trace_id": "t", "span_id": "a", "parent_id": None, "service": "web", "name": "GET /", "start": "2026-06-23T09:43:00Z",
             "duration_ms": 12, "status": "ERROR"},
            {"trace_id": "t", "span_id": "b", "parent_id": "a", "service": "users", "name": "Name", "start": "2026-06-23T09:43:00Z",
             "duration_ms": 3, "status": "ERROR", "error": "nil pointer dereference", "attributes": {"id": 7}},
        ],
        "data/patterns.json": [
            {"signature": "panic: nil pointer", "service": "users", "count": 40, "delta_vs_baseline": "+38", "sentiment": "negative"},
            {"signature": "handled", "service": "users", "count": 0, "delta_vs_baseline": "-300", "sentiment": "neutral"},
        ],
        "data/status_feed.json": {
            "provider": "dnsco", "events": [{"timestamp": "2026-06-23T09:00:00Z", "status": "operational", "detail": "all well"}],
            "error_rate_pct": [{"timestamp": "2026-06-23T09:00:00Z", "value": 0.1}],
        },
        "data/context/commits.json": [
            {"sha": SHA["culprit"], "author": "a", "timestamp": "2026-06-23T09:00:00Z", "message": "simplify name",
             "files_changed": ["services/users/name.go"], "diff": "-\tif u == nil {\n-\t\treturn none\n-\t}\n"},
            {"sha": SHA["decoy"], "author": "b", "timestamp": "2026-06-23T09:10:00Z", "message": "tidy log",
             "files_changed": ["services/users/log.go"], "diff": None},
            {"sha": SHA["undeployed"], "author": "c", "timestamp": "2026-06-23T09:12:00Z", "message": "docs",
             "files_changed": ["docs/a.md"], "diff": None},
        ],
        "data/context/deploys.json": [
            {"timestamp": "2026-06-23T09:40:00Z", "service": "users", "commit_sha": SHA["culprit"], "version": "v2"},
            {"timestamp": "2026-06-23T09:41:00Z", "service": "users", "commit_sha": SHA["decoy"], "version": "v3"},
        ],
        "data/context/flags.json": [
            {"timestamp": "2026-06-23T09:42:00Z", "flag": "new_ui", "service": "web", "change": "off->on", "actor": "d"}
        ],
        "ground_truth.json": {
            "root_cause_commit": SHA["culprit"], "first_failing_service": "users", "decoy_deploy_commits": [SHA["decoy"]],
            "notes": "SECRET-NOTE", "blast_radius": ["web"], "remediation": "SECRET-REMEDY",
        },
    }  # fmt: skip


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A converted incident."""
    source = tmp_path / "source" / "nil"
    for name, row in _rows().items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row))
    lines = [
        {"timestamp": "2026-06-23T09:00:00Z", "service": "users", "severity_text": "INFO", "msg": "handled", "trace_id": "x"},
        {"timestamp": "2026-06-23T09:43:01Z", "service": "users", "severity_text": "ERROR", "msg": "panic: nil pointer dereference",
         "stack": "name.go:7"},
    ]  # fmt: skip
    (source / "data" / "logs.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (source / "data" / "metrics.csv").write_text(
        "timestamp,service,metric,value\n2026-06-23T09:50:00Z,users,http_5xx_ratio,0.6\n"
    )
    (found,) = cases(source.parent)
    convert(found, tmp_path / "out" / "nil")
    return tmp_path / "out" / "nil"


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_truth_is_in_expected_yaml_and_nowhere_else(case: Path) -> None:
    texts = {
        path.relative_to(case).as_posix(): path.read_text() for path in case.rglob("*") if path.is_file()
    }
    told = texts.pop("expected.yaml")

    assert json.loads(told)["culprit_change"] == SHA["culprit"]
    assert "SECRET" not in told
    assert not any("SECRET" in text or "decoy" in text for text in texts.values())
    changes = _lines(case / "changes.jsonl")
    assert {frozenset(row) - {"service", "version"} for row in changes if row["kind"] != "flag"} == {
        frozenset(("ts", "kind", "id", "title", "author", "files", "diff"))
    }


def test_a_deployed_commit_carries_its_deployment(case: Path) -> None:
    changes = {row["id"]: row for row in _lines(case / "changes.jsonl")}

    deployed, undeployed = changes[SHA["culprit"]], changes[SHA["undeployed"]]
    assert (deployed["kind"], deployed["ts"], deployed["service"]) == (
        "deploy",
        "2026-06-23T09:40:00Z",
        "users",
    )
    assert (undeployed["kind"], undeployed["ts"]) == ("commit", "2026-06-23T09:12:00Z")
    assert [row["kind"] for row in changes.values()].count("flag") == 1


def test_a_pattern_says_that_it_is_a_count_and_a_vanished_one_is_no_line(case: Path) -> None:
    (only,) = _lines(case / "logs" / "patterns.jsonl")

    assert (only["labels"]["count"], only["labels"]["delta"]) == ("40", "38")
    assert only["ts"] == "2026-06-23T09:50:00Z"


def test_the_rest_of_a_line_and_of_a_span_is_kept(case: Path) -> None:
    world = load(case)

    assert any(line.labels.get("stack") == "name.go:7" for line in world.lines[0].evidence.lines)
    assert world.spans[1].attributes == {"error": "nil pointer dereference", "attributes": "id=7"}
    assert [edge.target for edge in world.graph.dependencies("web")] == ["users"]


def test_status_pages_become_lines_and_series(case: Path) -> None:
    assert "all well" in _lines(case / "logs" / "status.jsonl")[0]["message"]
    assert "error_rate_pct" in (case / "metrics" / "status.csv").read_text()


def test_the_score_counts_what_the_paper_counts(case: Path) -> None:
    result = score(judge({"nil": load(case)}, Rules()), {"nil": truth(case)})

    assert (result.first, result.within_three, result.culprits, result.decoys_first) == (1, 1, 1, 0)
