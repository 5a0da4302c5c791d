"""Series made comparable: rates, means, shares of bad outcomes."""

from __future__ import annotations

import math

import pytest

from bot.domain.evidence import Series
from investigators.signals.curves import Curve, curves_of
from investigators.signals.meaning import Meaning
from tests.investigators.signals.build import series, world


def curves(*tracks: Series) -> list[Curve]:
    return curves_of(world(tracks=tracks).tracks)


def test_a_gauge_stays_as_it_is() -> None:
    (curve,) = curves(series("queue_depth", [3, 4, 5], service="a"))
    assert (curve.values, curve.meaning) == ((3.0, 4.0, 5.0), Meaning.QUEUE)


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, 1.0], [math.inf, math.nan, 2.0]])
def test_less_than_two_numbers_make_no_curve(values: list[float]) -> None:
    assert curves(series("latency", values, service="a")) == []


def test_what_is_no_number_is_left_out() -> None:
    (curve,) = curves(series("latency", [1, math.nan, 2, math.inf], service="a"))
    assert curve.values == (1.0, 2.0)


def test_two_samples_of_the_same_moment_make_no_rate() -> None:
    one = series("jobs_total", [0, 60], service="a")
    twice = Series(name=one.name, labels=one.labels, samples=(one.samples[0],) * 3)
    assert curves(twice) == []


def test_a_count_of_timed_things_is_traffic_and_not_a_time() -> None:
    (curve,) = curves(series("request_duration_seconds_count", [0, 60, 120], service="a"))
    assert curve.meaning is Meaning.TRAFFIC


@pytest.mark.parametrize(
    "base", ["http_server_requests_seconds", "job_run_seconds", "rpc_milliseconds", "latency"]
)
def test_the_mean_of_a_summary_of_seconds_is_a_time_whatever_was_counted(base: str) -> None:
    (curve,) = curves(
        series(f"{base}_sum", [0, 6, 12], service="a"), series(f"{base}_count", [0, 60, 120], service="a")
    )
    assert curve.meaning is Meaning.LATENCY
    assert curve.values == pytest.approx((0.1, 0.1))


def test_the_mean_of_sizes_is_no_time() -> None:
    (curve,) = curves(
        series("payload_bytes_sum", [0, 6, 12], service="a"),
        series("payload_bytes_count", [0, 60, 120], service="a"),
    )
    assert curve.meaning is Meaning.OTHER


def test_a_minute_without_requests_has_no_mean() -> None:
    (curve,) = curves(
        series("latency_sum", [0, 60, 60, 180], service="a"),
        series("latency_count", [0, 60, 60, 120], service="a"),
    )
    assert curve.values == pytest.approx((1.0, 2.0))


def test_the_sum_of_one_instance_is_not_divided_by_the_count_of_another() -> None:
    tracks = [
        series(f"latency_{part}", [0, each, 2 * each], service="a", instance=instance)
        for instance, total, count in (("x:1", 60, 60), ("y:1", 600, 60))
        for part, each in (("sum", total), ("count", count))
    ]
    means = {curve.part: curve.values for curve in curves(*tracks)}
    assert means["x:1"] == pytest.approx((1.0, 1.0))
    assert means["y:1"] == pytest.approx((10.0, 10.0))


def test_means_of_different_labels_are_different_quantities() -> None:
    tracks = [
        series(f"latency_{part}", [0, 60, 120], service="a", path=path)
        for path in ("/slow", "/fast")
        for part in ("sum", "count")
    ]
    assert len({curve.identity for curve in curves(*tracks)}) == 2


def test_a_timer_that_is_split_by_outcome_has_both_a_mean_and_a_share_of_errors() -> None:
    tracks = [
        series(f"http_server_requests_seconds_{part}", values, service="a", status=status)
        for status, part, values in (
            ("200", "sum", [0, 6, 12]),
            ("200", "count", [0, 60, 120]),
            ("500", "sum", [0, 6, 12]),
            ("500", "count", [0, 60, 120]),
        )
    ]
    by_meaning: dict[Meaning, list[Curve]] = {}
    for curve in curves(*tracks):
        by_meaning.setdefault(curve.meaning, []).append(curve)
    assert len(by_meaning[Meaning.LATENCY]) == 2
    assert by_meaning[Meaning.ERRORS][0].values == pytest.approx((0.5, 0.5))
    assert by_meaning[Meaning.TRAFFIC][0].values == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize(
    ("label", "code", "bad"),
    [
        ("code", "200", False),
        ("code", "404", False),
        ("code", "503", True),
        ("status", "2xx", False),
        ("status", "4xx", False),
        ("status", "5xx", True),
        ("grpc_code", "OK", False),
        ("grpc_code", "Unavailable", True),
        ("grpc_status", "0", False),
        ("grpc_status", "14", True),
        ("outcome", "SUCCESS", False),
        ("outcome", "REDIRECTION", False),
        ("outcome", "CLIENT_ERROR", False),
        ("outcome", "SERVER_ERROR", True),
        ("result", "failure", True),
        ("result", "completed", False),
    ],
)
def test_an_outcome_is_bad_or_not(label: str, code: str, bad: bool) -> None:
    errors = next(
        curve
        for curve in curves(series("requests_total", [0, 60, 120], service="a", **{label: code}))
        if curve.meaning is Meaning.ERRORS
    )
    assert errors.values == ((1.0, 1.0) if bad else (0.0, 0.0))


def test_buckets_are_left_out() -> None:
    assert curves(series("latency_bucket", [0, 1, 2], service="a", le="0.5")) == []


def test_the_same_quantity_of_two_services_has_the_same_key() -> None:
    one, other = curves(
        series("latency", [1, 2], service="a", instance="x"),
        series("latency", [1, 2], service="b", instance="y"),
    )
    assert one.key == other.key
    assert one.identity != other.identity
