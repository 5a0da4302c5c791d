"""What a service's requests show: slower, failing, more of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.investigators.platform.build import call, counter, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown


def _requests(before: float, after: float, **labels: str) -> Any:
    return track("http_requests_total", counter(before, after), "cart", **labels)


def _histogram(before: float, after: float) -> list[Any]:
    return [
        track("http_request_duration_seconds_sum", counter(before, after), "cart"),
        track("http_request_duration_seconds_count", counter(10, 10), "cart"),
    ]


LOAD = [
    case("a histogram's mean", world(tracks=_histogram(1, 20)), "latency_shift"),
    case("a gauge", world(tracks=[track("service_latency_p99_ms", step(20, 400), "cart")]), "latency_shift"),
    case(
        "spans",
        world(
            spans=call("front", "cart", client=400, server=390),
            healthy_spans=call("front", "cart", client=12, server=10),
        ),
        "latency_shift",
    ),
    no("as before", world(tracks=_histogram(1, 1.1)), "latency_shift", absent=True),
    no(
        "collections of garbage are no requests",
        world(tracks=[track("go_gc_duration_seconds", step(0.001, 5), "cart")]),
        "latency_shift",
    ),
    unknown("nothing measured", world(), "latency_shift"),
    case(
        "answers 500",
        world(tracks=[_requests(10, 8, code="200"), _requests(0, 4, code="500")]),
        "error_rate_shift",
        says=("33%",),
    ),
    case(
        "spans that fail",
        world(
            spans=call("front", "cart", client=4, server=3, error=True),
            healthy_spans=call("front", "cart", client=4, server=3),
        ),
        "error_rate_shift",
    ),
    no(
        "answers 404",
        world(tracks=[_requests(10, 8, code="200"), _requests(0, 4, code="404")]),
        "error_rate_shift",
        absent=True,
    ),
    no(
        "errors as ever",
        world(tracks=[_requests(8, 8, code="200"), _requests(4, 4, code="500")]),
        "error_rate_shift",
    ),
    unknown("no requests measured", world(), "error_rate_shift"),
    case("five times the requests", world(tracks=[_requests(10, 50, code="200")]), "traffic_surge"),
    no(
        "as many requests as before",
        world(tracks=[_requests(10, 11, code="200")]),
        "traffic_surge",
        absent=True,
    ),
    unknown("no counter", world(), "traffic_surge"),
]


@pytest.mark.parametrize("one", LOAD, ids=lambda one: f"{one.kind}: {one.name}")
def test_requests_are_judged_against_those_of_before(one: Case) -> None:
    judge(one)
