"""What series mean, when they are unusual, and who is to blame for it."""

from __future__ import annotations

import pytest

from bot.domain.evidence import Series
from investigators.signals.blame import assign
from investigators.signals.curves import curves_of
from investigators.signals.deviation import Deviation, deviations
from investigators.signals.locate import locate
from investigators.signals.meaning import Meaning, meaning_of
from investigators.world.world import World
from tests.investigators.signals.build import ONSET, series, shifted, told, world


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("http_request_duration_seconds", Meaning.LATENCY),
        ("PodServerLatencyP90(s)", Meaning.LATENCY),
        ("TargetResponseTime", Meaning.LATENCY),
        ("checkout.p99", Meaning.LATENCY),
        ("availability", Meaning.SUCCESS),
        ("PodSuccessRate(%)", Meaning.SUCCESS),
        ("HTTPCode_5XX_errors", Meaning.ERRORS),
        ("upstream_call_error_ratio", Meaning.ERRORS),
        ("node_network_transmit_drop", Meaning.NETWORK),
        ("container_cpu_cfs_throttled_periods", Meaning.THROTTLING),
        ("CpuUsageRate(%)", Meaning.CPU),
        ("container_memory_working_set_bytes", Meaning.MEMORY),
        ("kafka_consumergroup_lag", Meaning.QUEUE),
        ("db_pool_in_use_connections", Meaning.CONNECTIONS),
        ("PodWorkload(Ops)", Meaning.TRAFFIC),
        ("kube_pod_container_status_restarts", Meaning.RESTARTS),
        ("temperature_celsius", Meaning.OTHER),
    ],
)
def test_a_name_says_what_is_measured_in_any_style(name: str, meaning: Meaning) -> None:
    assert meaning_of(name) is meaning


def test_a_counter_is_compared_as_a_rate_and_a_reset_counts_from_zero() -> None:
    (curve,) = curves_of(world(tracks=[series("jobs_total", [0, 60, 120, 60], service="a")]).tracks)
    assert curve.values == (1.0, 1.0, 1.0)


def test_the_sum_and_count_of_a_histogram_are_compared_as_a_mean() -> None:
    tracks = [
        series("request_duration_seconds_sum", [0, 30, 60, 120], service="a"),
        series("request_duration_seconds_count", [0, 60, 120, 180], service="a"),
        series("request_duration_seconds_bucket", [0, 1, 2, 3], service="a", le="1"),
    ]
    (curve,) = curves_of(world(tracks=tracks).tracks)
    assert curve.meaning is Meaning.LATENCY
    assert curve.values == pytest.approx((0.5, 0.5, 1.0))


def test_a_counter_split_by_outcome_is_compared_as_a_share_of_errors_and_as_traffic() -> None:
    tracks = [
        series("requests_total", [0, 60, 120], service="a", code="200"),
        series("requests_total", [0, 0, 60], service="a", code="503"),
    ]
    by_meaning = {curve.meaning: curve for curve in curves_of(world(tracks=tracks).tracks)}
    assert by_meaning[Meaning.ERRORS].values == pytest.approx((0.0, 0.5))
    assert by_meaning[Meaning.TRAFFIC].values == pytest.approx((1.0, 2.0))


def unusual(world: World) -> list[Deviation]:
    return list(deviations(world, curves_of(world.tracks))[0])


def test_a_lasting_rise_since_the_onset_is_unusual() -> None:
    (one,) = unusual(world(tracks=[shifted("latency", 0.1, 0.5, service="a")]))
    assert one.curve.object == "a"
    assert one.excess == pytest.approx(0.4, rel=0.05)
    assert one.z > 10


def test_success_is_worse_when_it_falls() -> None:
    (fallen,) = unusual(world(tracks=[series("availability", [100] * 55 + [97] * 5, service="a")]))
    (risen,) = unusual(world(tracks=[series("availability", [97] * 55 + [100] * 5, service="a")]))
    assert fallen.excess > 0 > risen.excess


def test_what_was_so_before_the_onset_is_nothing_new() -> None:
    long_slow = [0.1] * 30 + [0.5] * 30
    healthy = series("latency", [0.1] * 60, start=ONSET, service="a")
    assert unusual(world(tracks=[series("latency", long_slow, service="a")], healthy_tracks=[healthy])) == []


