"""What the graph knows, how old that is, and what it never claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.graph import Dependents, Edge, Graph, Owner, ago

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
NAMES = st.sampled_from("abcdef")


def edge(source: str, target: str, kind: str = "calls", *, minutes: float | None = 1, **more: object) -> Edge:
    seen = None if minutes is None else NOW - timedelta(minutes=minutes)
    return Edge(source=source, target=target, kind=kind, origin="spans", seen_at=seen, **more)  # type: ignore[arg-type]


def test_an_edge_seen_twice_is_as_old_as_it_was_seen_last() -> None:
    graph = Graph.build({}, [edge("a", "b", minutes=9), edge("a", "b", minutes=3), edge("a", "b", minutes=5)])
    assert [one.seen_at for one in graph.edges] == [NOW - timedelta(minutes=3)]


def test_a_declared_edge_that_is_seen_is_told_as_seen_and_stays_declared() -> None:
    declared = Edge(source="a", target="b", kind="calls", origin="configuration", declared=True)
    for edges in ([declared, edge("a", "b")], [edge("a", "b"), declared]):
        (one,) = Graph.build({}, edges).edges
        assert (one.origin, one.declared) == ("spans", True)
    assert declared.told(NOW) == "configuration"
    assert edge("a", "b", minutes=3).told(NOW) == "spans, 3 min ago"


def test_ages_are_told_in_the_largest_whole_unit() -> None:
    told = [ago(NOW - timedelta(seconds=s), NOW) for s in (-5, 59, 60, 3_599, 3_600, 86_400 * 2)]
    assert told == ["just now", "just now", "1 min ago", "59 min ago", "1 h ago", "2 d ago"]


def test_services_that_depend_on_something_are_found_through_others() -> None:
    graph = Graph.build(
        {}, [edge("web", "cart"), edge("cart", "db", minutes=7), edge("jobs", "db", minutes=4)]
    )
    assert graph.depend_on(["DB"]) == Dependents(
        names=("cart", "jobs", "web"), seen_at=NOW - timedelta(minutes=1)
    )


def test_nobody_known_to_depend_on_it_is_told_as_nobody_known() -> None:
    graph = Graph.build({}, [edge("web", "cart")])
    assert graph.depend_on(["web"]) == Dependents()
    assert graph.depend_on(["never-heard-of"]) == Dependents()


def test_what_only_leads_to_a_service_is_passed_through_and_not_counted() -> None:
    graph = Graph.build(
        {"shop.example.org": "external", "cart-7": "pod"},
        [
            edge("shop.example.org", "cart-svc", "routes_to"),
            edge("web", "cart-svc"),
            edge("cart-svc", "cart", "routes_to"),
            edge("cart-7", "cart", "uses"),
        ],
    )
    assert graph.depend_on(["cart"]).names == ("web",)


def test_services_in_a_circle_do_not_count_themselves() -> None:
    graph = Graph.build({}, [edge("a", "b"), edge("b", "a")])
    assert graph.depend_on(["a"]).names == ("b",)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=30), st.randoms())
def test_who_depends_on_it_does_not_hang_on_the_order_of_the_edges(
    pairs: list[tuple[str, str]], random: object
) -> None:
    edges = [edge(a, b) for a, b in pairs]
    shuffled = list(edges)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Graph.build({}, edges), Graph.build({}, shuffled)
    for name in "abcdef":
        assert one.depend_on([name]) == other.depend_on([name])
        assert name not in one.depend_on([name]).names


def test_distances_stop_where_asked() -> None:
    graph = Graph.build({}, [edge("a", "b"), edge("b", "c"), edge("c", "d")])
    assert dict(graph.distances("a", most=2)) == {"a": 0, "b": 1, "c": 2}
    assert dict(graph.distances("d", upstream=True, most=1)) == {"d": 0, "c": 1}


def test_what_is_kept_has_the_kinds_of_its_ends_and_no_pods_and_nothing_declared() -> None:
    graph = Graph.build(
        {"db": "datastore", "cart-7": "pod"},
        [
            edge("cart", "db", "uses", minutes=None, evidence_id="ev_1"),
            edge("cart", "cart-7", "runs_on"),
            edge("cart", "node-1", "runs_on"),
            Edge(source="web", target="cart", kind="calls", origin="configuration", declared=True),
        ],
    )
    kept = graph.kept(NOW)
    assert [(e.source, e.target, e.source_kind, e.target_kind) for e in kept] == [
        ("cart", "db", "service", "datastore"),
        ("cart", "node-1", "service", "node"),
    ]
    assert kept[0].seen_at == NOW, "what was just read is as old as the reading"
    assert not any(e.evidence_id for e in kept)


def test_an_owner_is_told_by_team_and_person() -> None:
    assert str(Owner(team="storage", person="ada")) == "team storage, ada"
    assert str(Owner(person="ada")) == "ada"
    assert str(Owner()) == ""
