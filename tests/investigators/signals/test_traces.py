"""Time lost between services, and code that takes another way."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.evidence import LogLine, TraceSpan
from investigators.signals.behaviour import behaviours
from investigators.signals.delays import delays
from investigators.signals.locate import locate
from tests.investigators.signals.build import line, span, told, world

Traces = tuple[list[TraceSpan], list[LogLine]]


def calls(
    count: int,
    *,
    at: float,
    gap: dict[tuple[str, str], float] | None = None,
    own: dict[str, float] | None = None,
) -> list[TraceSpan]:
    """front → cart → db and front → ads, each with a client span; ``gap`` and ``own`` in ms."""
    gap, own = gap or {}, own or {}
    spans = []
    for number in range(count):
        trace = f"{at}-{number}"
        begin = at + number
        db = 5 + own.get("db", 0)
        db_client = db + 1 + gap.get(("cart", "db"), 0)
        cart = db_client + 4 + own.get("cart", 0)
        cart_client = cart + 1 + gap.get(("front", "cart"), 0)
        ads = 3 + own.get("ads", 0)
        ads_client = ads + 1 + gap.get(("front", "ads"), 0)
        total = cart_client + ads_client + 2 + own.get("front", 0)
        spans += [
            span(trace, "1", "front", None, total, at=begin, op="GET /"),
            span(trace, "2", "front", "1", cart_client, at=begin + 0.01, op="POST"),
            span(trace, "3", "cart", "2", cart, at=begin + 0.02, op="Cart.add"),
            span(trace, "4", "cart", "3", db_client, at=begin + 0.03, op="query"),
            span(trace, "5", "db", "4", db, at=begin + 0.04, op="SELECT"),
            span(trace, "6", "front", "1", ads_client, at=begin + 0.05, op="POST"),
            span(trace, "7", "ads", "6", ads, at=begin + 0.06, op="Ads.get"),
        ]
    return spans


HEALTHY = calls(20, at=-600)


def test_a_gap_between_client_and_server_is_charged_to_the_one_that_is_called() -> None:
    lost = delays(HEALTHY, calls(10, at=0, gap={("front", "cart"): 500}))
    assert lost[0].service == "cart"
    assert lost[0].gap_ms > 400
    assert lost[0].own_ms == 0


def test_a_service_that_loses_time_on_each_of_its_edges_is_charged_and_not_its_peers() -> None:
    slow = {("front", "cart"): 300.0, ("front", "ads"): 300.0}
    lost = delays(HEALTHY, calls(10, at=0, gap=slow))
    assert lost[0].service == "front"


def test_time_inside_a_service_is_its_own() -> None:
    lost = delays(HEALTHY, calls(10, at=0, own={"db": 200}))
    assert lost[0].service == "db"
    assert lost[0].own_ms > 150


def test_the_same_times_as_before_are_no_delay() -> None:
    assert delays(HEALTHY, calls(10, at=0)) == ()


def test_one_slow_call_is_not_enough() -> None:
    assert delays(HEALTHY, calls(1, at=0, gap={("front", "cart"): 500})) == ()


def test_a_server_that_says_it_took_longer_than_its_client_waited_is_no_delay() -> None:
    skewed = calls(10, at=0, gap={("front", "cart"): -400})
    assert all(one.service != "cart" for one in delays(HEALTHY, skewed))


def test_the_network_is_named_where_time_is_lost_between_and_not_inside() -> None:
    slow = world(
        alert=told(service="front"),
        spans=calls(10, at=0, gap={("front", "cart"): 500}),
        healthy_spans=HEALTHY,
    )
    lead = locate(slow).facts[0]
    assert (lead.subject, lead.kind) == ("cart", "network_delay")


def steps(
    count: int, *, at: float, words: Sequence[tuple[str, str]]
) -> tuple[list[TraceSpan], list[LogLine]]:
    """Each trace: front calls cart, which says these (level, text) in this order."""
    spans: list[TraceSpan] = []
    lines: list[LogLine] = []
    for number in range(count):
        trace, begin = f"{at}-{number}", at + number
        spans += [
            span(trace, f"a{trace}", "front", None, 50, at=begin, op="GET /"),
            span(trace, f"b{trace}", "cart", f"a{trace}", 40, at=begin + 0.01, op="Cart.add"),
        ]
        for index, (level, text) in enumerate(words):
            moment = begin + 0.02 + index / 1000
            lines.append(line("cart", text, f"b{trace}", at=moment, level=level))
    return spans, lines


USUAL = [("info", "add item 17 to cart 5"), ("info", "price is 12.50"), ("info", "cart saved")]


def _compare(before: Traces, now: Traces) -> dict[str, float]:
    built = world(spans=now[0], healthy_spans=before[0], lines=now[1], healthy_lines=before[1])
    found = behaviours((before[0], built.healthy_lines), (now[0], built.lines))
    return {one.service: one.amount for one in found}


def test_a_line_that_is_missing_from_now_on_is_another_way_through_the_code() -> None:
    usual = steps(20, at=-600, words=USUAL)
    now = steps(10, at=0, words=[USUAL[0], USUAL[2]])
    assert set(_compare(usual, now)) == {"cart"}


def test_a_new_error_is_found_and_told() -> None:
    usual = steps(20, at=-600, words=USUAL)
    now = steps(10, at=0, words=[USUAL[0], ("error", "no price for item 17")])
    built = world(spans=now[0], healthy_spans=usual[0], lines=now[1], healthy_lines=usual[1])
    lead = locate(built).facts[0]
    assert (lead.subject, lead.kind) == ("cart", "log_template_new")
    assert "no price for item" in lead.detail


def test_other_values_in_the_same_lines_are_no_change() -> None:
    usual = steps(20, at=-600, words=USUAL)
    now = steps(10, at=0, words=[("info", "add item 99 to cart 8"), ("info", "price is 3.99"), USUAL[2]])
    assert _compare(usual, now) == {}


def test_an_error_that_went_away_is_no_fault() -> None:
    usual = steps(20, at=-600, words=[USUAL[0], ("error", "no price for item 17")])
    assert _compare(usual, steps(10, at=0, words=USUAL)) == {}


def test_a_caller_that_stops_because_what_it_calls_failed_is_explained_by_it() -> None:
    def trees(count: int, at: float, *, broken: bool) -> Traces:
        spans, lines = steps(count, at=at, words=[USUAL[0]] if broken else USUAL)
        said, level = ("cart failed", "error") if broken else ("got the cart", "info")
        for number in range(count):
            trace, moment = f"{at}-{number}", at + number + 0.5
            lines.append(line("front", said, f"a{trace}", at=moment, level=level))
        return spans, lines

    found = _compare(trees(20, -600, broken=False), trees(10, 0, broken=True))
    assert found.get("cart", 0.0) > found.get("front", 0.0)


def test_an_operation_that_was_never_seen_before_is_not_compared() -> None:
    usual = steps(2, at=-600, words=USUAL)
    assert _compare(usual, steps(10, at=0, words=[USUAL[0]])) == {}


def test_lines_without_span_ids_are_left_out() -> None:
    usual = steps(20, at=-600, words=USUAL)
    loose = [line("cart", "something else", at=1.0, level="error")] * 20
    spans, lines = steps(10, at=0, words=USUAL)
    assert _compare(usual, (spans, [*lines, *loose])) == {}