def test_a_baseline_that_reached_as_high_makes_it_usual() -> None:
    spiky = [0.1] * 50 + [0.6] * 10
    healthy = series("latency", spiky, start=ONSET, service="a")
    now = series("latency", [0.1] * 55 + [0.5] * 5, service="a")
    assert unusual(world(tracks=[now], healthy_tracks=[healthy])) == []


def test_a_few_samples_say_nothing() -> None:
    short = world(tracks=[series("latency", [0.1, 0.1, 9.0], service="a")])
    found, judged = deviations(short, curves_of(short.tracks))
    assert found == ()
    assert judged == frozenset()


def blamed(world: World, wanted: Meaning = Meaning.LATENCY) -> dict[str, float]:
    curves = curves_of(world.tracks)
    found, _ = deviations(world, curves, {wanted})
    return {one.object: one.share for one in assign(found, curves, world.graph, world.subjects, {wanted})}


def slow(name: str, before: float = 0.1, after: float = 0.5) -> Series:
    return shifted("latency", before, after, service=name)


def test_a_symptom_goes_down_the_chain_to_where_it_begins() -> None:
    shares = blamed(
        world(
            tracks=[slow("front"), slow("cart"), slow("db"), slow("idle", 0.1, 0.1)],
            edges=[("front", "cart"), ("cart", "db"), ("front", "idle")],
        )
    )
    assert max(shares, key=lambda name: shares[name]) == "db"
    assert "idle" not in shares


def test_a_symptom_at_many_callers_is_charged_to_what_they_all_call() -> None:
    shares = blamed(
        world(
            tracks=[slow("front"), slow("a"), slow("b"), slow("shared")],
            edges=[("front", "a"), ("front", "b"), ("a", "shared"), ("b", "shared")],
        )
    )
    assert shares["shared"] > 0.9


def test_a_cycle_of_calls_ends() -> None:
    shares = blamed(world(tracks=[slow("front"), slow("a")], edges=[("front", "a"), ("a", "front")]))
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_dependency_that_does_not_move_with_its_caller_explains_less() -> None:
    """Both are slow, but one is slow when the front is not."""
    together = [0.1] * 55 + [0.5, 0.5, 0.1, 0.5, 0.5]
    apart = [0.1] * 50 + [0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 0.5]
    front = series("latency", together, service="front")
    with_it = series("latency", together, service="cart")
    other = series("latency", apart, service="ads")
    shares = blamed(
        world(tracks=[front, with_it, other], edges=[("front", "cart"), ("front", "ads")]),
    )
    assert shares["cart"] > shares.get("ads", 0.0)


def test_an_address_gives_way_to_the_service_that_answers_there() -> None:
    shares = blamed(
        world(
            tracks=[slow("front"), slow("search"), slow("search-12.eu.elb.example.com")],
            edges=[("front", "search"), ("front", "search-12.eu.elb.example.com")],
        )
    )
    assert set(shares) == {"search"}


def test_an_address_alone_keeps_the_blame() -> None:
    shares = blamed(
        world(tracks=[slow("front"), slow("api.example.com")], edges=[("front", "api.example.com")])
    )
    assert shares["api.example.com"] > 0.9


def test_a_dependency_never_seen_before_leaves_the_blame_with_its_caller() -> None:
    new = series("availability", [0, 0, 0], service="wrong-table")
    shares = blamed(
        world(
            tracks=[
                shifted("availability", 100, 80, service="front"),
                shifted("availability", 100, 60, service="fn"),
                new,
            ],
            edges=[("front", "fn"), ("fn", "wrong-table")],
        ),
        Meaning.SUCCESS,
    )
    assert max(shares, key=lambda name: shares[name]) == "fn"
    assert "wrong-table" not in shares


def test_an_alert_whose_own_quantity_is_normal_is_painless() -> None:
    calm = world(tracks=[slow("front", 0.1, 0.1), slow("far", 0.1, 0.5)], edges=[("front", "cart")])
    assert locate(calm).painless
    assert not locate(world(tracks=[slow("front")])).painless


def test_without_any_sample_nothing_is_painless() -> None:
    assert not locate(world(alert=told(service="front"))).painless
