"""What the rules make of the suite: which first answers are the truth, and which are known not to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.evaluation.cases import CaseFile, find_cases
from bot.evaluation.running import run_case

CASES = find_cases(Path(__file__).parent)
WRONG: Mapping[str, str] = {}
"""Cases whose first answer is known to be wrong, each with why. Right cases must stay right, and a case that
was mended must leave this list."""


def test_the_list_of_wrong_cases_names_only_cases() -> None:
    assert set(WRONG) <= {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_first_answer_is_the_truth_but_where_it_is_known_not_to_be(case: CaseFile) -> None:
    line = run_case(case).line
    assert "error" not in line
    assert line["right_at_1"] is (case.name not in WRONG), line["ranked"][:3]
