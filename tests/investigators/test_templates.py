"""Log lines become templates: what varies is masked, what differs stays apart."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.evidence import LogLine
from investigators.templates import Level, level_of, levels_of, masked, mine
from tests.fakes.evidence import NOW


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(at=NOW + timedelta(seconds=n), text=text) for n, text in enumerate(texts)]


def test_lines_that_differ_in_numbers_ids_and_addresses_are_one_template() -> None:
    mined = mine(
        lines(
            "INFO user 17 logged in from 10.0.0.1:5000 in 3ms",
            "INFO user 99 logged in from 192.168.7.1:81 in 12.5ms",
            "INFO user 5 logged in from 10.1.1.1:9 in 0.1s",
        )
    )
    assert [(t.text, t.count) for t in mined.templates] == [("INFO user <*> logged in from <*> in <*>", 3)]


def test_lines_that_differ_in_one_word_of_many_share_a_template() -> None:
    mined = mine(lines("INFO order abc accepted by the shop", "INFO order xyz accepted by the shop"))
    assert [t.text for t in mined.templates] == ["INFO order <*> accepted by the shop"]


def test_an_error_never_hides_in_the_template_of_a_harmless_line() -> None:
    mined = mine(lines("job 5 INFO done with the work", "job 6 ERROR done with the work"))
    assert [t.level for t in mined.templates] == [Level.PLAIN, Level.ERROR]


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-03-01T12:00:00Z ",
        "2026-03-01 12:00:00,123 ",
        "[2026-03-01 12:00:00.5] ",
        "Mar  1 12:00:00 ",
        "<13>Mar 11 12:00:00 ",
        "1772366400.123 ",
        "1772366400123 ",
    ],
)
def test_the_time_of_a_line_is_no_part_of_its_template(stamp: str) -> None:
    assert masked(f"{stamp}ERROR it broke") == "ERROR it broke"


def test_a_stack_trace_belongs_to_the_line_that_began_it() -> None:
    traced = [*lines("ERROR boom"), LogLine(at=None, text="  File x.py"), LogLine(at=None, text="\tat y()")]
    assert [t.text for t in mine(traced).templates] == ["ERROR boom"]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ERROR it broke", Level.ERROR),
        ("panic: runtime error", Level.FATAL),
        ("java.lang.OutOfMemoryError: heap", Level.FATAL),
        ("Traceback (most recent call last):", Level.ERROR),
        ("ValueError: no", Level.ERROR),
        ("2026-01-01 WARN slow", Level.WARNING),
        ('{"level":"error","msg":"x"}', Level.ERROR),
        ('{"level":"info","msg":"previous ERROR was handled"}', Level.PLAIN),
        ("level=warn msg=x", Level.WARNING),
        ("GET /errors 200", Level.PLAIN),
        ("terror in the night", Level.PLAIN),
        ("0 errors found", Level.PLAIN),
    ],
)
def test_levels(text: str, level: Level) -> None:
    assert level_of(text) is level


def test_endless_variety_is_bounded_and_counted() -> None:
    words = [f"{a}{b}{c}" for a in "abcdefghijklm" for b in "nopqrstuvwxyz" for c in "abcdefgh"]
    mined = mine(lines(*(f"{word} happened" for word in words)))
    assert len(mined.templates) == 1000
    assert mined.overflow == len(words) - 1000


def test_lines_looked_at_together_have_the_level_that_each_has_alone() -> None:
    texts = [
        "ERROR it broke", "fine", "level=warn msg=x", "2026-01-01 WARN slow", "panic: no", "ok failed: no"
    ]  # fmt: skip
    assert levels_of(texts) == [level_of(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("took 12ms at 0xFFee", "took <*> at <*>"),
        ("id 123e4567-e89b-12d3-a456-426614174000 gone", "id <*> gone"),
        ("trace deadbeefcafe01 of face", "trace <*> of face"),
        ("abcdefabcdefg and abc123", "abcdefabcdefg and abc<*>"),
        ("1.2.3.4:80 v1_2-3 5µs 7percent", "<*> v<*> <*> <*>percent"),
        ("xdeadbeefcafe0123", "xdeadbeefcafe<*>"),
    ],
)
def test_what_varies_is_masked(text: str, plain: str) -> None:
    assert masked(text) == plain
