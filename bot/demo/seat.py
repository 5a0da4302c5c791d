"""The demo's incident room on a homeserver of its own, and a human in it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from bot.demo.homeserver import Account, Homeserver
from bot.demo.story import MatrixSeat
from bot.domain.chat import APPROVE_SEED, REJECT_SEED
from bot.domain.errors import Unavailable

_BOT, _PERSON = "assent", "you"
_PAGE = 100
_SYSTEM = "demo room"


@dataclass(slots=True, kw_only=True)
class Said:
    """A message as a client shows it: with its newest edit."""

    event_id: str
    sender: str
    text: str
    thread: str | None
    edits: int = 0
    reactions: list[tuple[str, str]] = field(default_factory=list)
    """Who set which, those taken back left out."""


class HumanPlayer:
    """A person at a Matrix client, over the plain client-server API (https://spec.matrix.org/v1.16/)."""

    def __init__(self, session: aiohttp.ClientSession, account: Account, bot_id: str, room: str) -> None:
        self._session = session
        self._account = account
        self._bot_id = bot_id
        self._room = room

    async def decide(self, approve: bool) -> None:
        """React on the bot's newest card that asks for it. Raises Unavailable when there is none."""
        seeds = {(self._bot_id, APPROVE_SEED), (self._bot_id, REJECT_SEED)}
        cards = [message for message in await self.conversation() if seeds <= set(message.reactions)]
        if not cards:
            raise Unavailable(_SYSTEM, "no message asks for a reaction")
        relation = {
            "rel_type": "m.annotation",
            "event_id": cards[-1].event_id,
            "key": APPROVE_SEED if approve else REJECT_SEED,
        }
        await self._call(
            "PUT",
            f"/rooms/{quote(self._room)}/send/m.reaction/{secrets.token_hex(8)}",
            {"m.relates_to": relation},
        )

    async def conversation(self) -> list[Said]:
        """Everything said in the room, oldest first."""
        return conversation(await self._timeline())

    async def _timeline(self) -> list[Mapping[str, Any]]:
        events: list[Mapping[str, Any]] = []
        where = f"/rooms/{quote(self._room)}/messages?dir=f&limit={_PAGE}"
        page = await self._call("GET", where)
        while True:
            events += page["chunk"]
            if not page.get("end"):
                return events
            page = await self._call("GET", f"{where}&from={quote(page['end'])}")

    async def _call(self, method: str, where: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return await _call(self._session, self._account, method, where, body)


def conversation(events: Sequence[Mapping[str, Any]]) -> list[Said]:
    """Put messages together from a room's events, oldest first.

    As clients do, only an edit by the author of a message counts, and redacted events have no content.
    """
    said: dict[str, Said] = {}
    for event in events:
        content = event.get("content") or {}
        relation = content.get("m.relates_to") or {}
        kind, target = relation.get("rel_type"), str(relation.get("event_id"))
        if event["type"] == "m.reaction" and target in said:
            said[target].reactions.append((event["sender"], relation["key"]))
        elif event["type"] == "m.room.message" and kind == "m.replace":
            if target in said and said[target].sender == event["sender"]:
                said[target].text = content["m.new_content"]["body"]
                said[target].edits += 1
        elif event["type"] == "m.room.message" and "body" in content:
            said[event["event_id"]] = Said(
                event_id=event["event_id"],
                sender=event["sender"],
                text=content["body"],
                thread=target if kind == "m.thread" else None,
            )
    return list(said.values())


@asynccontextmanager
async def open_seat(directory: Path) -> AsyncIterator[tuple[MatrixSeat, HumanPlayer]]:
    """Start a homeserver with its files in ``directory``, with a room in which a bot and a human are.

    Raises UserError when Synapse is not installed, Unavailable when it does not come up.
    """
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    async with Homeserver(directory) as server, aiohttp.ClientSession() as session:
        bot = await server.register(_BOT)
        person = await server.register(_PERSON, secrets.token_hex(4))
        asked = {"preset": "private_chat", "name": "Incidents", "invite": [bot.user_id]}
        room = str((await _call(session, person, "POST", "/createRoom", asked))["room_id"])
        await _call(session, bot, "POST", f"/join/{quote(room)}", {})
        seat = MatrixSeat(
            homeserver=server.url,
            bot_id=bot.user_id,
            bot_token=bot.access_token,
            bot_device=bot.device_id,
            person_id=person.user_id,
            person_password=person.password,
            room_id=room,
        )
        yield seat, HumanPlayer(session, person, bot.user_id, room)


async def _call(
    session: aiohttp.ClientSession,
    account: Account,
    method: str,
    where: str,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    url = f"{account.homeserver}/_matrix/client/v3{where}"
    headers = {"Authorization": f"Bearer {account.access_token}"}
    try:
        async with session.request(method, url, json=body, headers=headers) as answer:
            document: dict[str, Any] = await answer.json()
            if answer.status != 200:
                raise Unavailable(_SYSTEM, f"{answer.status}: {document.get('error', document)}")
            return document
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(_SYSTEM, f"{error or type(error).__name__}") from error
