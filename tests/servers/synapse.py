"""A real Synapse homeserver on loopback, and people who use it over the plain client API."""

from __future__ import annotations

import secrets
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from bot.demo.homeserver import SERVER_NAME, Account, Homeserver, free_port, synapse_missing

__all__ = ["SERVER_NAME", "Account", "Person", "Synapse", "free_port", "synapse_missing"]


def steady_port() -> int:
    """A free port below the range from which the kernel takes ports for outgoing connections: it stays free
    until a server that needs seconds to start has taken it, and while that server is stopped."""
    while True:
        port = 15_000 + secrets.randbelow(17_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Synapse(Homeserver):
    """Starts Synapse in a directory of its own; ``async with Synapse() as server``."""

    def __init__(self, *, default_rate_limits: bool = False, port: int | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="assent-synapse-")
        super().__init__(
            Path(self._directory.name), default_rate_limits=default_rate_limits, port=port or steady_port()
        )

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._directory.cleanup()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._directory.cleanup()

    async def person(self, name: str | None = None) -> Person:
        """A new user with a client of their own; use it with ``async with`` or close it."""
        return Person(await self.register(name))


@dataclass(slots=True)
class Person:
    """A user acting over the client-server API, without any code of ours or of the bot's library."""

    account: Account
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def user_id(self) -> str:
        return self.account.user_id

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        allow: Sequence[int] = (200,),
    ) -> dict[str, Any]:
        """One request below ``/_matrix/client``; an unexpected status is an AssertionError."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self.account.access_token}"}
            )
        url = f"{self.account.homeserver}/_matrix/client{path}"
        async with self._session.request(method, url, json=body, params=params) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status in allow, f"{method} {path}: {answer.status} {document}"
        return document

    async def create_room(
        self, *, invite: Sequence[str] = (), encrypted: bool = False, public: bool = False, **extra: Any
    ) -> str:
        body: dict[str, Any] = {"preset": "public_chat" if public else "private_chat", "invite": list(invite)}
        if encrypted:
            state = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
            body["initial_state"] = [state]
        return str((await self.call("POST", "/v3/createRoom", body | extra))["room_id"])

    async def invite(self, room: str, user_id: str) -> None:
        await self.call("POST", f"/v3/rooms/{quote(room)}/invite", {"user_id": user_id})

    async def join(self, room: str) -> None:
        await self.call("POST", f"/v3/join/{quote(room)}", {})

    async def joined_rooms(self) -> list[str]:
        return list((await self.call("GET", "/v3/joined_rooms"))["joined_rooms"])

    async def invited_rooms(self) -> list[str]:
        document = await self.call("GET", "/v3/sync", params={"timeout": "0"})
        return list(document.get("rooms", {}).get("invite", {}))

    async def members(self, room: str) -> dict[str, str]:
        """User id → membership, people who have left included."""
        document = await self.call("GET", f"/v3/rooms/{quote(room)}/members")
        return {event["state_key"]: event["content"]["membership"] for event in document["chunk"]}

    async def send(self, room: str, kind: str, content: Mapping[str, Any]) -> str:
        path = f"/v3/rooms/{quote(room)}/send/{quote(kind)}/{secrets.token_hex(8)}"
        return str((await self.call("PUT", path, content))["event_id"])

    async def text(self, room: str, body: str, *, thread: str | None = None, **extra: Any) -> str:
        content: dict[str, Any] = {"msgtype": "m.text", "body": body}
        if thread is not None:
            content["m.relates_to"] = {
                "rel_type": "m.thread",
                "event_id": thread,
                "is_falling_back": True,
                "m.in_reply_to": {"event_id": thread},
            }
        return await self.send(room, "m.room.message", content | extra)

    async def edit(self, room: str, event_id: str, body: str) -> str:
        content = {"msgtype": "m.text", "body": body}
        relation = {"rel_type": "m.replace", "event_id": event_id}
        return await self.send(
            room,
            "m.room.message",
            {"msgtype": "m.text", "body": f"* {body}", "m.new_content": content, "m.relates_to": relation},
        )

    async def react(self, room: str, event_id: str, key: str) -> str:
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        return await self.send(room, "m.reaction", {"m.relates_to": relation})

    async def redact(self, room: str, event_id: str) -> str:
        path = f"/v3/rooms/{quote(room)}/redact/{quote(event_id)}/{secrets.token_hex(8)}"
        return str((await self.call("PUT", path, {}))["event_id"])

    async def event(self, room: str, event_id: str) -> dict[str, Any]:
        return await self.call("GET", f"/v3/rooms/{quote(room)}/event/{quote(event_id)}")

    async def timeline(self, room: str) -> list[dict[str, Any]]:
        """Every event of the room that this person may see, oldest first, as the server stores it."""
        events: list[dict[str, Any]] = []
        params = {"dir": "f", "limit": "500"}
        while True:
            page = await self.call("GET", f"/v3/rooms/{quote(room)}/messages", params=params)
            events += page["chunk"]
            if not page.get("end"):
                return events
            params["from"] = page["end"]

    async def relations(self, room: str, event_id: str, rel_type: str) -> list[dict[str, Any]]:
        path = f"/v1/rooms/{quote(room)}/relations/{quote(event_id)}/{quote(rel_type)}"
        document = await self.call("GET", path, params={"limit": "100", "dir": "f"})
        return list(document["chunk"])
