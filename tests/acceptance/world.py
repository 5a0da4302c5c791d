"""Everything around Assent, all of it real: a leaking service, Prometheus, Alertmanager, Synapse, people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.demo.seat import Said, conversation
from bot.demo.world import NAME, ServiceHandle, start_service
from tests.acceptance.assent import TOKEN, Assent
from tests.servers.matrix_commander import MatrixCommander
from tests.servers.prometheus import Alertmanager, Prometheus
from tests.servers.synapse import Account, Person, Synapse

ROOM_VERSION = "11"
"""The newest one whose room ids matrix-commander takes."""

_PATIENCE = 45.0
_LIMIT = 50_000_000
_APPROVER = ["viewer", "approver:process"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is in the room. Ana has a second client, at a terminal, that is none of our code."""

    ana: Account
    ben: Account
    eve: Account
    mallory: Account
    commander: MatrixCommander


def _people(cast: Cast) -> dict[str, tuple[str, list[str]]]:
    """Mallory is in the room and in nobody's configuration."""
    return {
        "ana": (cast.ana.user_id, ["viewer", "responder", "admin", "approver:process"]),
        "ben": (cast.ben.user_id, _APPROVER),
        "eve": (cast.eve.user_id, ["viewer"]),
    }


def rule(severity: str) -> Mapping[str, Any]:
    return {
        "alert": "MemoryHigh",
        "expr": f'process_resident_memory_bytes{{job="shops"}} > {_LIMIT}',
        "labels": {"severity": severity},
        "annotations": {"summary": "{{ $labels.service }} holds more than 50 MB"},
    }


