"""New and missing kinds of lines in the log of one service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from investigators.signals.novelty import novelty
from investigators.world.world import Line, World
from tests.investigators.platform.build import evidence, line, world


def told(text: str, minutes: float, *, service: str = "cart", level: str = "") -> Line:
    return replace(line(text, minutes=minutes, service=service), level=level)


def steady(text: str, minutes: Sequence[float], **more: str) -> list[Line]:
    return [told(f"{text} {int(minute * 7)} ms", minute, **more) for minute in minutes]


BEFORE = [12 + index for index in range(40)]
AFTER = [1 + index for index in range(9)]


def of(*lines: Line, cut: str = "", healthy: Sequence[Line] = ()) -> World:
    made = world(lines=lines, log_cut=cut)
    return replace(made, healthy_lines=tuple(healthy))


def findings(made: World, service: str = "cart") -> list[str]:
    return [one.finding for one in novelty(made, service)]


def test_a_new_kind_of_error_is_shown_with_its_count_and_since_when() -> None:
    usual = steady("served", [*BEFORE, *AFTER])
    made = of(*usual, *steady("cannot reach db", [3, 2, 1], level="error"))
    (said,) = findings(made)
    assert said.startswith("new in the log of cart since ")
    assert "3 times" in said
    assert "cannot reach db" in said


def test_an_error_that_was_there_before_is_not_new() -> None:
    errors = steady("cannot reach db", [*BEFORE, *AFTER], level="error")
    assert findings(of(*steady("served", [*BEFORE, *AFTER]), *errors)) == []


def test_nothing_is_new_without_a_time_before() -> None:
    assert findings(of(*steady("cannot reach db", AFTER, level="error"))) == []


def test_a_healthy_time_is_the_time_before_where_there_is_one() -> None:
    errors = steady("cannot reach db", AFTER, level="error")
    healthy = steady("served", BEFORE)
    assert len(findings(of(*errors, *steady("served", AFTER), healthy=healthy))) == 1
    assert findings(of(*errors, healthy=[*healthy, *steady("cannot reach db", [30, 20], level="error")])) == [
        one for one in findings(of(*errors, healthy=healthy)) if one.startswith("missing")
    ]


def test_a_usual_line_that_no_longer_comes_is_missing() -> None:
    made = of(*steady("served", [*BEFORE, *AFTER]), *steady("flushed cache", BEFORE))
    (said,) = findings(made)
    assert said.startswith("missing from the log of cart")
    assert "flushed cache" in said


def test_a_line_of_a_past_burst_is_not_missing() -> None:
    burst = steady("migrated table", [50 - index / 10 for index in range(40)])
    assert findings(of(*steady("served", [*BEFORE, *AFTER]), *burst)) == []


def test_what_was_cut_off_is_not_missing() -> None:
    lines = [*steady("served", [*BEFORE, *AFTER]), *steady("flushed cache", BEFORE)]
    assert findings(of(*lines, cut="only the last lines")) == []


def test_a_log_that_fell_silent_is_said_to_be_silent() -> None:
    (said,) = findings(of(*steady("served", BEFORE)))
    assert "silent" in said


def test_the_log_of_another_service_says_nothing_of_this_one() -> None:
    made = of(
        *steady("served", [*BEFORE, *AFTER]),
        *steady("served", [*BEFORE, *AFTER], service="shop"),
        *steady("cannot reach db", AFTER, service="shop", level="error"),
    )
    assert findings(made) == []
    assert len(findings(made, "shop")) == 1


def test_every_line_shown_cites_the_answer_it_came_in() -> None:
    made = of(*steady("served", [*BEFORE, *AFTER]), *steady("boom", AFTER, level="fatal"))
    assert [one.evidence_id for one in novelty(made, "cart")] == [evidence("log.lines", "logs").id]
