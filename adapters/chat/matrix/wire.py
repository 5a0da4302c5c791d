"""What the bot can do in rooms, as single requests; encryption happens here when a room asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.chat.matrix.content import Content
from adapters.chat.matrix.http import SYSTEM, MatrixHttp, Refused, path
from adapters.chat.matrix.session import Session
from bot.domain.errors import Unavailable

if TYPE_CHECKING:
    from adapters.chat.matrix.crypto import Crypto

_FIRST_SYNC_SECONDS = 15.0
_PAGES = 50


class Undecryptable(Exception):
    """No key for this event (yet)."""


class Wire:
    """A logged-in device. ``crypto`` is None where encryption is impossible, for the reason given."""

    def __init__(
        self, http: MatrixHttp, session: Session, crypto: Crypto | None, without_crypto: str | None
    ) -> None:
        self.http = http
        self.session = session
        self.crypto = crypto
        self._without_crypto = without_crypto
        self._encrypted: dict[str, bool] = {}
        self._absorbed = asyncio.Condition()

    async def close(self) -> None:
        if self.crypto is not None:
            await self.crypto.close()

    async def absorb(self, answer: Mapping[str, Any]) -> None:
        """Learn from a sync answer what sending needs to know."""
        for room, info in answer["rooms"]["join"].items():
            events = [*info["state"]["events"], *info["timeline"]["events"]]
            if any(event.get("type") == "m.room.encryption" for event in events):
                self._encrypted[room] = True
        if self.crypto is not None:
            await self.crypto.absorb(answer)
        async with self._absorbed:
            self._absorbed.notify_all()

    async def encrypted(self, room: str) -> bool:
        """Whether messages of the room are encrypted; once they are, they stay so."""
        if room not in self._encrypted:
            try:
                await self.http.request("GET", path("v3", "rooms", room, "state", "m.room.encryption", ""))
            except Refused as error:
                if error.status == 404 and error.errcode == "M_NOT_FOUND":
                    return self._encrypted.setdefault(room, False)
                raise
            self._encrypted[room] = True
        return self._encrypted[room]

    async def send(self, room: str, kind: str, content: Content, transaction: str) -> str:
        """Send an event once per transaction id and return its event id; encrypted where the room is.

        The server remembers transaction ids per device (Synapse for a day, over its own restarts too).
        """
        if kind != "m.reaction" and await self.encrypted(room):
            kind, content = await self._seal(room, kind, content)
        answer = await self.http.request("PUT", path("v3", "rooms", room, "send", kind, transaction), content)
        return str(answer["event_id"])

    async def react(self, room: str, content: Content, transaction: str) -> None:
        """Set a reaction; having set it already is success. Reactions are never encrypted (v1.16)."""
        try:
            await self.send(room, "m.reaction", content, transaction)
        except Refused as error:
            if error.errcode != "M_DUPLICATE_ANNOTATION":
                raise

    async def redact(self, room: str, event_id: str, transaction: str) -> None:
        await self.http.request("PUT", path("v3", "rooms", room, "redact", event_id, transaction), {})

    async def event(self, room: str, event_id: str) -> dict[str, Any]:
        return await self.http.request("GET", path("v3", "rooms", room, "event", event_id))

    async def own_reactions(self, room: str, event_id: str) -> list[str]:
        """Event ids of the bot's reactions on a message, asked from the server."""
        where = path("v1", "rooms", room, "relations", event_id, "m.annotation", "m.reaction")
        params = {"limit": "100"}
        found: list[str] = []
        for _ in range(_PAGES):
            page = await self.http.request("GET", where, params=params)
            found += [
                str(event["event_id"])
                for event in page.get("chunk", [])
                if event.get("sender") == self.session.user_id
            ]
            if not page.get("next_batch"):
                break
            params["from"] = str(page["next_batch"])
        return found

    async def join(self, room: str) -> None:
        await self.http.request("POST", path("v3", "join", room), {})

    async def leave(self, room: str) -> None:
        await self.http.request("POST", path("v3", "rooms", room, "leave"), {})

    async def display_name(self) -> str | None:
        try:
            answer = await self.http.request("GET", path("v3", "profile", self.session.user_id))
        except Refused:
            return None
        name = answer.get("displayname")
        return name if isinstance(name, str) else None

    async def _seal(self, room: str, kind: str, content: Content) -> tuple[str, Content]:
        crypto = self.crypto
        if crypto is None:
            raise Unavailable(SYSTEM, f"room {room} is encrypted, but {self._without_crypto}")
        if not crypto.knows(room):
            try:
                async with asyncio.timeout(_FIRST_SYNC_SECONDS), self._absorbed:
                    await self._absorbed.wait_for(lambda: crypto.knows(room))
            except TimeoutError:
                raise Unavailable(SYSTEM, f"who is in the encrypted room {room} is not known yet") from None
        return await crypto.encrypt(room, kind, content)
