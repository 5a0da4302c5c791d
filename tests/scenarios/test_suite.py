"""The suite is sound, its written part can be written again, and what is not right yet is known by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.scenarios.kubernetes import write
from bot.evaluation.cases import CaseFile, find_cases
from bot.evaluation.running import run_case

SUITE = Path(__file__).parent
CASES = {case.name: case for case in find_cases(SUITE)}
WRONG: Mapping[str, str] = {
    "healthy-k8s-nightly-batch": "a busy night is usual only to who has seen another night; none is recorded",
    "k8s-control-dns": "the callers' lookups are named, not the resolver behind them",
    "process-processor-burnt": "it used 0.85 of a core; the rule asks for 0.9",
    "process-threads-deadlocked": "a recording holds no scrape error, which tells a hang from a refusal",
    "process-threads-exhausted": "thread exhaustion is looked for in pods' logs only",
}
"""Cases whose first answer is not the truth, and why. Right ones must stay right; mended ones must leave."""


def test_the_suite_has_enough_of_everything() -> None:
    assert len(CASES) >= 40
    assert sum(name.startswith("process-") for name in CASES) >= 10
    assert sum(case.expected is not None and case.expected.healthy for case in CASES.values()) >= 4
    tags = [tag for case in CASES.values() if case.raw for tag in case.raw.get("tags", ())]
    assert tags.count("red_herring") >= 6
    assert tags.count("two_faults") >= 2


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_the_first_answer_is_the_truth_but_where_it_is_known_not_to_be(case: CaseFile) -> None:
    line = run_case(case).line
    assert "error" not in line
    assert line["right_at_1"] is (case.name not in WRONG), line["ranked"][:3]


@pytest.mark.parametrize("name", write.names())
def test_a_written_case_can_be_written_again_byte_for_byte(name: str, tmp_path: Path) -> None:
    made = write.case(name, tmp_path)
    kept = SUITE / made.name

    def content(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    assert content(made) == content(kept)
