"""The sync loop: nothing is lost, nothing is acted on twice, nothing is acted on from before our time.

Each answer of ``/sync`` is turned into inbound events, and those are stored together with its
``next_batch`` in one transaction. Only then does the next request use it. Whatever fails before that is
simply asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from adapters.chat.matrix.direct import DirectRooms
from adapters.chat.matrix.held import Held
from adapters.chat.matrix.http import SYSTEM, Refused, SessionEnded, path
from adapters.chat.matrix.inbound import PLATFORM, Me, since_own_join, to_inbound
from adapters.chat.matrix.wire import Undecryptable, Wire
from bot.domain.chat import Inbound
from bot.domain.clock import Clock
from bot.domain.errors import Unavailable
from bot.ports import Inbox

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 30
_FIRST_SECONDS = 120.0
_FILTER = json.dumps(
    {
        "presence": {"types": []},
        "account_data": {"types": []},
        "room": {
            "ephemeral": {"types": []},
            "account_data": {"types": []},
            "timeline": {"limit": 50},
            "state": {"lazy_load_members": False},
        },
    }
)

Raw = Mapping[str, Any]


class Receiver:
    """Receives for one logged-in device. ``served`` are room ids, ``invite_from`` user ids."""

    def __init__(
        self,
        wire: Wire,
        directs: DirectRooms,
        me: Me,
        held: Held,
        *,
        served: Sequence[str],
        invite_from: Sequence[str],
        clock: Clock,
    ) -> None:
        self._wire = wire
        self._directs = directs
        self._me = me
        self._held = held
        self._served = frozenset(served)
        self._invite_from = frozenset(invite_from)
        self._clock = clock
        self._invites: dict[str, str] = {}

    async def run(self, inbox: Inbox, received: Callable[[], None]) -> None:
        """Receive until something fails; ``received`` is called after every answer that is safely stored.

        Raises Unavailable (ask again later) and SessionEnded.
        """
        since = self._decode(await inbox.position(PLATFORM))
        await self._keep_house()
        first = True
        while True:
            answer = await self._sync(since, first=first)
            await self._wire.absorb(answer)
            await self._answer_invites(answer)
            events, read = await self._collect(answer, since)
            following = str(answer["next_batch"])
            if events or following != since:
                await inbox.store(PLATFORM, events, self._encode(following))
            self._held.remove(read)
            self._held.forget_old(self._clock.now())
            if first:
                await self._enter_served(answer)
            received()
            since, first = following, False
            await self._keep_house()

    async def _keep_house(self) -> None:
        """Receiving goes on when keys cannot be exchanged: sending tries again, and says so if it fails."""
        if self._wire.crypto is None:
            return
        try:
            await self._wire.crypto.keep_house()
        except SessionEnded:
            raise
        except Unavailable as error:
            _log.warning("matrix_keys_not_exchanged", reason=error.reason)

    async def _sync(self, since: str | None, *, first: bool) -> dict[str, Any]:
        params = {"filter": _FILTER, "timeout": "0" if first else str(_POLL_SECONDS * 1000)}
        if since is not None:
            params["since"] = since
            if first:
                # The library that encrypts keeps no room members on disk.
                params["full_state"] = "true"
        seconds = _FIRST_SECONDS if first else _POLL_SECONDS + 15.0
        answer = await self._wire.http.request("GET", path("v3", "sync"), params=params, seconds=seconds)
        return _normal(answer)

    # -- what came in -------------------------------------------------------------------------------------

    async def _collect(self, answer: Raw, since: str | None) -> tuple[list[Inbound], set[str]]:
        """Return the inbound events, and the held messages that have become readable with this answer."""
        found: list[Inbound] = []
        read: set[str] = set()
        # Keys come as to-device events: without one, nothing has become readable.
        for room, raw in self._held if answer["to_device"]["events"] else ():
            plain = self._plain(room, raw)
            if plain is not None:
                read.add(str(raw["event_id"]))
                found += self._understand(room, *plain)
        for room, info in answer["rooms"]["join"].items():
            if since is None or not (room in self._served or room in self._directs):
                continue
            timeline = info["timeline"]
            events, entered = since_own_join(timeline["events"], self._me.user_id)
            if timeline.get("limited") and timeline.get("prev_batch") and not entered:
                events = [*await self._gap(room, str(timeline["prev_batch"]), since), *events]
            for raw in events:
                if raw.get("sender") == self._me.user_id:
                    continue
                plain = self._plain(room, raw)
                if plain is not None:
                    found += self._understand(room, *plain)
                elif raw.get("event_id"):
                    _log.info("matrix_message_unreadable", room=room, event_id=raw["event_id"])
                    self._held.add(room, raw, self._clock.now())
        return _without_repeats(found), read

    def _plain(self, room: str, raw: Raw) -> tuple[Raw, bool] | None:
        """The event itself, or decrypted; None when there is no key for it (yet)."""
        if raw.get("type") != "m.room.encrypted" or "redacted_because" in (raw.get("unsigned") or {}):
            return raw, False
        if self._wire.crypto is None:
            return raw, False
        try:
            return self._wire.crypto.decrypt(room, raw)
        except Undecryptable:
            return None

    def _understand(self, room: str, raw: Raw, verified: bool) -> list[Inbound]:
        event = to_inbound(
            raw,
            room=room,
            me=self._me,
            now=self._clock.now(),
            verified=verified,
            direct=room in self._directs and room not in self._served,
        )
        return [] if event is None else [event]

    async def _gap(self, room: str, newest: str, since: str) -> list[Raw]:
        """What happened after ``since`` and before the timeline that the answer held, oldest first."""
        pages: list[Sequence[Raw]] = []
        token = newest
        while True:
            params = {"dir": "b", "from": token, "to": since, "limit": "100"}
            try:
                page = await self._wire.http.request(
                    "GET", path("v3", "rooms", room, "messages"), params=params
                )
            except SessionEnded:
                raise
            except Refused as error:
                # Not in the room any more: what was said is out of reach for good.
                _log.warning("matrix_gap_refused", room=room, reason=error.reason)
                break
            events, entered = since_own_join(page.get("chunk", [])[::-1], self._me.user_id)
            pages.append(events)
            following = page.get("end")
            if entered or not following or following == token:
                break
            token = str(following)
        return [raw for page_events in reversed(pages) for raw in page_events]

    # -- rooms --------------------------------------------------------------------------------------------

    async def _answer_invites(self, answer: Raw) -> None:
        """Join where we are wanted by somebody who may, leave everything else alone.

        What the server cannot do right now is tried again after the next answer.
        """
        for room, info in answer["rooms"]["invite"].items():
            self._invites[room] = _inviter(info, self._me.user_id)
        for room, inviter in list(self._invites.items()):
            welcome = room in self._served or inviter in self._invite_from
            try:
                await (self._wire.join(room) if welcome else self._wire.leave(room))
            except SessionEnded:
                raise
            except Refused as error:
                _log.warning("matrix_invite_failed", room=room, inviter=inviter, reason=error.reason)
            except Unavailable as error:
                _log.warning("matrix_invite_later", room=room, inviter=inviter, reason=error.reason)
                continue
            else:
                _log.info("matrix_invite", room=room, inviter=inviter, joined=welcome)
            del self._invites[room]

    async def _enter_served(self, answer: Raw) -> None:
        """Join served rooms we are not in (an invitation may have come while we could not answer)."""
        for room in sorted(self._served - answer["rooms"]["join"].keys()):
            try:
                await self._wire.join(room)
            except SessionEnded:
                raise
            except Unavailable as error:
                _log.warning(
                    "matrix_not_in_room", room=room, reason=error.reason, remedy=f"invite {self._me.user_id}"
                )

    # -- position -----------------------------------------------------------------------------------------

    def _encode(self, since: str) -> str:
        return json.dumps({"user": self._me.user_id, "since": since})

    def _decode(self, position: str | None) -> str | None:
        """The token, if it belongs to this account: another account starts afresh."""
        if position is None:
            return None
        document = json.loads(position)
        return str(document["since"]) if document["user"] == self._me.user_id else None


def _normal(answer: dict[str, Any]) -> dict[str, Any]:
    """The sync answer with everything optional in place, so that nobody below has to ask.

    Raises Unavailable when it is not a sync answer at all.
    """
    if not isinstance(answer.get("next_batch"), str):
        raise Unavailable(SYSTEM, "the sync answer has no next_batch")
    rooms = answer.get("rooms") or {}
    joined = {}
    for room, info in (rooms.get("join") or {}).items():
        timeline = info.get("timeline") or {}
        joined[room] = {
            **info,
            "timeline": {"limited": False, **timeline, "events": timeline.get("events") or []},
            "state": {"events": (info.get("state") or {}).get("events") or []},
        }
    to_device = {"events": (answer.get("to_device") or {}).get("events") or []}
    return {
        **answer,
        "to_device": to_device,
        "rooms": {**rooms, "join": joined, "invite": rooms.get("invite") or {}},
    }


def _inviter(info: Raw, user_id: str) -> str:
    for event in (info.get("invite_state") or {}).get("events") or []:
        if event.get("type") == "m.room.member" and event.get("state_key") == user_id:
            return str(event.get("sender"))
    return ""


def _without_repeats(events: Sequence[Inbound]) -> list[Inbound]:
    return list({event.event_id: event for event in events}.values())
