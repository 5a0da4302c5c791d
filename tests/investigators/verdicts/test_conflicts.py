"""Facts that cannot both be true of one object are capped and shown; those that can are left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from investigators.hypotheses import CONFLICT_CAP, settle
from tests.investigators.platform.build import ONSET, world
from tests.investigators.verdicts.judging import fact, judged


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("service_missing", "service_selector_mismatch"),
        ("scheduler_missing", "insufficient_memory"),
        ("image_registry_unreachable", "image_tag_missing"),
        ("kubelet_stopped", "container_runtime_down"),
        ("dependency_down", "db_read_only"),
        ("process_not_running", "deadlock"),
    ],
)
def test_kinds_that_exclude_each_other_are_capped_at_one_object_only(one: str, other: str) -> None:
    settled, conflicts = settle([fact(one, "cart"), fact(other, "cart"), fact(other, "db")])
    assert [round(each.confidence, 2) for each in settled] == [CONFLICT_CAP, CONFLICT_CAP, 0.9]
    assert len(conflicts) == 1
    assert one in conflicts[0].text
    assert other in conflicts[0].text


def test_an_oom_kill_and_a_crash_by_another_code_of_one_run_exclude_each_other() -> None:
    killed = fact("oom_killed", "cart", began=ONSET)
    crashed = fact("process_crash", "cart", began=ONSET, rule="exits", exit_code=139)
    assert len(settle([killed, crashed])[1]) == 1
    verdict = judged(world(), killed, crashed)
    assert all(one.conflicted and one.hypothesis.score <= CONFLICT_CAP for one in verdict.standing)


@pytest.mark.parametrize(
    "changes",
    [
        {"exit_code": 137},
        {"signal": 9},
        {"exit_code": 139, "began": ONSET + timedelta(minutes=3)},
        {"exit_code": 139, "rule": "test"},
    ],
    ids=["SIGKILL", "signal 9", "another run", "one rule about two containers"],
)
def test_two_ends_that_may_both_be_true_do_not(changes: dict[str, object]) -> None:
    told: dict[str, object] = {"began": ONSET, "rule": "exits", **changes}
    killed = fact("oom_killed", "cart", began=ONSET)
    assert not settle([killed, fact("process_crash", "cart", **told)])[1]  # type: ignore[arg-type]
