"""Actions that people ask for, through the running service: a proposal like any other, and others decide."""

import asyncio

import pytest

from bot.domain.incident import IncidentState
from bot.domain.proposal import Action, Target
from tests.bot.app import conftest
from tests.bot.app.conftest import ANA, BEN, EVE, World, alert
from tests.bot.app.test_asking import ledger, rejected, rows, settled
from tests.bot.app.test_steering import becomes
from tests.fakes.room import RoomMessage

ASK = "propose process.restart process=cart"
DECLINED = "No proposal for"


async def second_card(world: World, first: RoomMessage) -> RoomMessage:
    def others(messages: list[RoomMessage]) -> list[RoomMessage]:
        return [m for m in messages if "Action: process.restart" in m.text and m.id != first.id]

    return others(await world.room.until(lambda ms: bool(others(ms))))[-1]


async def refused(world: World, text: str, sender: str, thread: str | None) -> str:
    """The answer to a command that is refused in the room."""
    before = sum(": refused" in m.text for m in world.room.bot_messages())
    world.room.command(text, sender, thread)
    found = await world.room.until(lambda ms: sum(": refused" in m.text for m in ms) == before + 1)
    return [m.text for m in found if ": refused" in m.text][-1]


async def test_what_a_person_proposes_is_decided_by_another_and_executed(world: World) -> None:
    async with world.running():
        first = await rejected(world)
        world.room.command(ASK, ANA, first.thread)
        await world.says("Preparing what ana asks for")
        card = await second_card(world, first)
        assert "Approval needed" in card.text
        assert "Why: ana asks for it" in card.text
        assert "Dry run: ✔ would restart" in card.text
        world.room.react(card.id, "✅", ANA)
        await settled(world)
        assert any("did not count" in m.text for m in world.room.private())
        assert world.target.runs() == []
        world.room.react(card.id, "✅", BEN)
        await world.says("⚙️ Done")
        told = await ledger(world)
        assert "action:wished" in told
        assert '"state":"proposed"' in told
    assert len(world.target.runs()) == 1


async def test_it_takes_the_place_of_what_waits_once_policy_has_allowed_it(world: World) -> None:
    world.investigator.process = "cart"
    async with world.running():
        await world.send(alert())
        first = await world.card()
        world.target.replace("77")
        world.room.command(ASK, ANA, first.thread)
        card = await second_card(world, first)
        await world.room.until(lambda ms: any(m.id == first.id and "Superseded" in m.text for m in ms))
        replaced = next(m for m in world.room.bot_messages() if m.id == first.id)
        assert "ana asked for process[.]restart instead" in replaced.text
        world.room.react(first.id, "✅", BEN)
        await settled(world)
        assert world.target.runs() == []
        world.room.react(card.id, "✅", BEN)
        await world.says("⚙️ Done")
        assert rows(world, "SELECT state FROM requests ORDER BY seq") == [("superseded",), ("approved",)]
    assert len(world.target.runs()) == 1


async def test_what_the_card_asks_for_already_is_not_asked_for_again(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.command(ASK, ANA, card.thread)
        declined = await world.says(DECLINED)
        assert "asks for exactly this" in declined.text
        assert rows(world, "SELECT state FROM requests") == [("pending",)]


async def test_what_policy_denies_leaves_what_waits_as_it_is(world: World) -> None:
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.target.replace("77")
        world.inspector.labels = {"namespace": "kube-system"}
        world.room.command(ASK, ANA, card.thread)
        declined = await world.says(DECLINED)
        assert "rules:" in declined.text
        assert rows(world, "SELECT state FROM requests") == [("pending",)]
        world.target.replace("1")
        world.inspector.labels = {}
        world.room.react(card.id, "✅", BEN)
        await world.says("⚙️ Done")
    assert len(world.target.runs()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("propose process.restrat process=cart", "Did you mean process.restart?"),
        ("propose rm process=cart", "There are\n- alertmanager.expire_silence"),
        ("propose process.restart", "parameter process: missing"),
        ("propose process.restart process=../etc", "parameter process: must match"),
        ("propose process.restart process=cart force=yes", "parameter force: not known"),
        (
            "propose alertmanager.silence matchers=x duration_minutes=soon",
            "duration_minutes: a whole number is needed\n- parameter comment: missing",
        ),
    ],
)
async def test_what_the_catalogue_does_not_know_is_refused_by_name(
    world: World, text: str, said: str
) -> None:
    async with world.running():
        first = await rejected(world)
        assert said in await refused(world, text, ANA, first.thread)
        assert rows(world, "SELECT count(*) FROM wishes") == [(0,)]


