"""What each command does, inside the transaction that also marks it handled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from approvals.model import ApprovalRequest, Directory, Identity, Means, Person, RequestState, ReviewVerdict
from approvals.ports import GateStore, Switch
from approvals.review import EffectKind
from bot.commands.asking import Asking, From
from bot.commands.model import (
    Approve,
    Ask,
    Command,
    Help,
    Investigate,
    Past,
    Pause,
    Propose,
    Reject,
    Rerun,
    Resume,
    Show,
    Status,
    Summary,
    Whoami,
    Why,
)
from bot.commands.parser import USAGE
from bot.domain.audit import CommandRefused, SwitchTurned
from bot.domain.chat import CommandReceived
from bot.domain.clock import Clock
from bot.domain.errors import InvalidTransition
from bot.domain.ids import IncidentId, PersonId
from bot.domain.incident import Incident, Mode
from bot.domain.message import Message
from bot.domain.question import Place
from bot.messages import replies
from bot.messages.incident import incident_details, why_reply
from bot.messages.summary import whole_summary
from bot.ports import Transaction
from bot.workflow.announcement import read_view
from bot.workflow.investigation import begin_investigation
from bot.workflow.reviewing import Gesture, Reviewing

_LISTED = 20
_PAST_LISTED = 10
ANY_APPROVER = "approver:*"
"""Here: whoever approves actions of any class."""
_READERS = frozenset({"viewer", "responder", "admin", ANY_APPROVER})

ROLE_NEEDED: Mapping[type[Command], frozenset[str]] = {
    Help: frozenset(),
    Whoami: frozenset(),
    Status: _READERS,
    Show: _READERS,
    Why: _READERS,
    Summary: _READERS,
    Past: _READERS,
    Ask: _READERS,
    Propose: frozenset({"responder", "admin", ANY_APPROVER}),
    Investigate: frozenset({"responder", "admin"}),
    Rerun: frozenset({"responder", "admin"}),
    Pause: frozenset({"responder", "admin"}),
    Resume: frozenset({"admin"}),
    # Who may review is decided by the review rules, per request.
    Approve: frozenset(),
    Reject: frozenset(),
}
"""Any one of the roles is enough."""

UNHEARD = frozenset({EffectKind.REFUSED, EffectKind.LATE, EffectKind.DUPLICATE})
"""Effects of a gesture that did not count: only the person is told."""

_Other = Help | Whoami | Status | Show | Why | Summary | Past | Investigate | Rerun | Pause | Resume


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command with everything known about where it came from."""

    event: CommandReceived
    command: Command
    identity: Identity
    person: Person | None
    thread_incident: IncidentId | None
    place: Place | None = None
    """Where an answer that comes later goes; None where nobody can be answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to say. ``private``: only to who asked, because it tells of something they may not do."""

    message: Message
    private: bool = False


def may(command: Command | type[Command], person: Person | None) -> bool:
    """Whether the person holds a role that may give this command. Everything is denied by default."""
    needed = ROLE_NEEDED[command if isinstance(command, type) else type(command)]
    if not needed:
        return True
    if person is None:
        return False
    if ANY_APPROVER in needed and any(role.startswith("approver:") for role in person.roles):
        return True
    return bool(needed & person.roles)


def may_propose(people: Directory, person_id: PersonId) -> bool:
    """Whether that person may ask for actions as things stand, whatever they might when they asked."""
    return may(Propose, next((person for person in people.people if person.id == person_id), None))


