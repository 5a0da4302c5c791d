"""Statistics against hand-made series and against properties that must hold for any."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investigators.ranking import (
    counter_rate,
    human_bytes,
    human_time,
    level_shift,
    robust_z,
    since_growth_began,
    since_reset,
    time_until,
    trend,
)
from tests.fakes.evidence import series


def samples(values: list[float], step: float = 1):  # type: ignore[no-untyped-def]
    return series("x", values, step=step).samples


def test_one_outlier_in_the_baseline_does_not_hide_another() -> None:
    baseline = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8, 10.0, 1000.0]
    assert robust_z(baseline, 1000.0) > 6  # type: ignore[operator]
    assert abs(robust_z(baseline, 10.1)) < 3.5  # type: ignore[arg-type]


def test_nothing_is_unusual_against_too_short_a_baseline() -> None:
    assert robust_z([1.0] * 7, 99.0) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=8, max_size=50), st.floats(-1e9, 1e9))
def test_robust_z_has_the_sign_of_the_difference_from_the_median(values: list[float], value: float) -> None:
    middle = sorted(values)[len(values) // 2] if len(values) % 2 else None
    z = robust_z(values, value)
    assert z is not None
    if middle is not None:
        assert (z > 0) == (value > middle) or z == 0


def test_a_lasting_step_is_found_where_it_happened() -> None:
    shift = level_shift(samples([1.0, 1.1] * 20 + [5.0, 5.1] * 10))
    assert shift is not None
    assert shift.index == 40
    assert (shift.before, shift.after) == (1.05, 5.05)


@pytest.mark.parametrize(
    "values",
    [[1.0] * 50, [1.0, 2.0] * 25, [1.0] * 5, [1.0] * 25 + [9.0] + [1.0] * 24],
    ids=["flat", "alternating", "short", "one spike"],
)
def test_no_step_is_seen_where_there_is_none(values: list[float]) -> None:
    assert level_shift(samples(values)) is None


def test_the_trend_of_a_line_is_the_line() -> None:
    line = trend(samples([100 + 3.0 * i for i in range(20)], step=2))
    assert line is not None
    assert line.slope == pytest.approx(1.5)
    assert line.fit == pytest.approx(1.0)
    assert (line.rising, line.falling, line.change) == (1.0, 0.0, 57.0)


def test_growth_is_cut_free_from_the_calm_before_it() -> None:
    values = [5e8] * 60 + [5e8 + 2e6 * i for i in range(1, 31)]
    segment = since_growth_began(samples(values))
    assert 29 <= len(segment) <= 32


def test_growth_from_the_beginning_is_left_whole() -> None:
    assert len(since_growth_began(samples([float(i) for i in range(50)]))) == 50


def test_a_restart_begins_the_series_anew() -> None:
    assert [s.value for s in since_reset(samples([10, 20, 30, 5, 6, 7]))] == [5, 6, 7]
    assert len(since_reset(samples([10, 9, 8, 7]))) == 4


@pytest.mark.parametrize(
    ("current", "limit", "slope", "seconds"),
    [(0, 100, 10, 10.0), (100, 0, -5, 20.0), (0, 100, -1, None), (0, 100, 0, None), (0, 1e12, 1, None)],
)
def test_time_until_a_limit(current: float, limit: float, slope: float, seconds: float | None) -> None:
    left = time_until(current, limit, slope)
    assert (left.total_seconds() if left else None) == seconds


@pytest.mark.parametrize(
    ("values", "step", "rate"),
    [
        ([0.0, 1, 2, 3, 4], 1, 1.0),
        ([0.0, 0, 0, 15, 15, 15, 30], 5, 1.0),
        ([90.0, 95, 100, 5, 10], 5, 1.0),
        ([7.0] * 31, 1, 0.0),
        ([7.0], 1, None),
        ([7.0, 7.0], 1, None),
    ],
    ids=["each second", "scraped every 15 s", "reset", "standing still", "one", "too short to stand still"],
)
def test_counter_rate(values: list[float], step: float, rate: float | None) -> None:
    measured = counter_rate(samples(values, step), timedelta(seconds=30))
    assert measured == (None if rate is None else pytest.approx(rate, abs=0.01))


def test_counter_rate_looks_at_the_last_span_only() -> None:
    values = [i * 100.0 for i in range(50)] + [4900.0 + i for i in range(1, 41)]
    assert counter_rate(samples(values), timedelta(seconds=30)) == pytest.approx(1.0)


def test_numbers_are_told_as_people_say_them() -> None:
    assert [human_bytes(v) for v in (12, 2048, 3.5 * 2**20, 2**40)] == [
        "12 B",
        "2.0 KiB",
        "3.5 MiB",
        "1.0 TiB",
    ]
    spans = [timedelta(seconds=45), timedelta(minutes=12), timedelta(hours=3.5), timedelta(days=4)]
    assert [human_time(s) for s in spans] == ["45 s", "12 min", "3.5 h", "4 d"]