async def test_a_target_that_cannot_be_seen_is_told_and_nothing_is_asked(world: World) -> None:
    async with world.running():
        first = await rejected(world)
        world.inspector.down = True
        world.room.command(ASK, ANA, first.thread)
        declined = await world.says(DECLINED)
        assert "cannot be seen" in declined.text
        assert declined.thread == first.thread
        assert rows(world, "SELECT count(*) FROM requests") == [(1,)]


async def test_a_viewer_may_not_propose(world: World) -> None:
    async with world.running():
        first = await rejected(world)
        world.room.command(ASK, EVE, first.thread)
        await settled(world)
        assert any("propose: refused" in m.text for m in world.room.private())
        assert rows(world, "SELECT count(*) FROM wishes") == [(0,)]


async def test_nothing_is_proposed_while_an_action_runs_or_is_looked_at(world: World) -> None:
    world.executor.hold.clear()
    world.verify = "[30s]"
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.room.react(card.id, "✅", BEN)
        await becomes(world, IncidentState.EXECUTING)
        assert "an action is being executed" in await refused(world, ASK, ANA, card.thread)
        world.executor.hold.set()
        await becomes(world, IncidentState.VERIFYING)
        assert "is being verified" in await refused(world, ASK, ANA, card.thread)
        assert rows(world, "SELECT count(*) FROM wishes") == [(0,)]


async def test_without_execution_it_is_advice_with_the_command(world: World) -> None:
    world.execution = False
    async with world.running():
        await world.send(alert())
        root = await world.root_says("MemoryHigh")
        await world.says("Advice for")
        world.room.command(ASK, ANA, root.id)
        declined = await world.says(DECLINED)
        assert "this is advice only" in declined.text
        assert "By hand: restart cart" in declined.text
        assert rows(world, "SELECT count(*) FROM requests") == [(0,)]


async def test_in_calibration_nothing_is_proposed(world: World) -> None:
    world.extra = "investigation: {calibration: true}\n"
    async with world.running():
        await world.send(alert())
        root = await world.root_says("MemoryHigh")
        await world.says("Diagnosis of")
        assert "nothing is offered" in await refused(world, ASK, ANA, root.id)


async def test_what_is_inconclusive_can_be_acted_on_by_a_person_and_two_others_must_agree(
    world: World,
) -> None:
    world.investigator.process = None
    async with world.running():
        await world.send(alert())
        root = await world.root_says("inconclusive")
        world.room.command(ASK, ANA, root.id)
        card = await world.card()
        assert "Why: ana asks for it" in card.text
        assert "Needs 2 different approvers" in card.text


async def interrupted(world: World) -> RoomMessage:
    """Stopped between the command and the work on it; the card of before."""
    async with world.running():
        first = await rejected(world)
    held = asyncio.Event()
    located = world.inspector.locate

    async def never(action: Action) -> Target:
        held.set()
        await asyncio.Event().wait()
        return await located(action)

    world.inspector.locate = never  # type: ignore[method-assign]  # it hangs until the service is stopped
    async with world.running():
        world.room.command(ASK, ANA, first.thread)
        await held.wait()
    assert rows(world, "SELECT state FROM wishes") == [("open",)]
    world.inspector.locate = located  # type: ignore[method-assign]  # and answers again
    return first


async def test_a_proposal_that_a_crash_interrupted_is_made_once_by_the_next_start(world: World) -> None:
    first = await interrupted(world)
    async with world.running():
        await second_card(world, first)
        await settled(world)
    async with world.running():
        await settled(world)
    assert rows(world, "SELECT count(*), max(state) FROM wishes") == [(1, "proposed")]
    assert rows(world, "SELECT count(*) FROM requests") == [(2,)]


async def test_who_has_lost_the_role_meanwhile_gets_no_proposal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await interrupted(world)
    roles = '[viewer, responder, admin, "approver:process", "approver:alertmanager"]'
    whole = conftest.config_text
    monkeypatch.setattr(conftest, "config_text", lambda *a, **k: whole(*a, **k).replace(roles, "[viewer]"))
    async with world.running():
        declined = await world.says(DECLINED)
        assert "ana may no longer ask for actions" in declined.text
    assert rows(world, "SELECT count(*) FROM requests") == [(1,)]


async def test_an_event_that_is_delivered_again_proposes_once(world: World) -> None:
    async with world.running():
        first = await rejected(world)
        event = world.room.command(ASK, ANA, first.thread)
        await second_card(world, first)
        world.room.replay(event)
        await settled(world)
        assert rows(world, "SELECT count(*) FROM requests") == [(2,)]


async def test_who_asks_for_too_many_actions_is_told_so(world: World) -> None:
    async with world.running():
        first = await rejected(world)
        world.inspector.down = True
        for _ in range(10):
            world.room.command(ASK, ANA, first.thread)
        assert "10 actions within an hour" in await refused(world, ASK, ANA, first.thread)
