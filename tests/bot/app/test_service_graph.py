"""What the running service knows of what depends on what: kept, grouped by, shown, and whom it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.graph import EDGE_LIFE, Edge
from bot.domain.incident import Incident, IncidentState
from tests.bot.app.conftest import ANA, World, alert
from tests.bot.app.test_incidents import placed
from tests.bot.app.test_steering import becomes

SERVICES = """
services:
  - {name: web, depends_on: [cart]}
  - {name: cart, depends_on: [orders]}
  - {name: checkout, depends_on: [orders]}
  - {name: orders, kind: datastore, team: storage, owner: ada}
"""
FOUR = ("web", "cart", "checkout", "orders")


def of(service: str, *, fingerprint: str = "", **labels: str) -> dict[str, Any]:
    return alert("ErrorsHigh", fingerprint=fingerprint or f"f-{service}", service=service, **labels)


async def each_alone(world: World, alerts: Sequence[dict[str, Any]]) -> list[Incident]:
    """As monitoring sends them: every service a group of its own, one after the other."""
    for number, one in enumerate(alerts):
        await world.send(one, group=f"g{number}-{one['labels']['service']}")
        await placed(world)
    return await placed(world)


@pytest.fixture
def declared(world: World) -> World:
    world.extra = SERVICES
    return world


async def test_one_cause_that_fires_four_alerts_is_one_incident(declared: World) -> None:
    async with declared.running():
        (incident,) = await each_alone(declared, [of(name) for name in ("orders", "cart", "checkout", "web")])
        assert incident.alerts_total == 4
        await declared.root_says("4 firing of 4")
        assert len([m for m in declared.room.bot_messages() if m.thread is None]) == 1


async def test_services_that_do_not_depend_on_each_other_stay_apart(declared: World) -> None:
    async with declared.running():
        found = await each_alone(declared, [of("mail"), of("orders"), of("search")])
        assert sorted(str(one.service) for one in found) == ["mail", "orders", "search"]


@pytest.mark.parametrize("labels", [{"environment": "staging"}, {"cluster": "eu-2"}])
async def test_the_same_services_elsewhere_are_another_incident(
    declared: World, labels: dict[str, str]
) -> None:
    async with declared.running():
        assert len(await each_alone(declared, [of("orders"), of("cart", **labels)])) == 2


async def test_topology_groups_nothing_where_it_is_off(world: World) -> None:
    world.extra = SERVICES + "grouping: {topology_window: 0s}\n"
    async with world.running():
        assert len(await each_alone(world, [of(name) for name in FOUR])) == 4


async def test_an_incident_takes_in_neighbours_only_for_a_while(world: World) -> None:
    world.extra = SERVICES + "grouping: {topology_window: 1ms}\n"
    async with world.running():
        assert len(await each_alone(world, [of("orders"), of("cart")])) == 2


async def test_an_incident_takes_in_no_more_services_than_is_allowed(world: World) -> None:
    world.extra = SERVICES + "grouping: {topology_services: 2}\n"
    async with world.running():
        found = await each_alone(world, [of("orders"), of("cart"), of("checkout")])
        assert sorted(one.alerts_total for one in found) == [1, 2]


async def test_the_order_within_one_delivery_changes_no_incident(declared: World) -> None:
    orders = (FOUR, tuple(reversed(FOUR)), ("cart", "checkout", "web", "orders"))
    async with declared.running():
        for number, names in enumerate(orders):
            cluster = f"c{number}"
            await declared.send(
                *(of(name, fingerprint=f"{cluster}-{name}", cluster=cluster) for name in names), group=cluster
            )
        found = await placed(declared)
        assert [one.alerts_total for one in found] == [4, 4, 4]


async def test_an_alert_that_came_by_topology_comes_again_to_the_same_incident(world: World) -> None:
    world.extra = SERVICES
    async with world.running() as app:
        (first,) = await each_alone(world, [of("orders"), of("cart")])
        async with app.store.transaction() as tx:
            one = await tx.incident(first.id)
            assert one is not None
            # As if it had been opened long ago.
            await tx.save_incident(replace(one, opened_at=one.opened_at - timedelta(hours=1)))
        again = of("cart") | {"startsAt": "2026-11-21T03:00:00Z"}
        await world.send(again, group="another group")
        (incident,) = await placed(world)
        assert incident.alerts_total == 3
        assert incident.firing == 2


async def test_the_incident_is_over_when_every_alert_that_joined_is(declared: World) -> None:
    async with declared.running():
        await each_alone(declared, [of("orders"), of("cart")])
        await declared.send(
            of("orders") | {"status": "resolved", "endsAt": "2026-11-21T04:00:00Z"}, status="resolved"
        )
        (incident,) = await placed(declared)
        assert (incident.firing, incident.state is IncidentState.RESOLVED) == (1, False)
        await declared.send(
            of("cart") | {"status": "resolved", "endsAt": "2026-11-21T04:00:00Z"}, status="resolved"
        )
        await becomes(declared, IncidentState.RESOLVED)


async def test_what_one_investigation_saw_groups_the_alerts_of_the_next(world: World) -> None:
    now = world.clock.now()
    world.investigator.edges = (
        Edge(source="web", target="cart", kind="calls", origin="spans", seen_at=now),
        Edge(source="web", target="old", kind="calls", origin="spans", seen_at=now - timedelta(days=2)),
        Edge(source="web", target="ancient", kind="calls", origin="spans", seen_at=now - EDGE_LIFE),
    )
    world.investigator.process = None
    async with world.running() as app:
        await world.send(of("first"))
        await becomes(world, IncidentState.INCONCLUSIVE)
        kept = await app.store.edges(now - EDGE_LIFE)
        assert {(one.source, one.target) for one in kept} == {("web", "cart"), ("web", "old")}
        found = await each_alone(world, [of("cart"), of("web"), of("old")])
        assert sorted(one.alerts_total for one in found) == [1, 1, 2], "an edge two days old groups nothing"


async def test_declared_edges_follow_the_file_at_every_start(declared: World) -> None:
    now = declared.clock.now()
    async with declared.running() as app:
        assert {(one.source, one.target) for one in await app.store.edges(now)} == {
            ("web", "cart"), ("cart", "orders"), ("checkout", "orders"),
        }  # fmt: skip
    declared.extra = ""
    async with declared.running() as app:
        assert list(await app.store.edges(now)) == []


async def test_the_card_says_how_many_services_depend_on_the_target(world: World) -> None:
    world.extra = "services:\n" + "".join(
        f"  - {{name: s{n}, depends_on: [{'cart' if n < 3 else 's0'}]}}\n" for n in range(6)
    )
    async with world.running():
        await world.send(alert())
        card = await world.card()
        assert "6 services are known to depend on it (declared): s0, s1, s2, s3, s4 and 1 more" in card.text
        assert "Risk: medium · blast radius 6" in card.text


async def test_the_card_says_that_nobody_is_known_to_depend_on_the_target(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        assert "no dependents seen, which does not mean that nothing depends on it" in card.text
        assert "Risk: low · blast radius 1" in card.text


async def test_dependents_seen_after_the_card_stop_an_approval_that_is_too_weak(world: World) -> None:
    async with world.running() as app:
        await world.send(alert())
        card = await world.card()
        now = world.clock.now()
        seen = [
            Edge(source=f"s{n}", target="cart", kind="calls", origin="spans", seen_at=now) for n in range(10)
        ]
        async with app.store.transaction() as tx:
            await tx.keep_edges(seen, now - EDGE_LIFE)
        world.room.react(card.id, "✅", ANA)
        await world.says("policy now asks for 2 approvals")
    assert world.target.runs() == []


async def test_a_critical_service_needs_two_people(world: World) -> None:
    world.extra = "services: [{name: cart, critical: true}]\n"
    async with world.running():
        await world.send(alert())
        assert "Needs 2 different approvers" in (await world.card()).text


async def test_the_rooms_of_a_service_hear_of_it_and_the_card_names_the_team(world: World) -> None:
    world.more_rooms = ', {name: shop, matrix: "!shop:fake"}'
    world.extra = "services: [{name: cart, team: shop-team, rooms: [shop]}]\n"
    async with world.running():
        await world.send(alert())
        found = await world.room.until(lambda ms: len([m for m in ms if m.thread is None]) == 2)
        roots = [m for m in found if m.thread is None]
        assert {str(m.key).split(":")[1] for m in roots} == {"ops", "shop"}
        assert all("Team: shop-team" in m.text for m in roots)


async def test_who_waits_for_a_service_hears_when_its_alert_joins_another_incident(world: World) -> None:
    world.more_rooms = ', {name: shop, matrix: "!shop:fake"}'
    world.extra = "services:\n  - {name: cart, depends_on: [orders], rooms: [shop]}\n  - {name: orders}\n"
    async with world.running():
        (incident,) = await each_alone(world, [of("orders"), of("cart")])
        assert incident.route.rooms == ("ops", "shop")
        await world.room.until(lambda ms: len([m for m in ms if m.thread is None]) == 2)
