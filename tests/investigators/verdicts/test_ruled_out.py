"""What was ruled out is said in few lines, and only where a live source showed it."""

from __future__ import annotations

from bot.domain.evidence import FactVerdict
from investigators.ruled_out import answered
from tests.investigators.verdicts.judging import fact

ABSENT, UNKNOWN = FactVerdict.ABSENT, FactVerdict.UNKNOWN
CRASHES = ("oom_killed", "process_crash", "crashloop")
NODES = ("node_not_ready", "node_memory_pressure", "node_disk_pressure", "node_pid_pressure")


def test_one_line_answers_for_a_family_at_every_object_it_is_true_of() -> None:
    facts = [fact(kind, name, verdict=ABSENT) for name in ("cart", "db") for kind in CRASHES]
    assert answered(facts, ("cart", "db")) == (
        "cart, db: no container crashed, was OOM-killed or is kept from restarting",
    )


def test_a_part_that_is_unknown_or_was_never_looked_at_leaves_the_question_open() -> None:
    facts = [fact(kind, "cart", verdict=ABSENT) for kind in CRASHES[:2]]
    assert answered(facts, ("cart",)) == ()
    assert answered([*facts, fact("crashloop", "cart", verdict=UNKNOWN)], ("cart",)) == ()


def test_what_was_found_is_not_denied() -> None:
    facts = [fact(kind, "cart", verdict=ABSENT) for kind in CRASHES]
    assert answered([*facts, fact("oom_killed", "cart")], ("cart",)) == ()
    assert answered([*facts, fact("bad_command", "cart")], ("cart",)) == ()


def test_only_what_the_incident_is_about_is_told_and_many_objects_are_counted() -> None:
    facts = [fact(kind, f"n{number}", of="node", verdict=ABSENT) for number in range(5) for kind in NODES]
    assert answered(facts, ()) == ()
    names = tuple(f"n{number}" for number in range(5))
    assert answered(facts, names) == (
        "n0, n1, n2 and 2 more: ready, with memory, disk and process ids to spare",
    )
