"""What the rules make of the suite: which first answers are the truth, and which are known not to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.evaluation.cases import CaseFile, find_cases
from bot.evaluation.running import run_case

CASES = find_cases(Path(__file__).parent)
WRONG: Mapping[str, str] = {
    "homeserver-bad-signing-key": "the clean stop is named, not the failed start after it",
    "homeserver-broken-configuration": "the clean stop is named, not the failed start after it",
    "k8s-control-dns": "the callers' error rates are named before the resolver",
    "k8s-start-env-value": "the cause is right, the change behind it is not linked",
    "process-threads-deadlocked": "how long its scrapes take would tell a hang from a process that is down",
    "process-threads-exhausted": "thread exhaustion is looked for in the logs of pods only",
}
"""Right cases must stay right, and a case that was mended must leave this list."""


def test_the_list_of_wrong_cases_names_only_cases() -> None:
    assert set(WRONG) <= {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_first_answer_is_the_truth_but_where_it_is_known_not_to_be(case: CaseFile) -> None:
    line = run_case(case).line
    assert "error" not in line
    assert line["right_at_1"] is (case.name not in WRONG), line["ranked"][:3]
