"""The running service with every source configured: what each one shows, and what its loss costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.bot.app.conftest import World, made_world
from tests.bot.app.surroundings import SOURCES, Surroundings, broken, surroundings

MISSING = "Root cause: cart: a Secret it needs does not exist"


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    async with surroundings(tmp_path) as made:
        yield made


async def diagnosis(
    directory: Path, around: Surroundings, service: str, name: str, *, deadline: str = "15s"
) -> str:
    """What a new service says in the room after the alert."""
    directory.mkdir()
    world = made_world(directory)
    world.really = True
    world.extra = around.evidence(deadline=deadline)
    said = await told(world, around, service, name)
    assert world.errors == []
    return said


async def told(world: World, around: Surroundings, service: str, name: str) -> str:
    async with world.running():
        await world.send(around.alert(service, name))
        return (await world.says("Diagnosis of ")).text


def line(said: str, label: str) -> str:
    return next(one for one in said.splitlines() if one.startswith(f"{label}: "))


def gaps(said: str) -> list[str]:
    """What the diagnosis says it does not know."""
    _, _, rest = said.partition("\nNot known\n")
    return [one[2:] for one in rest.split("\nSuggested steps")[0].splitlines() if one.startswith("- ")]


async def test_a_missing_secret_is_named_by_what_only_the_cluster_shows(
    tmp_path: Path, around: Surroundings
) -> None:
    said = await diagnosis(tmp_path / "here", around, "cart", "CartDown")
    assert line(said, "Root cause") == MISSING
    assert "Secret shop/cart-db does not exist" in line(said, "Summary")
    assert not [gap for gap in gaps(said) if gap.startswith(SOURCES)]


async def test_a_deploy_is_named_whose_diff_sets_what_the_log_complains_about(
    tmp_path: Path, around: Surroundings
) -> None:
    said = await diagnosis(tmp_path / "here", around, "payments", "PaymentsFail")
    assert line(said, "Root cause").startswith("Root cause: payments: ")
    assert "connection pool exhausted" in said
    changes = said.partition("\nWhat changed\n")[2].splitlines()
    assert "deployed main to production" in said
    assert "(40 → 2)" in changes[0]
    assert "README" not in changes[0]
    # What is masked in the log and in the diff is nothing they have in common.
    assert "redacted" not in changes[0].partition("both speak of")[2]


@pytest.mark.parametrize("how", ["down", "lying", "flood", "drop"])
async def test_each_source_that_misbehaves_is_named_and_the_others_still_explain_the_alert(
    tmp_path: Path, around: Surroundings, how: str
) -> None:
    for source in around.sources():
        async with broken(around, source, how):
            said = await diagnosis(tmp_path / source, around, "cart", "CartDown")
        assert named(said, source), (source, said)
        if source == "kubernetes":
            nothing_is_made_up_of_a_silent_cluster(said)
        else:
            assert line(said, "Root cause") == MISSING, (source, said)


async def test_sources_that_never_answer_are_named_and_the_one_that_does_explains_the_alert(
    tmp_path: Path, around: Surroundings
) -> None:
    """All but one at once: each alone would cost the same time."""
    async with AsyncExitStack() as stack:
        slow = [source for source in around.sources() if source != "kubernetes"]
        for source in slow:
            await stack.enter_async_context(broken(around, source, "slow"))
        said = await diagnosis(tmp_path / "here", around, "cart", "CartDown", deadline="8s")
    assert [source for source in slow if not named(said, source)] == [], said
    assert line(said, "Root cause") == MISSING


async def test_of_a_cluster_that_never_answers_nothing_is_made_up(
    tmp_path: Path, around: Surroundings
) -> None:
    async with broken(around, "kubernetes", "slow"):
        said = await diagnosis(tmp_path / "here", around, "cart", "CartDown", deadline="6s")
    assert named(said, "kubernetes")
    nothing_is_made_up_of_a_silent_cluster(said)


def named(said: str, source: str) -> bool:
    """The diagnosis tells that it does not know what the source could have shown."""
    return any(gap.startswith(f"{source}: ") for gap in gaps(said))


def nothing_is_made_up_of_a_silent_cluster(said: str) -> None:
    assert "Secret" not in line(said, "Root cause"), said
    assert "Nothing is wrong" not in said
    ruled_out = said.partition("\nRuled out\n")[2].partition("\nNot known\n")[0]
    assert not [fault for fault in ("secret_missing", "container_config", "replicas") if fault in ruled_out]
