"""When a series is unusual, and how its trouble is shared out among what it depends on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.domain.evidence import Series
from investigators.signals.blame import Blame, assign
from investigators.signals.curves import curves_of
from investigators.signals.deviation import Deviation, deviations
from investigators.signals.locate import locate
from investigators.signals.meaning import Meaning
from investigators.world.world import World
from tests.investigators.signals.build import ONSET, series, shifted, told, world


def unusual(
    values: Sequence[float], healthy: Sequence[float] = (), name: str = "latency", pained: bool = False
) -> list[Deviation]:
    baseline = [series(name, healthy, start=ONSET, service="front")] if healthy else []
    built = world(tracks=[series(name, values, service="front")], healthy_tracks=baseline)
    meanings = set(Meaning) if pained else set()
    return list(deviations(built, curves_of(built.tracks), meanings)[0])


FLAT = [1.0] * 55
NOISY = [1.0, 1.2, 0.9, 1.1, 0.8] * 11


@pytest.mark.parametrize(
    ("values", "healthy", "found"),
    [
        pytest.param([*FLAT, *[2.0] * 5], [], True, id="up against the time before"),
        pytest.param([2.0] * 60, FLAT, False, id="as high before the onset as since"),
        pytest.param([*FLAT, *[2.0] * 5], FLAT, True, id="up against a baseline"),
        pytest.param([*FLAT, *[1.05] * 5], [], False, id="a twentieth more than a flat normal"),
        pytest.param([*NOISY, *[1.25] * 5], [], False, id="within the noise"),
        pytest.param([*NOISY, *[3.0] * 5], [], True, id="out of the noise"),
        pytest.param([*FLAT, 9.0, 1.0, 1.0, 1.0, 1.0], [], True, id="one great spike"),
        pytest.param([*[1.0] * 48, *[3.0] * 7, *[2.5] * 5], [], False, id="a heavy tail reached as high"),
        pytest.param([*[0.0] * 55, *[5.0] * 5], [], True, id="from a flat nothing"),
        pytest.param([0.0] * 60, [], False, id="nothing all the time"),
        pytest.param([1.0, 1.0, 1.0, *[9.0] * 5], [], False, id="too little from before"),
        pytest.param(
            [1.0, 1.0, 1.0, *[9.0] * 5], FLAT, True, id="a baseline where too little is from before"
        ),
        pytest.param([*FLAT, *[0.1] * 5], [], False, id="a latency that falls is worse for nobody"),
    ],
)
def test_a_latency_is_unusually_high(values: list[float], healthy: list[float], found: bool) -> None:
    assert any(one.excess > 0 for one in unusual(values, healthy)) is found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([*[100.0] * 55, *[97.0] * 5], True),
        ([*[1.0] * 55, *[0.97] * 5], True),
        ([*[100.0] * 55, *[99.9] * 5], False),
        ([*[97.0] * 55, *[100.0] * 5], False),
    ],
)
def test_success_is_worse_when_it_falls_in_per_cent_or_as_a_ratio(values: list[float], found: bool) -> None:
    assert any(one.excess > 0 for one in unusual(values, name="availability")) is found


def test_resources_may_be_unusual_either_way() -> None:
    (more,) = unusual([*FLAT, *[3.0] * 5], name="cpu_usage")
    (less,) = unusual([*FLAT, *[0.1] * 5], name="cpu_usage")
    assert more.z > 0 > less.z


def test_what_the_alert_says_hurts_is_believed_earlier() -> None:
    slight = [*NOISY, *[1.3] * 5]
    assert not unusual(slight)
    assert unusual(slight, pained=True)


def test_each_instance_is_compared_with_its_own_baseline() -> None:
    tracks = [
        series("memory_bytes", [level] * 60, service="front", instance=instance)
        for instance, level in (("small:1", 1.0), ("large:1", 8.0))
    ]
    baseline = [
        Series(name=one.name, labels=one.labels, samples=tuple(s for s in one.samples if s.at < ONSET))
        for one in tracks
    ]
    built = world(tracks=tracks, healthy_tracks=baseline)
    assert deviations(built, curves_of(built.tracks))[0] == ()


def test_memory_that_is_freed_is_no_pressure_and_memory_that_is_used_up_is() -> None:
    def kinds(after: float) -> set[str]:
        tracks = [
            shifted("latency", 0.1, 0.9, service="front"),
            shifted("FreeableMemory", 10.0, after, service="front"),
        ]
        return {fact.kind for fact in locate(world(tracks=tracks)).facts}

    assert kinds(30.0) == {"latency_shift"}
    assert kinds(0.5) == {"resource_pressure"}


def slow(name: str, before: float = 0.1, after: float = 0.5, metric: str = "latency") -> Series:
    return shifted(metric, before, after, service=name)


def blame(
    built: World, wanted: Meaning = Meaning.LATENCY, entries: Sequence[str] | None = None
) -> tuple[Blame, ...]:
    curves = curves_of(built.tracks)
    found, _ = deviations(built, curves, {wanted})
    return assign(found, curves, built.graph, built.subjects if entries is None else entries, {wanted})


def shares(built: World, **options: object) -> dict[str, float]:
    return {one.object: one.share for one in blame(built, **options)}  # type: ignore[arg-type]


CHAIN = [("front", "a"), ("a", "b"), ("b", "db")]
DIAMOND = [("front", "a"), ("front", "b"), ("a", "shared"), ("b", "shared")]


@pytest.mark.parametrize(
    ("slowed", "edges", "to_blame"),
    [
        pytest.param(["front", "a", "b", "db"], CHAIN, "db", id="a chain to its end"),
        pytest.param(["front", "a"], CHAIN, "a", id="a chain that breaks off"),
        pytest.param(["front"], CHAIN, "front", id="only the entry"),
        pytest.param(["front", "a", "b", "shared"], DIAMOND, "shared", id="a diamond"),
        pytest.param(["front", "b"], DIAMOND, "b", id="one side of a diamond"),
        pytest.param(["front", "db"], CHAIN, "front", id="nothing slow in between"),
        pytest.param(["front", "a", "b"], [("front", "a"), ("a", "b"), ("b", "a")], "b", id="a loop below"),
        pytest.param(["front", "a"], [], "front", id="no graph"),
    ],
)
def test_the_blame_goes_to(slowed: list[str], edges: list[tuple[str, str]], to_blame: str) -> None:
    found = blame(world(tracks=[slow(name) for name in slowed], edges=edges))
    assert found[0].object == to_blame
    assert sum(one.share for one in found) == pytest.approx(1.0)


def test_a_callee_that_takes_part_in_few_requests_cannot_have_slowed_them_all() -> None:
    traffic = [
        series("requests", [100.0] * 60, service="front"),
        series("requests", [100.0] * 60, service="often"),
        series("requests", [1.0] * 60, service="seldom"),
    ]
    found = shares(
        world(
            tracks=[slow("front"), slow("often"), slow("seldom"), *traffic],
            edges=[("front", "often"), ("front", "seldom")],
        )
    )
    assert found["often"] > 0.9
    assert found.get("seldom", 0.0) < 0.1


def test_a_rare_callee_can_move_a_high_quantile_but_not_the_middle() -> None:
    def seldom(metric: str) -> float:
        traffic = [
            series("requests", [100.0] * 60, service="front"),
            series("requests", [5.0] * 60, service="seldom"),
        ]
        tracks = [slow(name, metric=metric) for name in ("front", "seldom")]
        return shares(world(tracks=[*tracks, *traffic], edges=[("front", "seldom")])).get("seldom", 0.0)

    assert seldom("latency_p99") > 0.9
    assert seldom("latency_p50") < 0.5


def test_two_faults_of_one_entry_share_its_blame() -> None:
    found = shares(
        world(tracks=[slow("front", 0.1, 0.9), slow("a"), slow("b")], edges=[("front", "a"), ("front", "b")])
    )
    assert found["a"] == pytest.approx(found["b"])


def test_where_no_entry_is_known_the_blame_starts_at_whatever_nothing_in_pain_depends_on() -> None:
    built = world(
        alert=told(), tracks=[slow("front"), slow("a"), slow("b")], edges=[("front", "a"), ("a", "b")]
    )
    assert blame(built, entries=())[0].object == "b"


def test_pain_elsewhere_does_not_count_while_the_entry_has_its_own() -> None:
    found = shares(world(tracks=[slow("front"), slow("far", 0.1, 90.0)], edges=[("front", "a")]))
    assert set(found) == {"front"}


def test_the_symptom_that_the_alert_is_about_counts_more_than_others() -> None:
    built = world(
        tracks=[
            slow("front"),
            slow("a"),
            slow("front", 0.0, 0.5, "error_ratio"),
            slow("b", 0.0, 0.5, "error_ratio"),
        ],
        edges=[("front", "a"), ("front", "b")],
    )
    assert blame(built, wanted=Meaning.LATENCY)[0].object == "a"
    assert blame(built, wanted=Meaning.ERRORS)[0].object == "b"


def test_nothing_unusual_blames_nobody() -> None:
    assert blame(world(tracks=[slow("front", 0.1, 0.1)], edges=CHAIN)) == ()
