"""One thing that breaks must not stop the others."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from bot.domain.chat import MessageRef
from bot.domain.clock import Clock
from bot.domain.message import Message
from bot.ports import Chat
from config.schema import Config
from investigators.ports import Case, Investigation
from tests.bot.app.conftest import ANA, World, alert
from tests.fakes.investigator import ScriptedInvestigator
from tests.fakes.room import Room, RoomChat


class Brittle(RoomChat):
    """A room whose adapter has a bug with one word."""

    async def open_thread(self, room: str, message: Message, key: str) -> MessageRef:
        if "Poison" in message.title:
            raise ValueError("a bug in the adapter")
        return await super().open_thread(room, message, key)


async def test_a_message_that_breaks_the_adapter_does_not_keep_the_others_back(world: World) -> None:
    @asynccontextmanager
    async def brittle(config: Config, clock: Clock) -> AsyncIterator[Mapping[str, Chat]]:
        yield {"matrix": Brittle(Room(world.directory / "room.db"))}

    world.open_chats = brittle
    async with world.running():
        await world.send(alert("Poison", fingerprint="p", service="one"), group="g1")
        await world.send(alert("Fine", fingerprint="f", service="two"), group="g2")
        await world.root_says("Fine")
        await world.card()
    assert world.errors
    assert all(isinstance(error, ValueError) for error in world.errors)
    world.errors.clear()


class Picky:
    """A store that fails on one incident, as a bug in intake would."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._inner.transaction() as tx:
            add = tx.add_incident

            async def add_incident(incident: Any) -> Any:
                if "Poison" in incident.title:
                    raise KeyError("a bug")
                return await add(incident)

            tx.add_incident = add_incident
            yield tx


async def test_an_alert_that_breaks_intake_is_put_aside_on_record_and_the_rest_is_placed(
    world: World,
) -> None:
    world.wrap_store = Picky
    async with world.running():
        await world.send(
            alert("Before", fingerprint="b", service="one"),
            alert("Poison", fingerprint="p", service="two"),
            alert("After", fingerprint="a", service="three"),
            group="",
        )
        await world.root_says("Before")
        await world.root_says("After")
        world.room.command("status", ANA)
        await world.says("2 live incidents")
    assert [type(error) for error in world.errors] == [KeyError]
    world.errors.clear()


class Unstorable(ScriptedInvestigator):
    """Its evidence holds half a character, which is no text that a row can hold."""

    async def investigate(self, case: Case) -> Investigation:
        answer = await ScriptedInvestigator.investigate(self, case)
        return replace(answer, evidence=tuple(replace(item, excerpt="\ud800") for item in answer.evidence))


async def test_evidence_that_cannot_be_stored_ends_in_a_diagnosis_that_says_so(world: World) -> None:
    world.investigator = Unstorable()
    async with world.running():
        await world.send(alert())
        said = await world.says("Diagnosis of ")
    assert "The investigation itself failed" in said.text
    assert "see the log" in said.text
    assert all(isinstance(error, ValueError) for error in world.errors)
    world.errors.clear()
