"""Time lost and ways changed in traces that are odd: repeated, skewed, starved, cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.evidence import LogLine, TraceSpan
from investigators.signals.behaviour import Behaviour, behaviours
from investigators.signals.delays import Delay, delays, split
from investigators.signals.locate import locate
from tests.investigators.signals.build import ONSET, line, shifted, span, told, world
from tests.investigators.signals.test_traces import HEALTHY, calls

NETWORK = {("front", "cart"): 300.0, ("cart", "db"): 300.0}


def lost(now: Sequence[TraceSpan], before: Sequence[TraceSpan] = HEALTHY) -> dict[str, Delay]:
    return {one.service: one for one in delays(before, now)}


def test_a_slow_network_at_one_service_shows_on_every_edge_to_and_from_it() -> None:
    found = lost(calls(10, at=0, gap=NETWORK))
    assert next(iter(found)) == "cart"
    assert found["cart"].gap_ms == pytest.approx(300, rel=0.1)


def test_a_starved_process_is_told_from_a_slow_network_by_its_cpu() -> None:
    starved = calls(10, at=0, gap={("front", "cart"): 300.0, ("cart", "db"): 300.0}, own={"cart": 50.0})

    def lead(*cpu: float) -> str:
        tracks = [shifted("cpu_usage", *cpu, service="cart")] if cpu else []
        built = world(alert=told(service="front"), spans=starved, healthy_spans=HEALTHY, tracks=tracks)
        return next(fact.kind for fact in locate(built).facts if fact.subject == "cart")

    assert lead() == "network_delay"
    assert lead(0.2, 1.0) == "cpu_saturation"
    assert lead(0.2, 0.2) == "network_delay"


def test_own_time_counts_where_nothing_below_explains_it() -> None:
    found = lost(calls(10, at=0, own={"ads": 100.0}))
    assert set(found) == {"ads"}
    assert found["ads"].gap_ms == 0


@pytest.mark.parametrize(("healthy", "now"), [(20, 1), (0, 10), (20, 0)])
def test_too_few_calls_say_nothing(healthy: int, now: int) -> None:
    before = calls(healthy, at=-600)
    assert lost(calls(now, at=0, gap={("front", "cart"): 500.0}, own={"db": 500.0}), before) == {}


def test_an_edge_of_which_little_is_known_is_compared_with_all_others() -> None:
    before = calls(2, at=-600)
    found = lost(calls(10, at=0, gap={("front", "cart"): 500.0}, own={"db": 500.0}), before)
    assert next(iter(found)) == "cart"
    assert "db" not in found


def test_the_same_span_ids_in_every_trace_are_different_spans() -> None:
    slow = calls(10, at=0, gap={("front", "cart"): 500.0})
    apart = [
        replace(
            one,
            span_id=f"{one.trace_id}/{one.span_id}",
            parent_id=None if one.parent_id is None else f"{one.trace_id}/{one.parent_id}",
        )
        for one in slow
    ]
    assert delays(HEALTHY, slow) == delays(HEALTHY, apart)


def test_a_span_that_is_delivered_twice_counts_once() -> None:
    slow = calls(10, at=0, own={"db": 200.0})
    healthy, now = split((*slow, *slow), (*HEALTHY, *HEALTHY), ONSET)
    assert delays(healthy, now) == delays(HEALTHY, slow)


def test_a_parent_that_was_never_delivered_leaves_the_rest_comparable() -> None:
    cut = [one for one in calls(10, at=0, own={"db": 200.0}) if one.span_id != "3"]
    assert next(iter(lost(cut))) == "db"


@pytest.mark.parametrize("skew", [-1.0, -300.0, -5000.0])
def test_a_child_longer_than_its_parent_is_no_time_won_or_lost(skew: float) -> None:
    assert "cart" not in lost(calls(10, at=0, gap={("front", "cart"): skew}))


def test_without_a_baseline_the_spans_well_before_the_onset_are_the_healthy_ones() -> None:
    healthy, now = split((*calls(20, at=-600), *calls(3, at=-5), *calls(10, at=0)), (), ONSET)
    assert len(healthy) == 20 * 7
    assert min(one.start for one in now) >= ONSET


Traces = tuple[list[TraceSpan], list[LogLine]]


def said(
    count: int, *, at: float, front: Sequence[str] = (), cart: Sequence[str] = (), ids: str = ""
) -> Traces:
    """front calls cart; each writes its lines, of which those that begin with “!” are errors."""
    spans: list[TraceSpan] = []
    lines: list[LogLine] = []
    for number in range(count):
        trace, begin = f"{at}-{number}", at + number
        above, below = ids + trace + "a", ids + trace + "b"
        spans.append(span(trace, above, "front", None, 50, at=begin, op="GET /"))
        spans.append(span(trace, below, "cart", above, 40, at=begin + 0.01, op="Cart.add"))
        for service, texts, owner, offset in (("cart", cart, below, 0.02), ("front", front, above, 0.05)):
            for index, text in enumerate(texts):
                level = "error" if text.startswith("!") else "info"
                moment = begin + offset + index / 1000
                lines.append(line(service, text.lstrip("!"), owner, at=moment, level=level))
    return spans, lines


FRONT, CART = ("got a request", "answered it"), ("read item 17", "price is 12.50", "saved the cart")


def compared(now: Traces, before: Traces | None = None) -> dict[str, Behaviour]:
    spans, lines = before or said(20, at=-600, front=FRONT, cart=CART)
    built = world(spans=now[0], lines=now[1], healthy_spans=spans, healthy_lines=lines)
    found = behaviours((spans, built.healthy_lines), (now[0], built.lines))
    return {one.service: one for one in found}


@pytest.mark.parametrize(
    ("cart", "front", "first"),
    [
        pytest.param(CART[:2], FRONT, "cart", id="the last line is missing"),
        pytest.param((CART[0], CART[2]), FRONT, "cart", id="a line between is missing"),
        pytest.param((*CART, "!cannot write to the store"), FRONT, "cart", id="a new error after all"),
        pytest.param((*CART[:2], CART[1], CART[1], CART[2]), FRONT, "cart", id="a line is repeated"),
        pytest.param((), FRONT, "cart", id="nothing is said"),
        pytest.param(CART, ("got a request", "!no answer"), "front", id="an error of the caller alone"),
        pytest.param((CART[0], "!broken"), ("got a request", "!cart is broken"), "cart", id="both fail"),
    ],
)
def test_code_that_takes_another_way_is_found_at(
    cart: Sequence[str], front: Sequence[str], first: str
) -> None:
    found = compared(said(10, at=0, front=front, cart=cart))
    assert next(iter(found)) == first


def test_the_same_as_before_with_other_values_is_no_change() -> None:
    assert compared(said(10, at=0, front=FRONT, cart=("read item 9", "price is 3.00", CART[2]))) == {}


def test_an_error_that_is_healed_is_no_fault() -> None:
    before = said(20, at=-600, front=FRONT, cart=(CART[0], "!broken"))
    assert compared(said(10, at=0, front=FRONT, cart=CART), before) == {}


def test_a_call_that_is_not_made_any_more_is_a_change_of_its_caller() -> None:
    spans, lines = said(10, at=0, front=FRONT)
    found = compared(([one for one in spans if one.service == "front"], lines))
    assert next(iter(found)) == "front"


def test_lines_of_a_span_that_is_delivered_twice_are_still_its_own() -> None:
    spans, lines = said(10, at=0, front=FRONT, cart=CART[:2])
    assert set(compared(([*spans, *spans], lines))) >= {"cart"}
