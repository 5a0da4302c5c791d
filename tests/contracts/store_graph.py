"""What a store promises about the service graph that it keeps between investigations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.contracts.store_nouns import NOW, AnyStore, declared_edge, edge

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONG_AGO = NOW - 7 * DAY


class GraphContract:
    async def test_edges_are_read_back_as_they_were_seen_newest_first(self, store: AnyStore) -> None:
        older = edge("web", "cart", seen_at=NOW - MINUTE, kind="uses", target_kind="datastore")
        newer = edge("cart", "db", origin="Service")
        async with store.transaction() as tx:
            await tx.keep_edges([older, newer], LONG_AGO)
        async with store.reading() as rows:
            assert list(await rows.edges(LONG_AGO)) == [newer, older]
        assert list(await store.edges(LONG_AGO)) == [newer, older]

    async def test_an_edge_is_kept_once_as_it_was_seen_last(self, store: AnyStore) -> None:
        for seen, origin in ((NOW - MINUTE, "spans"), (NOW, "Service"), (NOW - 2 * MINUTE, "volume")):
            async with store.transaction() as tx:
                await tx.keep_edges([edge("cart", "db", seen_at=seen, origin=origin)], LONG_AGO)
        assert list(await store.edges(LONG_AGO)) == [edge("cart", "db", origin="Service")]

    async def test_only_edges_seen_after_a_time_are_given(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.keep_edges([edge("a", "b", seen_at=NOW - DAY), edge("b", "c")], LONG_AGO)
        assert list(await store.edges(NOW - DAY)) == [edge("b", "c")]
        assert list(await store.edges(NOW)) == []

    async def test_an_edge_that_was_not_seen_again_is_forgotten(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.keep_edges([edge("a", "b", seen_at=NOW - 6 * DAY), edge("b", "c")], LONG_AGO)
        async with store.transaction() as tx:
            await tx.keep_edges([], NOW - 5 * DAY)
        assert list(await store.edges(LONG_AGO)) == [edge("b", "c")]

    async def test_declared_edges_do_not_age_and_are_replaced_as_a_whole(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.declare_edges([declared_edge("a", "b"), declared_edge("b", "c")], NOW - 30 * DAY)
            await tx.keep_edges([], NOW)
        assert list(await store.edges(NOW)) == [declared_edge("a", "b"), declared_edge("b", "c")]
        async with store.transaction() as tx:
            await tx.declare_edges([declared_edge("b", "c"), declared_edge("c", "d")], NOW)
        assert list(await store.edges(NOW)) == [declared_edge("b", "c"), declared_edge("c", "d")]
        async with store.transaction() as tx:
            await tx.declare_edges([], NOW)
        assert list(await store.edges(LONG_AGO)) == []

    async def test_an_edge_both_declared_and_seen_stays_known_when_either_goes(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.declare_edges([declared_edge("a", "b")], NOW)
            await tx.keep_edges([edge("a", "b")], LONG_AGO)
        assert list(await store.edges(LONG_AGO)) == [declared_edge("a", "b"), edge("a", "b")]
        async with store.transaction() as tx:
            await tx.declare_edges([], NOW)
        assert list(await store.edges(LONG_AGO)) == [edge("a", "b")]

    async def test_beyond_a_limit_the_oldest_are_forgotten(self, store: AnyStore) -> None:
        many = [edge(f"s{n:05}", "db", seen_at=NOW - timedelta(seconds=n)) for n in range(5_000)]
        newer = [edge(f"t{n}", "db", seen_at=NOW + MINUTE) for n in range(3)]
        async with store.transaction() as tx:
            await tx.declare_edges([declared_edge("web", "db")], NOW)
            await tx.keep_edges(many, LONG_AGO)
            await tx.keep_edges(newer, LONG_AGO)
        found = await store.edges(LONG_AGO)
        assert len(found) == 5_001
        assert {one.source for one in found} >= {"web", "t0", "t1", "t2", "s00000"}
        assert "s04999" not in {one.source for one in found}

    async def test_names_that_no_service_has_are_not_kept(self, store: AnyStore) -> None:
        odd = [edge("x" * 254, "db"), edge("\ud800", "db"), edge("", "db"), edge("a", "b", seen_at=None)]
        async with store.transaction() as tx:
            await tx.keep_edges([*odd, edge("cart", "db")], LONG_AGO)
        assert list(await store.edges(LONG_AGO)) == [edge("cart", "db")]

    async def test_a_change_that_is_undone_leaves_the_graph_as_it_was(self, store: AnyStore) -> None:
        async with store.transaction() as tx:
            await tx.keep_edges([edge("a", "b")], LONG_AGO)
        try:
            async with store.transaction() as tx:
                await tx.keep_edges([replace(edge("b", "c"))], NOW)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        assert list(await store.edges(LONG_AGO)) == [edge("a", "b")]
