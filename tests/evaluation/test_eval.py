"""`assent eval`: suites are found, run in processes, scored and reported; a crash is one wrong case."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.domain.errors import InputError
from bot.evaluation.cases import CaseFile, find_cases
from bot.evaluation.report import as_json, summarise
from bot.evaluation.running import Outcome, run_case, run_cases
from tests.adapters.evidence.snapshot.writing import ago, meta, put, samples
from tests.bot.cli.test_commands import assent

DOWN = {"causes": [{"object": "box:8000", "fault": "target_down"}], "tags": ["metrics"]}


def down(root: Path, expected: dict[str, Any] | None = DOWN, *, up: float = 0) -> Path:
    """A case in which a target is down (or up)."""
    meta(root)
    labels = {"job": "demo", "instance": "box:8000"}
    samples(root, "metrics/up.csv", [(ago(600 - 15 * i), "up", up, labels) for i in range(41)])
    put(root, "alert.json", json.dumps({"alertname": "Down", "severity": "critical", **labels}))
    if expected is not None:
        put(root, "expected.yaml", yaml.safe_dump(expected))
    return root


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    down(tmp_path / "suite/metrics/right")
    down(tmp_path / "suite/metrics/wrong", {"causes": [{"object": "other"}], "tags": ["metrics", "hard"]})
    down(tmp_path / "suite/quiet", {"healthy": True, "tags": ["quiet"]}, up=1)
    return tmp_path / "suite"


def test_a_suite_is_scored_reported_and_judged(suite: Path, tmp_path: Path) -> None:
    done = assent("eval", suite, "--report", tmp_path / "report.jsonl", "--min", "0.6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right@1" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [(line["case"], line["right_at_1"]) for line in lines] == [
        ("metrics/right", True),
        ("metrics/wrong", False),
        ("quiet", True),
    ]
    assert set(lines[0]) == {
        "case",
        "verdict",
        "ranked",
        "culprit_changes",
        "no_culprit",
        "band",
        "seconds",
        "expected",
        "right_at_1",
        "right_at_3",
    }
    assert set(lines[0]["ranked"][0]) == {"object", "object_kind", "fault", "score", "evidence"}
    assert lines[0]["expected"] == DOWN
    strict = assent("eval", suite, "--min", "0.7", "--only", "metrics/*", "--jobs", "1", "--json")
    assert strict.returncode == 1
    summary = json.loads(strict.stdout)
    assert summary["right_at_1"] == {"right": 1, "of": 2, "share": 0.5}
    assert summary["by_tag"]["hard"]["right_at_1"]["right"] == 0
    assert set(summary["by_fault"]) == {"target_down", "any fault"}


def test_a_case_that_breaks_is_wrong_and_the_others_go_on(suite: Path) -> None:
    (suite / "quiet/alert.json").write_text("{")
    done = assent("eval", suite, "--json")
    assert done.returncode == 1
    assert "quiet: InputError" in done.stderr
    summary = json.loads(done.stdout)
    assert (summary["cases"], summary["crashed"], summary["right_at_1"]["right"]) == (3, 1, 1)


def fails(case: CaseFile) -> Outcome:
    """Run in a spawned process: one case kills it, one leaves it."""
    if case.name.endswith("right"):
        os.kill(os.getpid(), signal.SIGKILL)
    if case.name.endswith("wrong"):
        sys.exit(3)
    return run_case(case)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_case_that_kills_its_process_takes_no_other_with_it(suite: Path, jobs: int) -> None:
    cases = find_cases(suite)
    outcomes = run_cases(cases, jobs, fails)
    told = [(one.line["case"], one.line.get("error"), one.line["right_at_1"]) for one in outcomes]
    assert told[0] == ("metrics/right", "the process that ran it died", False)
    assert told[1][1] is not None
    assert told[2] == ("quiet", None, True)


def test_the_same_suite_gives_the_same_report_but_for_the_time(suite: Path) -> None:
    cases = find_cases(suite)

    def lines(jobs: int) -> list[dict[str, Any]]:
        return [{**outcome.line, "seconds": 0} for outcome in run_cases(cases, jobs)]

    assert lines(1) == lines(3)


def test_what_is_expected_is_never_read_by_the_investigation(tmp_path: Path) -> None:
    with_truth, without = down(tmp_path / "a/case"), down(tmp_path / "b/case", None)
    (told,) = find_cases(with_truth.parent)
    (blind,) = find_cases(without.parent)
    first, second = run_case(told).line, run_case(blind).line
    assert {**first, "expected": None, "right_at_1": None, "right_at_3": None, "seconds": 0} == {
        **second,
        "seconds": 0,
    }


def test_a_case_that_expects_nothing_is_run_and_not_scored(tmp_path: Path) -> None:
    down(tmp_path / "case", None)
    cases = find_cases(tmp_path)
    summary = as_json(summarise(cases, run_cases(cases, 1)))
    assert (summary["cases"], summary["right_at_1"]) == (1, {"right": 0, "of": 0, "share": None})


def test_an_id_stays_as_it_is_written_and_null_means_that_no_change_is_to_blame(tmp_path: Path) -> None:
    for name, text in (("a", "0123"), ("b", "1e5"), ("c", "null"), ("d", '"7dacc6c8"')):
        down(tmp_path / name, None)
        put(tmp_path / name, "expected.yaml", f"culprit_change: {text}\n")
    expected = [case.expected for case in find_cases(tmp_path)]
    assert [one and one.culprit_change for one in expected] == ["0123", "1e5", None, "7dacc6c8"]
    assert all(one and one.judges_changes for one in expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tags: [a]\n", "expects nothing"),
        ("causes: {object: a}\n", "causes: not a list"),
        ("causes: [{fault: x}]\n", "needs an object"),
        ("causes: [{object: a, falt: x}]\n", "each is a mapping with"),
        ("culprit_change: [a]\n", "one id, or null"),
        ("causes: [\n", "expected.yaml"),
        ("- a\n", "not a mapping"),
    ],
)
def test_an_expectation_that_cannot_be_understood_is_refused_before_anything_runs(
    tmp_path: Path, text: str, message: str
) -> None:
    down(tmp_path / "case", None)
    put(tmp_path / "case", "expected.yaml", text)
    with pytest.raises(InputError, match=message):
        find_cases(tmp_path)


def test_a_suite_without_cases_is_refused(tmp_path: Path) -> None:
    for arguments in ([tmp_path], [tmp_path / "none"]):
        done = assent("eval", *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
