"""What must not stay stuck, be told never, or be taken for more than was said."""

import asyncio
from typing import Any

from bot.app.build import App
from bot.domain.chat import CommandReceived
from bot.domain.errors import InputError, Unavailable
from bot.domain.incident import IncidentState
from bot.domain.outcome import Execution, ExecutionState
from tests.bot.app.conftest import ANA, BEN, World, alert


class Stumbling:
    """A store whose disk refuses once, at the result of an execution or just after it."""

    def __init__(self, inner: Any, when: str) -> None:
        self._inner = inner
        self._when = when

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def finish(self, *args: Any) -> None:
        if self._when == "finish":
            self._when = ""
            raise Unavailable("store", "the disk is full")
        await self._inner.finish(*args)
        if self._when == "after":
            self._when = "next transaction"

    def transaction(self) -> Any:
        if self._when == "next transaction":
            self._when = ""
            raise Unavailable("store", "the disk is full")
        return self._inner.transaction()


async def the_execution(world: World) -> Execution | None:
    assert world.app is not None
    async with world.app.store.reading() as rows:
        found = [
            e for i in await rows.incidents(live_only=False, limit=5) for e in await rows.executions_of(i.id)
        ]
    return found[0] if found else None


async def state_of(world: World) -> IncidentState:
    assert world.app is not None
    async with world.app.store.reading() as rows:
        return (await rows.incidents(live_only=False, limit=1))[0].state


async def until_state(world: World, *states: IncidentState, seconds: float = 5) -> IncidentState:
    async with asyncio.timeout(seconds):
        while (state := await state_of(world)) not in states:
            await asyncio.sleep(0.02)
    return state


async def test_a_result_that_could_not_be_stored_becomes_an_unknown_outcome_without_a_restart(
    world: World,
) -> None:
    world.wrap_store = lambda store: Stumbling(store, "finish")
    async with world.running():
        await world.send(alert())
        world.room.react((await world.card()).id, "✅", ANA)
        await until_state(world, IncidentState.OUTCOME_UNKNOWN)
        execution = await the_execution(world)
        assert execution is not None
        assert execution.state is ExecutionState.UNKNOWN
    assert len(world.target.runs()) == 1
    assert all(isinstance(error, Unavailable) for error in world.errors)
    world.errors.clear()


async def test_a_run_is_verified_although_the_store_failed_just_after_it(world: World) -> None:
    world.wrap_store = lambda store: Stumbling(store, "after")
    async with world.running():
        await world.send(alert())
        world.room.react((await world.card()).id, "✅", ANA)
        await until_state(world, IncidentState.VERIFYING)
        await world.send(alert(status="resolved"), status="resolved")
        await until_state(world, IncidentState.RESOLVED, seconds=8)
    assert len(world.target.runs()) == 1
    assert all(isinstance(error, Unavailable) for error in world.errors)
    world.errors.clear()


async def test_a_target_that_the_configuration_lost_blocks_neither_verification_nor_chat(
    world: World,
) -> None:
    def gone(*_: Any) -> Any:
        raise InputError("parameter process: 'cart' is not a managed process")

    async def check(*_: Any) -> Any:
        gone()

    world.verify = "[50ms, 100ms]"
    async with world.running():
        await world.send(alert())
        card = await world.card()
        world.inspector.check = check  # type: ignore[method-assign]
        world.inspector.human_command = gone  # type: ignore[method-assign]
        world.room.react(card.id, "✅", ANA)
        await until_state(world, IncidentState.OUTCOME_UNKNOWN, IncidentState.FAILED)
        await world.says("? target: parameter process")
        world.room.command("show", ANA, thread=card.thread)
        await world.says("Members")


async def test_an_approval_without_digest_is_not_for_a_card_that_came_after_it(world: World) -> None:
    async with world.running():
        await world.send(alert())
        root = (await world.card()).thread
        world.investigator.hold.clear()
        world.room.command("rerun", ANA, thread=root)
        await until_state(world, IncidentState.INVESTIGATING)
        # Written while the old card is the newest one there is, and handled once there is another.
        world.room.set_down(True)
        world.room.command("approve", BEN, thread=root)
        world.investigator.hold.set()
        await world.investigated()
        world.room.set_down(False)
        await world.says("you wrote it before this card was there")
        assert world.target.runs() == []
        world.room.command("approve", BEN, thread=root)
        await world.says("Done")
    assert len(world.target.runs()) == 1


async def test_a_chat_event_that_is_no_unicode_does_not_end_the_receiver(world: World) -> None:
    async with world.running() as app:
        where: dict[str, Any] = {
            "platform": "matrix",
            "room": "!room:fake",
            "sender": ANA,
            "at": world.clock.now(),
            "thread_root": None,
        }
        await app.store.store(
            "matrix",
            [
                CommandReceived(event_id="$bad", text="status \ud800", **where),
                CommandReceived(event_id="$good", text="whoami", **where),
            ],
            None,
        )
        await world.says("You are ana")


async def test_a_missing_heartbeat_that_makes_no_incident_is_in_the_ledger_once(world: World) -> None:
    world.extra = (
        "grouping: {heartbeats: [{alertname: Watchdog, missing_after: 50ms}]}\n"
        "routes: [{name: none, mode: ignore}]\n"
    )
    async with world.running() as app:
        async with asyncio.timeout(10):
            while await told(app, b"heartbeat:missed") == 0:
                await app.sweep("heartbeats")
        for _ in range(3):
            await app.sweep("heartbeats")
        assert await told(app, b"heartbeat:missed") == 1


async def told(app: App, tag: bytes) -> int:
    return sum([tag in entry.body async for batch in app.store.entries() for entry in batch])
