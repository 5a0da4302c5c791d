"""Ways through the graph of what depends on what."""

from __future__ import annotations

from datetime import UTC, datetime

from investigators.world.graph import Edge, Graph

SEEN = datetime(2026, 3, 1, tzinfo=UTC)


def graph(*pairs: tuple[str, str]) -> Graph:
    return Graph.build({}, [Edge(source=a, target=b, kind="calls", origin="test") for a, b in pairs])


CHAIN = graph(("front", "a"), ("a", "db"), ("front", "b"), ("b", "db"), ("db", "front"))


def test_distances_are_the_shortest_and_a_cycle_ends() -> None:
    assert CHAIN.distances("front") == {"front": 0, "a": 1, "b": 1, "db": 2}
    assert CHAIN.distances("front", upstream=True) == {"front": 0, "db": 1, "a": 2, "b": 2}


def test_what_is_not_in_the_graph_is_only_near_itself() -> None:
    assert CHAIN.distances("elsewhere") == {"elsewhere": 0}
    assert CHAIN.dependencies("elsewhere") == CHAIN.dependents("elsewhere") == ()


def test_the_blast_radius_counts_everything_that_depends_on_it_but_itself() -> None:
    assert graph(("front", "a"), ("a", "db"), ("b", "db")).depend_on(["db"]).count == 3
    assert CHAIN.depend_on(["db"]).count == 3


def test_an_edge_from_several_origins_is_kept_once_the_observed_one_first() -> None:
    declared = Edge(source="a", target="b", kind="calls", origin="map")
    observed = Edge(source="a", target="b", kind="calls", origin="spans", seen_at=SEEN)
    for order in ((declared, observed), (observed, declared)):
        assert Graph.build({}, order).edges == (observed,)


def test_an_edge_of_another_kind_is_another_edge() -> None:
    edges = [Edge(source="a", target="b", kind=kind, origin="x") for kind in ("calls", "uses")]
    assert len(Graph.build({}, edges).edges) == 2


def test_an_edge_to_itself_or_to_nothing_is_none() -> None:
    assert graph(("a", "a"), ("a", ""), ("", "a")).edges == ()


def test_what_something_runs_on_is_a_node() -> None:
    built = Graph.build({"a": "queue"}, [Edge(source="a", target="n1", kind="runs_on", origin="Pod")])
    assert built.kinds == {"a": "queue", "n1": "node"}