class Handlers:
    """Answers commands."""

    def __init__(
        self,
        reviewing: Reviewing,
        gate_rows: GateStore,
        directory: Directory,
        clock: Clock,
        asking: Asking,
        *,
        calibration: bool = False,
    ) -> None:
        self._reviewing = reviewing
        self._gate_rows = gate_rows
        self._directory = directory
        self._clock = clock
        self._asking = asking
        self._calibration = calibration

    async def handle(self, tx: Transaction, asked: Asked) -> Answer:
        if not may(asked.command, asked.person):
            return Answer(message=await self._refuse(tx, asked), private=True)
        match asked.command:
            case Approve(incident=name, digest=digest):
                return await self._review(tx, asked, name, ReviewVerdict.APPROVE, digest=digest)
            case Reject(incident=name, reason=reason):
                return await self._review(tx, asked, name, ReviewVerdict.REJECT, reason=reason)
            case Ask() | Propose() as command:
                return await self._asked(tx, asked, command)
            case command:
                return Answer(message=await self._do(tx, asked, command))

    async def _do(self, tx: Transaction, asked: Asked, command: _Other) -> Message:
        match command:
            case Help():
                return replies.help_reply(USAGE)
            case Whoami():
                return replies.whoami_reply(asked.identity, asked.person)
            case Status():
                incidents = await tx.incidents(live_only=True, limit=_LISTED)
                return replies.status_reply(
                    incidents, await tx.switch(), await self._gate_rows.ledger_problem()
                )
            case Show(incident=name) | Why(incident=name) | Summary(incident=name):
                return await self._explain(tx, asked, name)
            case Past(words=words):
                return replies.past_reply(words, await tx.past_holding(words, _PAST_LISTED))
            case Investigate(text=text):
                return await self._investigate(tx, asked, text)
            case Rerun(incident=name):
                return await self._rerun(tx, asked, name)
            case Pause(reason=reason):
                return await self._switch(tx, asked, paused=True, reason=reason)
            case Resume():
                return await self._switch(tx, asked, paused=False, reason=None)
            case _:
                assert_never(command)

    async def _asked(self, tx: Transaction, asked: Asked, command: Ask | Propose) -> Answer:
        if asked.person is None or asked.place is None:
            word = type(command).__name__.lower()
            return Answer(message=replies.refused(word, "I could not answer you there"), private=True)
        who = From(
            event=asked.event,
            identity=asked.identity,
            person=asked.person,
            place=asked.place,
            thread_incident=asked.thread_incident,
        )
        if isinstance(command, Propose):
            return Answer(message=await self._asking.propose(tx, who, command))
        return Answer(message=await self._asking.ask(tx, who, command))

    async def _refuse(self, tx: Transaction, asked: Asked) -> Message:
        needed = ROLE_NEEDED[type(asked.command)]
        word = type(asked.command).__name__.lower()
        await tx.record(
            CommandRefused(
                platform=asked.identity.platform,
                user_id=asked.identity.user_id,
                command=word,
                reason="unknown_person" if asked.person is None else "role",
                causation_id=asked.event.event_id,
            )
        )
        return replies.refused(word, f"it needs one of the roles {', '.join(sorted(needed))}.")

    async def _incident(self, tx: Transaction, asked: Asked, name: str | None) -> Incident | None:
        if name is not None:
            return await tx.incident_by_short_id(name)
        if asked.thread_incident is not None:
            return await tx.incident(asked.thread_incident)
        return None

    async def _explain(self, tx: Transaction, asked: Asked, name: str | None) -> Message:
        incident = await self._incident(tx, asked, name)
        if incident is None:
            return replies.no_such_incident(name)
        view = await read_view(tx, incident.id, calibration=self._calibration)
        if view is None:
            return replies.no_such_incident(name)
        match asked.command:
            case Why():
                return why_reply(view)
            case Summary():
                return whole_summary(view)
            case _:
                return incident_details(view)

    async def _review(
        self,
        tx: Transaction,
        asked: Asked,
        name: str | None,
        verdict: ReviewVerdict,
        *,
        digest: str | None = None,
        reason: str | None = None,
    ) -> Answer:
        incident = await self._incident(tx, asked, name)
        if incident is None:
            return Answer(message=replies.no_such_incident(name))
        request = await self._open_request(tx, incident)
        if request is None:
            return Answer(message=replies.nothing_waits(incident.short_id))
        if digest is not None and not request.proposal_digest.startswith(digest):
            why = f"the card's digest is {request.proposal_digest[:8]}, not that"
            return Answer(message=replies.refused("approve", why))
        if verdict is ReviewVerdict.APPROVE and digest is None and asked.event.at < request.created_at:
            shown = request.proposal_digest[:8]
            why = f"you wrote it before this card was there; if you mean this one, name its digest {shown}"
            return Answer(message=replies.refused("approve", why))
        proven = asked.event.device_verified and digest is not None
        effect = await self._reviewing.review(
            tx,
            request,
            Gesture(
                identity=asked.identity,
                verdict=verdict,
                means=Means.DEVICE_VERIFIED_COMMAND if proven else Means.COMMAND,
                platform_event_id=asked.event.event_id,
                reason=reason,
            ),
        )
        return Answer(
            message=replies.review_answer(incident.short_id, effect, request.requirement.count),
            private=effect.kind in UNHEARD,
        )

    async def _open_request(self, tx: Transaction, incident: Incident) -> ApprovalRequest | None:
        requests = await tx.requests_of(incident.id)
        if not requests or requests[-1].state not in (RequestState.PENDING, RequestState.APPROVED):
            return None
        return requests[-1]

    async def _investigate(self, tx: Transaction, asked: Asked, text: str) -> Message:
        known = await tx.incident_with_fingerprint(text)
        if known is None:
            return replies.investigation_begun(text)
        return await self._begin_again(tx, asked, known)

    async def _rerun(self, tx: Transaction, asked: Asked, name: str | None) -> Message:
        incident = await self._incident(tx, asked, name)
        if incident is None:
            return replies.no_such_incident(name)
        return await self._begin_again(tx, asked, incident)

    async def _begin_again(self, tx: Transaction, asked: Asked, incident: Incident) -> Message:
        who = asked.person.id if asked.person is not None else asked.identity.user_id
        try:
            moved = await begin_investigation(tx, incident, self._clock.now(), f"asked by {who}")
        except InvalidTransition:
            return replies.refused("rerun", f"{incident.short_id} is {incident.state.value} now")
        # Who asks wants to hear and wants it looked at, whatever its alerts said.
        route = replace(moved.route, digest=False, mode=Mode.INVESTIGATE)
        await tx.save_incident(replace(moved, route=route))
        return replies.investigation_begun(f"{incident.short_id}, run {moved.run}")

    async def _switch(self, tx: Transaction, asked: Asked, *, paused: bool, reason: str | None) -> Message:
        actor = asked.person.id if asked.person is not None else asked.identity.user_id
        switch = Switch(paused=paused, actor=actor, reason=reason)
        await tx.set_switch(switch, self._clock.now())
        await tx.record(
            SwitchTurned(paused=paused, actor=actor, reason=reason or "", causation_id=asked.event.event_id)
        )
        return replies.switched(switch)
