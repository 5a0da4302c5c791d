"""One bad pod, one bad service, or the cluster as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bot.domain.diagnosis import Hypothesis
from bot.domain.evidence import FactVerdict
from investigators.causes import world_candidates
from investigators.facts.charge import node, service
from investigators.facts.spread import check
from investigators.signals.locate import Located
from investigators.world.world import World
from tests.investigators.platform.build import evidence, world
from tests.investigators.test_host_tables import LOOKS, pack_of

FOUND, UNKNOWN = FactVerdict.FOUND, FactVerdict.UNKNOWN


def pod(
    name: str, ready: bool | None = True, *, on: str = "n1", phase: str = "Running", **meta: Any
) -> dict[str, Any]:
    conditions = [] if ready is None else [{"type": "Ready", "status": "True" if ready else "False"}]
    owner = {"kind": "StatefulSet", "name": name.rpartition("-")[0]}
    return {
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": name, "ownerReferences": [owner], **meta},
        "spec": {"nodeName": on},
        "status": {"phase": phase, "conditions": conditions},
    }


def machine(name: str, ready: str = "True", **pressure: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    conditions += [{"type": kind, "status": status} for kind, status in pressure.items()]
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": conditions}}


WELL = [pod("shop-0"), pod("shop-1"), pod("db-0"), machine("n1"), machine("n2")]


@dataclass(frozen=True, kw_only=True)
class Look:
    name: str
    world: World
    want: dict[tuple[str, str], FactVerdict]


LOOKS_AT_PODS = [
    Look(
        name="one pod of three",
        world=world(pod("cart-0", False), pod("cart-1"), pod("cart-2"), WELL),
        want={("scope_one_instance", "cart"): FOUND},
    ),
    Look(
        name="every pod of one service",
        world=world(pod("cart-0", False), pod("cart-1", False), WELL),
        want={("scope_whole_service", "cart"): FOUND},
    ),
    Look(
        name="most services",
        world=world(pod("cart-0", False), pod("cart-1"), pod("a-0", False), pod("b-0", False), pod("c-0")),
        want={("scope_cluster_wide", "shop"): FOUND},
    ),
    Look(
        name="most nodes",
        world=world(
            pod("cart-0"), pod("cart-1"), machine("n1", "Unknown"), machine("n2", MemoryPressure="True")
        ),
        want={("scope_cluster_wide", "cluster"): FOUND},
    ),
    Look(name="one node of two", world=world(pod("cart-0"), machine("n1", "False"), machine("n2")), want={}),
    Look(name="all is well", world=world(pod("cart-0"), pod("cart-1"), WELL), want={}),
    Look(name="a service of one pod", world=world(pod("cart-0", False), WELL), want={}),
    Look(
        name="a pod that has ended, or is going",
        world=world(
            pod("cart-0", False, phase="Succeeded"),
            pod("cart-1", False, deletionTimestamp="2026-03-01T12:00:00Z"),
            pod("cart-2"),
            WELL,
        ),
        want={},
    ),
    Look(name="pods that do not say", world=world(pod("cart-0", None), pod("cart-1"), WELL), want={}),
    Look(name="the list of pods failed", world=world(WELL[3:], failed=("Pod",)), want={}),
    Look(name="no cluster at all", world=world(), want={}),
]


@pytest.mark.parametrize("look", LOOKS_AT_PODS, ids=lambda look: look.name)
def test_how_far_it_spreads(look: Look) -> None:
    facts = check(look.world)
    assert {(fact.kind, fact.subject): fact.verdict for fact in facts} == look.want
    assert all(fact.evidence_ids for fact in facts)


def test_one_bad_pod_is_named_with_its_node_and_the_rest_of_the_cluster() -> None:
    (fact,) = check(world(pod("cart-0", False, on="n2"), pod("cart-1"), WELL))
    for text in ("1 of 2 pods of cart fail", "cart-0 on n2", "1 of 5 pods", "0 of 2 nodes"):
        assert text in fact.detail


def ranked(made: World) -> list[Hypothesis]:
    """A service and a node with equally sure faults of equal weight."""
    seen = evidence("kubernetes.objects", "Pod")
    facts = [
        service("cart").found("oom_killed", 0.6, (seen,), "r", "d"),
        node("n2").found("node_not_ready", 0.6, (seen,), "r", "d"),
        node("n1").found("node_not_ready", 0.6, (seen,), "r", "d"),
    ]
    _, entity = pack_of(LOOKS[0])
    found = world_candidates(made, Located(), facts, (), {seen.id: seen}, (entity,))
    return [one.hypothesis for one in found]


def score(made: World, name: str) -> float:
    return next(one.score for one in ranked(made) if one.object == name)


def test_cluster_wide_trouble_speaks_for_nodes_and_one_bad_pod_for_its_own() -> None:
    well = world(pod("cart-0"), pod("cart-1", on="n2"), WELL)
    wide = world(pod("cart-0", False), pod("a-0", False), pod("b-0", False, on="n2"), WELL[3:])
    one = world(pod("cart-0", False, on="n2"), pod("cart-1"), WELL)
    assert score(wide, "n2") > score(well, "n2")
    assert score(wide, "cart") == score(well, "cart")
    assert score(one, "cart") > score(well, "cart")
    assert score(one, "n2") > score(one, "n1")
