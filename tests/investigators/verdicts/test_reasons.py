"""Two faults at once, and why the others lost."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.evidence import Fact
from investigators.entities import Entity
from investigators.reasons import Second, second_fault, with_reasons
from investigators.world.world import World
from tests.investigators.platform.build import world
from tests.investigators.verdicts.judging import chain, entity, fact, grounds, judged

BOTH = (entity("cart"), entity("shelf"))
KILLED, MISSING = fact("oom_killed", "cart", 0.95), fact("secret_missing", "shelf", 0.9)


def second(of: World, *facts: Fact, entities: Sequence[Entity] = BOTH) -> Second | None:
    verdict = judged(of, *facts, entities=entities)
    return second_fault(verdict.standing, grounds(of, facts, entities=entities))


def lost(of: World, *facts: Fact, entities: Sequence[Entity] | None = None) -> dict[tuple[str, str], str]:
    verdict = judged(of, *facts, entities=entities)
    told = with_reasons(verdict.standing, verdict.refuted, None)
    return {one.key: one.hypothesis.lost_to for one in told}


def test_a_sure_fault_that_explains_an_alert_of_its_own_is_a_second_one() -> None:
    found = second(world(), KILLED, MISSING)
    assert found is not None
    assert found.candidate.key == ("shelf", "secret_missing")
    assert [one.subject for one in found.explains] == ["shelf"]


def test_it_may_explain_its_alert_from_further_down() -> None:
    of = world(edges=(("shelf", "db"),), kinds={"shelf": "service", "db": "service"})
    found = second(of, KILLED, fact("db_disk_full", "db", 0.95))
    assert found is not None
    assert found.candidate.key == ("db", "db_disk_full")


def test_there_is_no_second_fault_where_one_explains_every_alert() -> None:
    assert second(world(), KILLED, MISSING, entities=[entity("cart")]) is None
    of = world(edges=(("shelf", "cart"),), kinds={"shelf": "service", "cart": "service"})
    assert second(of, KILLED, MISSING) is None, "shelf depends on cart"


def test_what_is_unsure_weak_or_only_compared_is_no_second_fault() -> None:
    assert second(world(), KILLED, fact("secret_missing", "shelf", 0.65)) is None
    assert second(world(), KILLED, fact("dependency_slow", "shelf", 0.95)) is None
    assert second(world(), KILLED, fact("latency_shift", "shelf", 0.95, nats=40.0)) is None


def test_nothing_standing_has_no_second() -> None:
    assert second(world()) is None


def test_each_but_the_first_says_why_it_lost() -> None:
    told = lost(
        chain(),
        fact("db_read_only", "db", 0.95),
        fact("log_template_new", "cart", 0.9),
        fact("image_pull", "cart", 0.7),
        entities=[entity("cart")],
    )
    assert told == {
        ("db", "db_read_only"): "",
        ("cart", "log_template_new"): "symptom of db_read_only at db",
        ("cart", "image_pull"): "weaker evidence",
    }


def test_what_only_its_distance_keeps_behind_is_farther_from_the_alert() -> None:
    told = lost(
        world(edges=(("front", "cart"),), kinds={"front": "service", "cart": "service"}),
        fact("network_policy_blocked", "cart", 0.95),
        fact("secret_missing", "front", 0.95),
    )
    assert told["front", "secret_missing"] == "farther from the alert"


def test_a_change_is_why_a_thing_broke_and_not_what() -> None:
    told = lost(world(), fact("secret_missing", "cart", 0.9), fact("bad_change", "cart", 0.95))
    assert told["cart", "bad_change"] == "it is why that broke, not what"


def test_the_refuted_the_contradicted_and_the_equal_are_told_apart() -> None:
    refuted = lost(chain(), fact("secret_missing", "cart", 0.9), fact("dependency_down", "db", 0.9))
    assert refuted["db", "dependency_down"] == "weaker evidence"
    steady = judged(chain(), fact("secret_missing", "cart"), fact("dependency_down", "db"), steady=["db"])
    assert with_reasons(steady.standing, steady.refuted, None)[-1].hypothesis.lost_to == "refuted"
    equal = lost(world(), fact("secret_missing", "cart"), fact("config_map_missing", "cart"))
    assert sorted(equal.values()) == ["", "as likely by its evidence"]
    contradicted = lost(
        world(),
        fact("secret_missing", "cart"),
        fact("image_registry_unreachable", "cart"),
        fact("image_tag_missing", "cart"),
    )
    assert contradicted["cart", "image_tag_missing"] == "its evidence is contradicted"
