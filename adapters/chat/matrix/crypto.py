"""End-to-end encryption through matrix-nio: the only module that knows that library.

nio keeps the keys, the devices and who is in which room. It never talks to the room itself here: what is
sent and received goes through :mod:`adapters.chat.matrix.http`, because nio returns errors as objects,
sleeps on rate limits without saying so, and moves its sync position before anybody has stored anything.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientConnectionError
from nio import AsyncClient, AsyncClientConfig, ErrorResponse, Event, MegolmEvent, SyncResponse
from nio.exceptions import EncryptionError, LocalProtocolError, SendRetryError

from adapters.chat.matrix.http import REQUEST_SECONDS, SYSTEM, SessionEnded
from adapters.chat.matrix.session import Session
from adapters.chat.matrix.wire import Undecryptable
from bot.domain.errors import Unavailable

_log = structlog.get_logger(__name__)
_ENDED = ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN")


class KeysUnreadable(Exception):
    """The key store of the device cannot be opened."""


class Crypto:
    """The encryption state of one device. Raises KeysUnreadable. ``close`` it."""

    def __init__(self, homeserver: str, session: Session, directory: Path) -> None:
        config = AsyncClientConfig(
            store_sync_tokens=False,
            encryption_enabled=True,
            max_limit_exceeded=0,
            max_timeouts=0,
            request_timeout=REQUEST_SECONDS,
        )
        self._client = AsyncClient(
            homeserver,
            session.user_id,
            device_id=session.device_id,
            store_path=str(directory),
            config=config,
        )
        _check_store(directory / f"{session.user_id}_{session.device_id}.db")
        try:
            self._client.restore_login(session.user_id, session.device_id, session.access_token)
        except ValueError as error:
            raise KeysUnreadable(str(error)) from None
        for file in directory.glob(f"{session.user_id}_{session.device_id}*"):
            file.chmod(0o600)
        self._locks: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        await self._client.close()

    @property
    def identity(self) -> str:
        """The device's Ed25519 key, unpadded base64."""
        return str(self._client.olm.account.identity_keys["ed25519"])

    def knows(self, room: str) -> bool:
        """Whether the members of the room have been seen in a sync of this process."""
        return room in self._client.rooms

    async def absorb(self, answer: Mapping[str, Any]) -> None:
        """Learn keys, devices and room members from a sync answer.

        Encrypted messages are left out: each is decrypted by :meth:`decrypt` on its own, so that one that
        was made to break the library takes nothing else with it.
        """
        response = SyncResponse.from_dict(_without_encrypted_messages(answer))
        if not isinstance(response, SyncResponse):
            raise Unavailable(SYSTEM, "the sync answer does not have the form the specification gives it")
        # The library takes an answer that ends where the last one ended for one it has seen.
        self._client.next_batch = ""
        try:
            await self._client.receive_response(response)
        except Exception as error:  # noqa: BLE001 - a hostile event must not stop the receiving of others
            _log.exception("matrix_crypto_state", error=type(error).__name__)

    def decrypt(self, room: str, event: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return the event as it was before encryption, and whether a verified device of its sender sent it.

        Raises Undecryptable. Relations outside the ciphertext are merged in by the library: the server can
        forge them.
        """
        parsed = Event.parse_encrypted_event(dict(event))
        if not isinstance(parsed, MegolmEvent):
            raise Undecryptable("not a Megolm event")
        parsed.room_id = room
        try:
            plain = self._client.decrypt_event(parsed)
        except EncryptionError as error:
            raise Undecryptable(str(error)) from None
        except Exception as error:  # noqa: BLE001 - see absorb: the ciphertext is whatever its sender wished
            _log.exception("matrix_decrypt", error=type(error).__name__)
            raise Undecryptable(type(error).__name__) from None
        source = getattr(plain, "source", None)
        if not isinstance(source, dict) or not isinstance(source.get("content"), dict):
            raise Undecryptable("the plaintext is not an event")
        return source, bool(getattr(plain, "verified", False))

    async def encrypt(self, room: str, kind: str, content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return type and content of the encrypted event; keys are shared with every device in the room.

        Devices nobody verified get them too: the bot cannot compare emoji with a person, and a responder
        who cannot read the card is the greater harm. Raises Unavailable.
        """
        client = self._client
        async with self._locks.setdefault(room, asyncio.Lock()):
            try:
                async with asyncio.timeout(2 * REQUEST_SECONDS):
                    if not client.rooms[room].members_synced:
                        _check(await client.joined_members(room))
                    if client.should_query_keys:
                        _check(await client.keys_query())
                    if client.olm.should_share_group_session(room):
                        _check(await client.share_group_session(room, ignore_unverified_devices=True))
                    sealed: tuple[str, dict[str, Any]] = client.encrypt(room, kind, content)
                    return sealed
            except (EncryptionError, LocalProtocolError, SendRetryError, KeyError) as error:
                raise Unavailable(SYSTEM, f"cannot encrypt for {room}: {error}") from None
            except (ClientConnectionError, TimeoutError) as error:
                raise Unavailable(SYSTEM, f"cannot share keys: {type(error).__name__}") from None

    async def keep_house(self) -> None:
        """Upload, query and claim keys and send what the library has queued. Raises Unavailable."""
        client = self._client
        try:
            async with asyncio.timeout(2 * REQUEST_SECONDS):
                if client.should_upload_keys:
                    _check(await client.keys_upload())
                if client.should_query_keys:
                    _check(await client.keys_query())
                if client.should_claim_keys:
                    _check(await client.keys_claim(client.get_users_for_key_claiming()))
                for answer in await client.send_to_device_messages():
                    _check(answer)
        except (EncryptionError, LocalProtocolError) as error:
            raise Unavailable(SYSTEM, f"key housekeeping: {error}") from None
        except (ClientConnectionError, TimeoutError) as error:
            raise Unavailable(SYSTEM, f"key housekeeping: {type(error).__name__}") from None


def _check_store(file: Path) -> None:
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file)) as store:
            (found,) = store.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise KeysUnreadable(str(error)) from None
    if found != "ok":
        raise KeysUnreadable(str(found))


def _check(response: object) -> None:
    """Raise for what nio returns instead of raising."""
    if not isinstance(response, ErrorResponse):
        return
    code = str(response.status_code or "M_UNKNOWN")
    if code in _ENDED:
        raise SessionEnded(code, 401, str(response.message))
    raise Unavailable(SYSTEM, f"{code}: {response.message}")


def _without_encrypted_messages(answer: Mapping[str, Any]) -> dict[str, Any]:
    rooms = dict(answer.get("rooms") or {})
    joined = {}
    for room, info in (rooms.get("join") or {}).items():
        timeline = dict(info.get("timeline") or {})
        events = [event for event in timeline.get("events", []) if event.get("type") != "m.room.encrypted"]
        joined[room] = {**info, "timeline": {**timeline, "events": events}}
    return {**answer, "rooms": {**rooms, "join": joined}}
