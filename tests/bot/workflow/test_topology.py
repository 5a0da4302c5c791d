"""Alerts of services that depend on each other come together; noise brings nothing together."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.graph import Edge, Graph
from bot.domain.ids import IncidentId
from bot.workflow.topology import Home, group, neighbours, settle

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def graph(*pairs: tuple[str, str]) -> Graph:
    return Graph.build(
        {}, [Edge(source=a, target=b, kind="calls", origin="spans", seen_at=NOW) for a, b in pairs]
    )


def grouped(counts: Mapping[str, int], known: Graph, most: int = 8) -> list[set[str]]:
    found = group(counts, neighbours(counts, known), most)
    return sorted((set(members) for members in found), key=sorted)


def home(number: int, anchor: str, **counts: int) -> Home:
    return Home(id=IncidentId(f"inc_{number}"), anchor=anchor, counts={anchor: 1} | counts)


def settled(counts: Mapping[str, int], known: Graph, *homes: Home, most: int = 8) -> Mapping[str, str]:
    return settle(counts, neighbours(counts, known), homes, most)


SHOP = graph(("web", "cart"), ("web", "checkout"), ("cart", "db"), ("checkout", "db"))


def test_one_cause_that_fires_four_alerts_is_one_group() -> None:
    assert grouped({"web": 1, "cart": 1, "checkout": 1, "db": 1}, SHOP) == [{"web", "cart", "checkout", "db"}]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"web": 1, "db": 1}, [{"web", "db"}]),
        ({"cart": 1, "checkout": 1}, []),
        ({"web": 1, "mail": 1}, []),
        ({"db": 1}, []),
        ({}, []),
    ],
    ids=["two steps apart", "neighbours of a third that is silent", "not in the graph", "alone", "nothing"],
)
def test_only_what_depends_on_the_other_belongs_together(
    counts: Mapping[str, int], expected: Sequence[set[str]]
) -> None:
    assert grouped(counts, SHOP) == expected


def test_three_steps_are_too_far() -> None:
    chain = graph(("a", "b"), ("b", "c"), ("c", "d"))
    assert grouped({"a": 1, "d": 1}, chain) == []


def test_a_service_with_one_alert_does_not_join_two_groups() -> None:
    chain = graph(*((f"s{n}", f"s{n + 1}") for n in range(9)))
    sides = {"s0": 3, "s1": 2, "s7": 2, "s8": 3}
    assert grouped(sides, chain) == [{"s0", "s1"}, {"s7", "s8"}]
    noisy = grouped(sides | {"s3": 1, "s5": 1}, chain)
    assert noisy == [{"s0", "s1", "s3"}, {"s5", "s7", "s8"}]


def test_a_service_with_two_alerts_leads_on() -> None:
    chain = graph(*((f"s{n}", f"s{n + 1}") for n in range(5)))
    assert grouped({"s0": 2, "s2": 2, "s4": 2}, chain) == [{"s0", "s2", "s4"}]


def test_a_group_has_no_more_services_than_is_allowed() -> None:
    star = graph(*((f"s{n:02}", "db") for n in range(30)))
    counts = {"db": 5} | {f"s{n:02}": 1 + n % 2 for n in range(30)}
    for most in (2, 5, 8):
        found = grouped(counts, star, most)
        assert max(len(members) for members in found) == most
        assert sum("db" in members for members in found) == 1


def four_outages(noise: float, seed: int) -> tuple[dict[str, int], Graph, list[set[str]]]:
    """Four faults far from each other in a mesh of 80 services, each with its dependents alerting, and
    single alerts on a share of all the others."""
    pairs = []
    for area in range(4):
        names = [f"a{area}-{n}" for n in range(20)]
        pairs += [(names[n], names[n // 2]) for n in range(1, 20)]
    pairs += [(f"a{area}-19", f"a{area + 1}-19") for area in range(3)]
    known = graph(*pairs)
    counts: dict[str, int] = {}
    roots = []
    for area in range(4):
        members = {f"a{area}-{n}" for n in (0, 1, 2, 3)}
        counts |= dict.fromkeys(members, 3)
        roots.append(members)
    rng = random.Random(seed)
    for name in sorted(known.kinds):
        if name not in counts and rng.random() < noise:
            counts[name] = 1
    return counts, known, roots


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 1.0])
def test_noise_does_not_merge_outages(noise: float, seed: int) -> None:
    counts, known, roots = four_outages(noise, seed)
    found = grouped(counts, known, most=12)
    for members in roots:
        assert sum(members <= one for one in found) == 1, "an outage stays together"
    for one in found:
        assert len([members for members in roots if members & one]) <= 1, "and apart from the others"


SERVICES = [f"s{n}" for n in range(12)]


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(SERVICES), st.sampled_from(SERVICES)), max_size=30),
    st.lists(st.sampled_from(SERVICES), max_size=30),
    st.integers(2, 8),
    st.randoms(use_true_random=False),
)
def test_the_order_of_alerts_and_edges_changes_no_group(
    pairs: list[tuple[str, str]], alerts: list[str], most: int, rng: random.Random
) -> None:
    def groups_of(alerting: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[set[str]]:
        counts: dict[str, int] = {}
        for name in alerting:
            counts[name] = counts.get(name, 0) + 1
        return grouped(counts, graph(*edges), most)

    found = groups_of(alerts, pairs)
    shuffled, other = list(alerts), list(pairs)
    rng.shuffle(shuffled)
    rng.shuffle(other)
    assert groups_of(shuffled, other) == found
    every = [name for one in found for name in one]
    assert len(every) == len(set(every)), "no service is in two groups"
    assert all(2 <= len(one) <= most for one in found)
    assert set(every) <= set(alerts)


# incidents that are there


def test_an_alert_joins_the_incident_of_what_it_depends_on_or_what_depends_on_it() -> None:
    assert settled({"cart": 1, "mail": 1}, SHOP, home(1, "db")) == {"cart": "inc_1"}
    assert settled({"web": 1}, SHOP, home(1, "db")) == {"web": "inc_1"}
    assert settled({"db": 1}, SHOP, home(1, "web")) == {"db": "inc_1"}
    assert settled({"cart": 1}, SHOP, home(1, "checkout")) == {}


def test_the_nearest_incident_is_joined_and_of_two_the_first() -> None:
    assert settled({"web": 1}, SHOP, home(1, "db"), home(2, "cart")) == {"web": "inc_2"}
    assert settled({"web": 1}, SHOP, home(3, "cart"), home(2, "checkout")) == {"web": "inc_3"}


CHAIN = graph(*((f"s{n}", f"s{n + 1}") for n in range(12)))


def test_an_incident_does_not_wander_along_services_with_one_alert_each() -> None:
    one = home(1, "s0", s1=1, s2=1)
    assert settled({"s3": 1, "s4": 1}, CHAIN, one) == {}
    assert settled({"s3": 1}, CHAIN, home(1, "s0", s1=2)) == {"s3": "inc_1"}


def test_a_service_that_comes_with_two_alerts_leads_on_at_once() -> None:
    assert settled({"s2": 2, "s4": 2, "s6": 1, "s9": 1}, CHAIN, home(1, "s0")) == {
        "s2": "inc_1", "s4": "inc_1", "s6": "inc_1",
    }  # fmt: skip


def test_an_incident_takes_in_no_more_services_than_is_allowed() -> None:
    star = graph(*((f"s{n:02}", "db") for n in range(30)))
    counts = {f"s{n:02}": 1 + n % 3 for n in range(30)}
    found = settled(counts, star, home(1, "db", other=1), most=8)
    assert sorted(found) == [f"s{n:02}" for n in range(6)]
    again = settled(
        {"s00": 1, "s29": 1}, star, home(1, "db", s00=3, **{f"x{n}": 1 for n in range(6)}), most=8
    )
    assert again == {"s00": "inc_1"}, "a service that is in it already may always come again"


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(SERVICES), st.sampled_from(SERVICES)), max_size=30),
    st.dictionaries(st.sampled_from(SERVICES), st.integers(1, 3)),
    st.lists(st.sampled_from(SERVICES), unique=True, max_size=4),
    st.integers(2, 8),
    st.randoms(use_true_random=False),
)
def test_the_order_of_alerts_does_not_change_what_they_join(
    pairs: list[tuple[str, str]], counts: dict[str, int], anchors: list[str], most: int, rng: random.Random
) -> None:
    known, homes = graph(*pairs), [home(number, anchor) for number, anchor in enumerate(anchors)]
    shuffled = list(counts.items())
    rng.shuffle(shuffled)
    found = settled(counts, known, *homes, most=most)
    assert settled(dict(shuffled), known, *homes, most=most) == found
    for one in homes:
        members = {one.anchor, *(service for service, incident in found.items() if incident == one.id)}
        assert len(members) <= most
