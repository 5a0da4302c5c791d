"""Matrix as ``bot.ports.Chat``: the verbs of an incident on one side, rooms and events on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import structlog

from adapters.chat.matrix.content import (
    LIMITS,
    Content,
    edit_of,
    in_reply,
    in_thread,
    reaction_to,
    size,
    text_content,
    transaction_id,
)
from adapters.chat.matrix.direct import DirectRooms
from adapters.chat.matrix.held import Held
from adapters.chat.matrix.http import SYSTEM, MatrixHttp, Refused, SessionEnded, path
from adapters.chat.matrix.inbound import PLATFORM, Me
from adapters.chat.matrix.receiver import Receiver
from adapters.chat.matrix.session import Session, Sessions
from adapters.chat.matrix.wire import Wire
from adapters.chat.rendering import shorten, split
from bot.domain.chat import APPROVE_SEED, REJECT_SEED, MessageRef
from bot.domain.clock import Clock
from bot.domain.errors import ConfigError, Unavailable
from bot.domain.message import Message, Paragraph, Span, Tone
from bot.ports import Inbox
from config.schema import MatrixChat as Section

if TYPE_CHECKING:
    from adapters.chat.matrix.crypto import Crypto

_log = structlog.get_logger(__name__)

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0
_TOO_LONG = "This text is too long for an edited message; the rest is left out here."

Wrap = Callable[[Content], Content]


@asynccontextmanager
async def open_matrix(
    section: Section,
    *,
    state_dir: Path,
    rooms: Sequence[str],
    clock: Clock,
    seeds: tuple[str, str] = (APPROVE_SEED, REJECT_SEED),
) -> AsyncIterator[MatrixChat]:
    """Open the bot's Matrix account; ``rooms`` are the ids of the rooms it serves.

    Keeps session and encryption keys below ``state_dir/matrix``. A homeserver that is down is no error:
    :meth:`MatrixChat.run` goes on trying. Raises ConfigError when the credential is refused.
    """
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        chat = MatrixChat(
            section, http, state_dir=state_dir / PLATFORM, rooms=rooms, clock=clock, seeds=seeds
        )
        stack.push_async_callback(chat.close)
        try:
            await chat.connect()
        except Unavailable as error:
            _log.warning("matrix_not_connected", reason=error.reason)
        yield chat


class MatrixChat:
    """See ``bot.ports.Chat``. Made by :func:`open_matrix`.

    Roots, cards and replies with a warning or critical tone are ``m.text``, which phones announce; other
    replies are ``m.notice``, which they do not, and edits are silent by the default push rules.
    """

    platform = PLATFORM

    def __init__(
        self,
        section: Section,
        http: aiohttp.ClientSession,
        *,
        state_dir: Path,
        rooms: Sequence[str],
        clock: Clock,
        seeds: tuple[str, str],
    ) -> None:
        self._section = section
        self._http = MatrixHttp(http, str(section.homeserver))
        self._state_dir = state_dir
        self._rooms = tuple(rooms)
        self._clock = clock
        self._seeds = seeds
        self._wire: Wire | None = None
        self._directs: DirectRooms | None = None
        self._names: tuple[str, ...] = ()
        self._problem: str | None = "not connected yet"

    async def close(self) -> None:
        if self._wire is not None:
            await self._wire.close()

    async def connect(self) -> None:
        """Log in (or take the kept session) unless that is done. Raises ConfigError, Unavailable."""
        if self._wire is not None:
            return
        try:
            session, crypto, problem = await self._log_in()
        except Unavailable as error:
            self._problem = error.reason
            raise
        wire = Wire(self._http, session, crypto, problem)
        try:
            directs = DirectRooms(wire)
            await directs.load()
            name = await wire.display_name()
        except BaseException as error:
            await wire.close()
            if isinstance(error, Unavailable):
                self._problem = error.reason
            raise
        localpart = session.user_id[1:].partition(":")[0]
        self._names = (localpart,) if name is None else (name, localpart)
        self._wire, self._directs = wire, directs
        self._problem = "connected, first sync under way"

    def healthy(self) -> str | None:
        return self._problem

    async def run(self, inbox: Inbox) -> None:
        """Receive for ever. What fails is tried again after a growing wait of at most 30 s.

        Raises ConfigError when the homeserver has ended the session: only a person can mend that.
        """
        failures = 0

        def received() -> None:
            nonlocal failures
            failures = 0
            self._problem = None

        while True:
            try:
                await self.connect()
                await self._receiver().run(inbox, received)
            except SessionEnded as error:
                self._problem = error.reason
                raise ConfigError(
                    [
                        f"chat.matrix: {self._http.homeserver} has ended the bot's session ({error.reason});"
                        " start again to log in anew, with a new access_token if one is configured"
                    ]
                ) from error
            except Unavailable as error:
                self._problem = f"{error.system}: {error.reason}"
                wish = 0.0 if error.retry_after is None else error.retry_after.total_seconds()
                wait = max(min(_FIRST_WAIT * 2 ** min(failures, 10), _LONGEST_WAIT), wish)
                failures += 1
                _log.warning("matrix_receive_failed", reason=self._problem, attempt=failures, wait=wait)
                await asyncio.sleep(wait)

    # -- sending ------------------------------------------------------------------------------------------

    async def open_thread(self, room: str, message: Message, key: str) -> MessageRef:
        """Text too long for one event goes on in the thread below."""
        return await self._post(room, message, key, notify=True, first=_as_is)

    async def update_root(self, root: MessageRef, message: Message, key: str) -> None:
        await self._edit(root, message, key)

    async def reply(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        """A message that cannot start a thread (it stands in one, or replaces another) is answered in its
        own thread, or else by a plain reply."""
        notify = message.tone in (Tone.WARNING, Tone.CRITICAL)
        try:
            return await self._post_below(root, message, key, notify=notify, thread=root.message_id)
        except Refused as error:
            if error.status != 400 or "thread" not in error.reason:
                raise
        thread = await self._thread_of(root)
        return await self._post_below(root, message, key, notify=notify, thread=thread)

    async def post_card(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        card = await self._post_below(root, message, key, notify=True, thread=root.message_id)
        for emoji in self._seeds:
            content = reaction_to(card.message_id, emoji)
            await self._connected().react(card.room, content, transaction_id(key, f"seed {emoji}"))
        return card

    async def update_card(self, card: MessageRef, message: Message, key: str) -> None:
        await self._edit(card, message, key)

    async def settle_card(self, card: MessageRef, message: Message, key: str) -> None:
        await self._edit(card, message, key)
        wire = self._connected()
        for event_id in await wire.own_reactions(card.room, card.message_id):
            await wire.redact(card.room, event_id, transaction_id(key, f"unseed {event_id}"))

    async def answer_privately(self, room: str, person: str, message: Message, key: str) -> None:
        """In a direct room, encrypted when ``room`` is. Where the server allows none, a silent notice in
        ``room`` that names the person: then it is not private."""
        wire = self._connected()
        try:
            direct = await self._directs_of(wire).room_for(person, encrypted=await wire.encrypted(room))
        except SessionEnded:
            raise
        except Refused as error:
            _log.warning("matrix_no_direct_room", person=person, reason=error.reason)
            named = Paragraph(spans=(Span(text="for "), Span(text=person, untrusted=True)))
            public = Message(title=message.title, blocks=(named, *message.blocks), tone=message.tone)
            await self._post(room, public, key, notify=False, first=_as_is)
            return
        await self._post(direct, message, key, notify=True, first=_as_is)

    # -- how it is sent -----------------------------------------------------------------------------------

    async def _post_below(
        self, root: MessageRef, message: Message, key: str, *, notify: bool, thread: str | None
    ) -> MessageRef:
        def below(content: Content) -> Content:
            return in_reply(content, root.message_id) if thread is None else in_thread(content, thread)

        return await self._post(root.room, message, key, notify=notify, first=below, rest=below)

    async def _post(
        self,
        room: str,
        message: Message,
        key: str,
        *,
        notify: bool,
        first: Wrap,
        rest: Wrap | None = None,
    ) -> MessageRef:
        """Send the message in as many events as it needs and return the first; the others go below it."""
        wire = self._connected()
        for limit in LIMITS:
            fits = partial(_fits_thread, limit)
            # Cutting a long text takes up to a second, in which others must be served.
            parts = (message,) if fits(message) else await asyncio.to_thread(split, message, fits)
            try:
                content = first(text_content(parts[0], notify=notify))
                event_id = await wire.send(room, "m.room.message", content, transaction_id(key))
                for number, part in enumerate(parts[1:], start=1):
                    content = text_content(part, notify=False)
                    content = in_thread(content, event_id) if rest is None else rest(content)
                    await wire.send(
                        room, "m.room.message", content, transaction_id(key, f"part {number} of {limit}")
                    )
            except Refused as error:
                if error.errcode != "M_TOO_LARGE" or limit == LIMITS[-1]:
                    raise
                continue
            return MessageRef(platform=PLATFORM, room=room, message_id=event_id)
        raise AssertionError("the last limit either sends or raises")

    async def _edit(self, target: MessageRef, message: Message, key: str) -> None:
        wire = self._connected()
        for limit in LIMITS:
            fits = partial(_fits_edit, limit, target.message_id)
            shown = message if fits(message) else await asyncio.to_thread(shorten, message, fits, _TOO_LONG)
            content = edit_of(text_content(shown, notify=True), target.message_id)
            try:
                await wire.send(target.room, "m.room.message", content, transaction_id(key))
            except Refused as error:
                if error.errcode != "M_TOO_LARGE" or limit == LIMITS[-1]:
                    raise
                continue
            return

    async def _thread_of(self, message: MessageRef) -> str | None:
        event = await self._connected().event(message.room, message.message_id)
        relation = (event.get("content") or {}).get("m.relates_to") or {}
        return str(relation["event_id"]) if relation.get("rel_type") == "m.thread" else None

    # -- connection ---------------------------------------------------------------------------------------

    def _connected(self) -> Wire:
        if self._wire is None:
            raise Unavailable(SYSTEM, self._problem or "not connected")
        return self._wire

    def _directs_of(self, wire: Wire) -> DirectRooms:
        assert self._directs is not None, "set together with the wire"
        return self._directs

    def _receiver(self) -> Receiver:
        wire = self._connected()
        return Receiver(
            wire,
            self._directs_of(wire),
            Me(user_id=wire.session.user_id, names=self._names),
            Held(self._state_dir / "held.json"),
            served=self._rooms,
            invite_from=self._section.invite_from,
            clock=self._clock,
        )

    async def _log_in(self) -> tuple[Session, Crypto | None, str | None]:
        """Return the session and its encryption, or why it has none.

        A device whose keys are gone must not go on with new ones: others would not be able to read it, and
        it not them. With a password the bot becomes a new device; with a token it goes without encryption.
        """
        sessions = Sessions(self._section, self._state_dir)
        session = await sessions.open(self._http)
        if find_spec("nio") is None or find_spec("vodozemac") is None:
            return session, None, "encryption is not installed: pip install 'assent[matrix]'"
        crypto = await self._open_crypto(session)
        if crypto is None and sessions.forget():
            session = await sessions.open(self._http)
            crypto = await self._open_crypto(session)
        if crypto is not None:
            return session, crypto, None
        problem = (
            f"the keys of device {session.device_id} are gone from the state directory: "
            "make a new access token (a new device) for the bot"
        )
        _log.warning("matrix_without_encryption", reason=problem)
        return session, None, problem

    async def _open_crypto(self, session: Session) -> Crypto | None:
        """None when the keys here are unreadable, or not those that others know this device by."""
        # Here, because a bot without encryption does not have the library.
        from adapters.chat.matrix.crypto import Crypto, KeysUnreadable

        try:
            crypto = Crypto(self._http.homeserver, session, self._state_dir)
        except KeysUnreadable as error:
            _log.warning("matrix_keys_unreadable", device=session.device_id, reason=str(error))
            return None
        try:
            asked = {"device_keys": {session.user_id: [session.device_id]}}
            answer = await self._http.request("POST", path("v3", "keys", "query"), asked)
        except BaseException:
            await crypto.close()
            raise
        device = answer.get("device_keys", {}).get(session.user_id, {}).get(session.device_id)
        if device is None or device["keys"].get(f"ed25519:{session.device_id}") == crypto.identity:
            return crypto
        _log.warning("matrix_keys_lost", device=session.device_id)
        await crypto.close()
        return None


def _as_is(content: Content) -> Content:
    return content


def _fits_thread(limit: int, message: Message) -> bool:
    """With the largest relation it may get."""
    return size(in_thread(text_content(message, notify=True), "$" + "x" * 80)) <= limit


def _fits_edit(limit: int, target: str, message: Message) -> bool:
    return size(edit_of(text_content(message, notify=True), target)) <= limit