@dataclass(slots=True, kw_only=True)
class Scenario:
    """One incident room with everything behind it."""

    room: str
    bot: Account
    service: ServiceHandle
    assent: Assent
    commander: MatrixCommander
    ana: Person
    ben: Person
    eve: Person
    mallory: Person
    encrypted: bool = False
    _since: str | None = field(default=None)

    # -- the room as people see it ----------------------------------------------------------------------

    async def said(self, room: str | None = None, person: Person | None = None) -> list[Said]:
        """What a client shows of the room, oldest first."""
        return conversation(await (person or self.ana).timeline(room or self.room))

    async def until(
        self, holds: Callable[[list[Said]], bool], what: str, *, seconds: float = _PATIENCE
    ) -> list[Said]:
        """Wait until what the room shows ``holds``. Fails saying ``what`` was awaited and what was shown."""
        shown: list[Said] = []
        try:
            async with asyncio.timeout(seconds):
                while not holds(shown := await self.said()):
                    await self._something_happens()
        except TimeoutError:
            texts = "\n---\n".join(message.text for message in shown)
            raise AssertionError(
                f"waited {seconds:g} s for {what}; the room shows:\n{texts}\n\nlog:\n{self.assent.log()}"
            ) from None
        return shown

    async def _something_happens(self) -> None:
        params = {"timeout": "1000"} | ({"since": self._since} if self._since is not None else {})
        self._since = str((await self.ana.call("GET", "/v3/sync", params=params))["next_batch"])

    async def says(self, text: str, *, thread: str | None = None) -> Said:
        """The bot's first message that has ``text``, in ``thread`` if one is given."""

        def matches(message: Said) -> bool:
            ours = message.sender == self.bot.user_id
            return ours and text in message.text and (thread is None or message.thread == thread)

        shown = await self.until(lambda all_: any(matches(m) for m in all_), f"“{text}”")
        return next(message for message in shown if matches(message))

    async def root(self, text: str = "") -> Said:
        """The incident's root message, once it has ``text``."""
        shown = await self.until(
            lambda all_: any(self._is_root(m) and text in m.text for m in all_), f"a root with “{text}”"
        )
        return next(message for message in shown if self._is_root(message) and text in message.text)

    def _is_root(self, message: Said) -> bool:
        return message.sender == self.bot.user_id and message.thread is None and "MemoryHigh" in message.text

    async def card(self, text: str = "") -> Said:
        """The approval card, once it bears both seeds and has ``text``."""
        seeds = {(self.bot.user_id, "✅"), (self.bot.user_id, "❌")}
        shown = await self.until(
            lambda all_: any(seeds <= set(m.reactions) and text in m.text for m in all_),
            f"a card with “{text}”",
        )
        cards = [message for message in shown if seeds <= set(message.reactions)]
        assert len(cards) == 1, cards
        return cards[0]

    async def message(self, event_id: str) -> Said:
        return next(message for message in await self.said() if message.event_id == event_id)

    async def becomes(self, event_id: str, text: str) -> Said:
        """The message, once it has been edited to have ``text``."""
        await self.until(
            lambda all_: any(m.event_id == event_id and text in m.text for m in all_),
            f"{event_id} to become “{text}”",
        )
        return await self.message(event_id)

    async def unseeded(self, event_id: str) -> Said:
        """The card, once the bot has taken its seeds away: no gesture on it can change anything now."""
        await self.until(
            lambda all_: (
                not any(
                    m.event_id == event_id and any(who == self.bot.user_id for who, _ in m.reactions)
                    for m in all_
                )
            ),
            "the seeds to go",
        )
        return await self.message(event_id)

    async def asks(self, command: str, *, who: Person | None = None, thread: str | None = None) -> Said:
        """Give the bot a command and return its answer. Commands and gestures are handled in their order:
        whatever was done in the room before has been dealt with when the answer is there."""
        before = {message.event_id for message in await self.said()}
        event_id = await (who or self.ana).text(self.room, f"!assent {command}", thread=thread)
        root = thread or event_id

        def answers(message: Said) -> bool:
            return (
                message.thread == root
                and message.sender == self.bot.user_id
                and message.event_id not in before
            )

        shown = await self.until(lambda all_: any(answers(m) for m in all_), f"an answer to {command}")
        return next(message for message in shown if answers(message))

    async def all_handled(self) -> None:
        """Return when the bot has dealt with everything that has happened in the room so far."""
        await self.asks("status")

    async def encrypted_card(self) -> str:
        """The event id of the card in an encrypted room: the one that bears both seeds, which are not."""
        while True:
            seeds: dict[str, set[str]] = {}
            for event in await self.ana.timeline(self.room):
                relation = event["content"].get("m.relates_to", {})
                if event["type"] == "m.reaction" and event["sender"] == self.bot.user_id and relation:
                    seeds.setdefault(relation["event_id"], set()).add(relation["key"])
            for event_id, keys in seeds.items():
                if keys == {"✅", "❌"}:
                    return event_id
            await self._something_happens()

    async def encrypted_answer(self, command: str) -> None:
        """Wait for the bot's answer to a command; only what it relates to can be read on the server."""
        while not any(
            event["type"] == "m.room.encrypted"
            and event["sender"] == self.bot.user_id
            and event["content"].get("m.relates_to", {}).get("event_id") == command
            for event in await self.ana.timeline(self.room)
        ):
            await self._something_happens()

    async def told_privately(self, person: Person, text: str) -> Said:
        """The message with ``text`` that the bot sent to this person alone."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                for room in await person.invited_rooms():
                    await person.join(room)
                for room in await person.joined_rooms():
                    if set(await person.members(room)) != {person.user_id, self.bot.user_id}:
                        continue
                    for message in await self.said(room, person):
                        if text in message.text:
                            return message
                await asyncio.sleep(0.1)

    # -- what really happened ---------------------------------------------------------------------------

    def starts(self) -> int:
        """How many instances of the service have ever come up, by their own log."""
        return self.service.log.read_text().count(" listening on ")

    def ends(self) -> list[dict[str, Any]]:
        """How each ended instance says that it ended."""
        if not self.service.exit_file.exists():
            return []
        return [json.loads(line) for line in self.service.exit_file.read_text().splitlines()]

    def untouched(self) -> bool:
        """Whether the first instance still runs, and no other ever did."""
        return (self.starts(), self.service.current_pid(), self.ends()) == (1, self.service.pid, [])

    def restarted_once(self) -> bool:
        """Whether exactly the first instance was ended (SIGTERM) and exactly one other runs."""
        ended = [(end["pid"], end["signal"]) for end in self.ends()]
        new = self.service.current_pid()
        return (
            ended == [(self.service.pid, 15)] and self.starts() == 2 and new not in (None, self.service.pid)
        )


@asynccontextmanager
async def scenario(
    synapse: Synapse,
    cast: Cast,
    directory: Path,
    *,
    severity: str = "warning",
    encrypted: bool = False,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[Scenario]:
    """Start everything; the service leaks, so an alert will fire by itself."""
    async with AsyncExitStack() as stack:
        ana, ben, eve, mallory = [
            await stack.enter_async_context(Person(account))
            for account in (cast.ana, cast.ben, cast.eve, cast.mallory)
        ]
        bot = await synapse.register()
        room = await ana.create_room(
            invite=[bot.user_id, ben.user_id, eve.user_id, mallory.user_id],
            encrypted=encrypted,
            room_version=ROOM_VERSION,
        )
        for person in (ben, eve, mallory):
            await person.join(room)
        assent = Assent(directory=directory)
        service = await start_service(
            directory / "service", leak_mb_per_second=8, leak_after=timedelta(seconds=1), memory_limit_mb=60
        )
        stack.push_async_callback(service.stop)
        alertmanager = await stack.enter_async_context(
            Alertmanager(webhook=assent.webhook, bearer=TOKEN, group_by=("alertname", "service"))
        )
        prometheus = Prometheus(
            scrape={"shops": [f"127.0.0.1:{service.port}"]},
            labels={"shops": {"service": NAME}},
            rules=[rule(severity)],
            alertmanagers=[alertmanager.url],
        )
        assent.configure(
            bot=bot,
            room=room,
            people=_people(cast),
            service=service,
            prometheus=prometheus.url,
            **(sections or {}),
        )
        # Leaking and watching have begun: what Alertmanager cannot deliver yet, it delivers again.
        await stack.enter_async_context(prometheus)
        await assent.start()
        stack.push_async_callback(_ended, assent)
        yield Scenario(
            room=room,
            bot=bot,
            service=service,
            assent=assent,
            commander=cast.commander,
            ana=ana,
            ben=ben,
            eve=eve,
            mallory=mallory,
            encrypted=encrypted,
        )


async def _ended(assent: Assent) -> None:
    if assent.process is not None:
        assert await assent.stop() == 0, assent.log()


def in_order(tags: Sequence[str], steps: Sequence[str]) -> bool:
    """Whether the steps occur among the tags in this order."""
    rest = iter(tags)
    return all(step in rest for step in steps)
