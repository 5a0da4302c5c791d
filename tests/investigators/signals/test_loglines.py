"""Log lines that say nothing of spans, compared as rates for each service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.evidence import Fact, LogLine
from investigators.queries import LogQuery
from investigators.signals.locate import Witness, locate
from investigators.signals.loglines import Talk, periods, talk
from tests.investigators.signals.build import ONSET, evidence, line, span, told, world

Said = tuple[str, str, int]
"""Level, text and how many lines."""

BEFORE_S, NOW_S = 3000.0, 300.0
REQUEST, STORED = ("info", "request {n} handled"), ("info", "stored order {n}")


def spoken(kinds: Sequence[Said], *, service: str = "cart", now: bool) -> list[LogLine]:
    """The lines of each kind spread evenly over the time before the onset, or since."""
    start, length = (1.0, NOW_S - 10) if now else (-BEFORE_S - 120, BEFORE_S)
    return [
        line(
            service,
            text.replace("{n}", str(1000 + 7 * i)),
            at=start + length * i / max(1, count - 1),
            level=level,
        )
        for level, text, count in kinds
        for i in range(count)
    ]


def usual(service: str = "cart") -> list[LogLine]:
    return spoken([(*REQUEST, 600), (*STORED, 300)], service=service, now=False)


def heard(
    *lines: Sequence[LogLine], edges: Sequence[tuple[str, str]] = (), baseline: Sequence[LogLine] = ()
) -> dict[str, Talk]:
    built = world(lines=[one for some in lines for one in some], healthy_lines=baseline, edges=edges)
    parts = periods(built.lines, built.healthy_lines, ((), ()), built.onset)
    return {one.service: one for one in talk(*parts, built.graph)}


def now(*kinds: Said, service: str = "cart") -> list[LogLine]:
    return spoken(kinds, service=service, now=True)


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        pytest.param([(*REQUEST, 60), (*STORED, 30)], False, id="as usual"),
        pytest.param([(*REQUEST, 600), (*STORED, 300)], False, id="ten times the work"),
        pytest.param([(*REQUEST, 6), (*STORED, 3)], False, id="a tenth of the work"),
        pytest.param([(*REQUEST, 60), (*STORED, 30), ("error", "no space", 12)], True, id="a new error"),
        pytest.param([(*REQUEST, 60), (*STORED, 30), ("error", "no space", 1)], False, id="one error once"),
        pytest.param([("error", "no space", 12)], True, id="only errors"),
        pytest.param([(*REQUEST, 60), (*STORED, 30), ("warn", "retrying", 30)], True, id="a new warning"),
        pytest.param([(*REQUEST, 60), (*STORED, 30), ("info", "hello {n}", 3)], False, id="a new plain line"),
        pytest.param([(*REQUEST, 600)], True, id="a plain line is missing in many"),
        pytest.param([(*REQUEST, 6)], False, id="a plain line is missing in few"),
        pytest.param([], False, id="silence says nothing of itself"),
    ],
)
def test_a_service_logs_differently(kinds: list[Said], found: bool) -> None:
    other = now(("info", "still here", 20), service="other")
    assert ("cart" in heard(usual(), now(*kinds), other)) is found


def test_errors_count_most_then_warnings_then_plain_lines() -> None:
    amounts = [
        heard(usual(), now((*REQUEST, 60), (*STORED, 30), (level, "something new", 200)))["cart"].amount
        for level in ("error", "warn", "info")
    ]
    assert amounts == sorted(amounts, reverse=True)
    assert len(set(amounts)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "dial tcp 10.0.0.7:5432: connect: connection refused",
        "java.net.SocketTimeoutException: Read timed out",
        "rpc error: code = Unavailable desc = no healthy upstream",
        "context deadline exceeded",
        "cart returned 503",
        "getaddrinfo ENOTFOUND cart",
    ],
)
def test_an_error_that_says_somebody_else_failed_speaks_not_against_who_says_it(text: str) -> None:
    assert heard(usual(), now((*REQUEST, 60), (*STORED, 30), ("error", text, 30))) == {}


def test_no_kind_of_line_counts_without_end() -> None:
    flood = heard(usual(), now(("error", "no space", 5000)))
    assert flood["cart"].shifts[0].strength <= 12.0


@pytest.mark.parametrize(("before", "since", "found"), [(300, 30, False), (300, 120, True), (30, 0, False)])
def test_an_error_that_was_there_before_counts_only_when_it_is_clearly_commoner(
    before: int, since: int, found: bool
) -> None:
    error = ("error", "no price for item {n}")
    earlier = spoken([(*error, before)], now=False)
    kinds: list[Said] = [(*REQUEST, 60), (*STORED, 30), (*error, since)]
    assert ("cart" in heard(usual(), earlier, now(*kinds))) is found


def test_a_baseline_goes_before_the_time_before_the_onset() -> None:
    troubled = spoken([("error", "no space", 100)], now=False)
    since = now((*REQUEST, 60), (*STORED, 30), ("error", "no space", 12))
    assert "cart" in heard(troubled, since, baseline=usual())
    assert "cart" not in heard(usual(), since, baseline=[*usual(), *troubled])


def test_too_short_a_time_before_says_nothing() -> None:
    short = [one for one in usual() if one.at is not None and (ONSET - one.at).total_seconds() < 150]
    assert heard(short, now(("error", "no space", 12))) == {}


def test_errors_at_a_caller_are_explained_by_those_of_what_it_calls() -> None:
    said = (
        now((*REQUEST, 60), (*STORED, 30), ("error", "no space on device", 20), service="cart"),
        now((*REQUEST, 60), (*STORED, 30), ("error", "checkout is broken", 20), service="front"),
    )
    found = heard(usual("cart"), usual("front"), *said, edges=[("front", "cart")])
    assert found["cart"].amount > 2 * found["front"].amount
    apart = heard(usual("cart"), usual("front"), *said)
    assert apart["cart"].amount == pytest.approx(apart["front"].amount)


def test_nothing_can_be_missed_in_an_answer_that_was_cut() -> None:
    query = LogQuery()
    lines = [*usual(), *now((*REQUEST, 600))]
    whole = evidence(query, lines=tuple(lines))
    amounts = []
    for answer in (whole, replace(whole, reason="the newest 1000 of more")):
        built = world(more=[(query, answer)])
        parts = periods(built.lines, (), ((), ()), built.onset)
        amounts.append(len(talk(*parts, built.graph)))
    assert amounts == [1, 0]


def test_lines_whose_span_is_at_hand_are_left_to_the_comparing_of_spans() -> None:
    errors = [replace(one, labels={**one.labels, "span_id": "s"}) for one in now(("error", "no space", 12))]
    built = world(lines=[*usual(), *errors])
    known = [span("t", "s", "cart", None, 1)]
    assert talk(*periods(built.lines, (), ((), known), built.onset), built.graph) == ()
    assert talk(*periods(built.lines, (), ((), ()), built.onset), built.graph) != ()


def _facts(kinds: Sequence[Said]) -> list[Fact]:
    built = world(alert=told(service="front"), lines=[*usual(), *now(*kinds)])
    return list(locate(built).facts)


def test_a_new_error_is_told_with_its_words_and_its_rate() -> None:
    (fact,) = _facts([(*REQUEST, 60), (*STORED, 30), ("error", "no space on device", 12)])
    assert (fact.subject, fact.kind, fact.rule) == ("cart", "log_template_new", "signals.loglines")
    assert "no space on device" in fact.detail
    assert fact.evidence_ids


def test_a_line_that_is_missing_is_told_as_missing() -> None:
    (fact,) = _facts([(*REQUEST, 600)])
    assert fact.kind == "log_template_missing"
    assert fact.confidence < 0.4


def test_log_lines_can_be_left_out_of_comparing() -> None:
    built = world(lines=[*usual(), *now(("error", "no space", 12))])
    assert locate(built, frozenset(Witness) - {Witness.LINES}).facts == ()
