"""Rooms between the bot and one person, found or made for private answers (specification v1.16, 11.17)."""

from __future__ import annotations

import asyncio
from typing import Any

from adapters.chat.matrix.http import Refused, path
from adapters.chat.matrix.wire import Wire


class DirectRooms:
    """Keeps the bot's ``m.direct`` account data, so that the rooms are found again after a restart."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rooms: dict[str, list[str]] = {}
        self._refused: dict[str, Refused] = {}
        self._lock = asyncio.Lock()

    def __contains__(self, room: object) -> bool:
        return any(room in rooms for rooms in self._rooms.values())

    async def load(self) -> None:
        """Read what earlier runs made. Raises Unavailable."""
        try:
            document = await self._wire.http.request("GET", self._where)
        except Refused as error:
            if error.status != 404:
                raise
            document = {}
        self._rooms = {
            user: [room for room in rooms if isinstance(room, str)]
            for user, rooms in document.items()
            if isinstance(rooms, list)
        }

    async def room_for(self, person: str, *, encrypted: bool) -> str:
        """Return the room shared with this user only, inviting them when they are not in it.

        Raises Refused when the server does not allow one, Unavailable.
        """
        async with self._lock:
            for room in self._rooms.get(person, ()):
                if await self._usable(room, person):
                    return room
            # The server leaves an empty room behind every invitation it refuses: one is enough.
            if person in self._refused:
                raise self._refused[person]
            try:
                return await self._create(person, encrypted=encrypted)
            except Refused as error:
                self._refused[person] = error
                raise

    @property
    def _where(self) -> str:
        return path("v3", "user", self._wire.session.user_id, "account_data", "m.direct")

    async def _usable(self, room: str, person: str) -> bool:
        http = self._wire.http
        try:
            members = await http.request("GET", path("v3", "rooms", room, "joined_members"))
            if set(members.get("joined", {})) - {person, self._wire.session.user_id}:
                return False
            state = await http.request("GET", path("v3", "rooms", room, "state", "m.room.member", person))
            if state.get("membership") not in ("join", "invite"):
                await http.request("POST", path("v3", "rooms", room, "invite"), {"user_id": person})
        except Refused:
            return False
        return True

    async def _create(self, person: str, *, encrypted: bool) -> str:
        body: dict[str, Any] = {"preset": "trusted_private_chat", "is_direct": True, "invite": [person]}
        if encrypted:
            algorithm = {"algorithm": "m.megolm.v1.aes-sha2"}
            body["initial_state"] = [
                {"type": "m.room.encryption", "state_key": "", "content": algorithm},
            ]
        answer = await self._wire.http.request("POST", path("v3", "createRoom"), body)
        room = str(answer["room_id"])
        # Before anything is said there: a crash must leave an empty room behind, not a second answer.
        rooms = {**self._rooms, person: [room, *self._rooms.get(person, ())]}
        await self._wire.http.request("PUT", self._where, rooms)
        self._rooms = rooms
        return room
