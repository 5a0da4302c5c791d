"""Answers to commands."""

from __future__ import annotations

from collections.abc import Sequence

from approvals.model import Identity, Person
from approvals.ports import Switch
from approvals.review import Effect, EffectKind
from bot.domain.incident import Incident
from bot.domain.message import Block, Bullets, Message, Paragraph, Span, Tone, paragraph
from bot.domain.past import PastIncident
from bot.messages.incident import incident_line
from bot.messages.words import code, date_time, outside, short, span, strong

_REASONS = {
    "same_event": "I have seen that gesture already.",
    "decided_already": "you have already decided; your first word stands.",
    "opened": "the gate has opened already.",
    "expired": "the time to decide is over.",
}


def help_reply(usage: Sequence[tuple[str, str]]) -> Message:
    items = tuple((code(f"!assent {syntax}"), span(f" — {meaning}")) for syntax, meaning in usage)
    return Message(
        title="What you can ask of me",
        blocks=(
            Bullets(items=items),
            paragraph("In an incident's thread the ID is implied. ✅ or ❌ on a card decides, too."),
        ),
        tone=Tone.MUTED,
    )


def not_understood(reason: str, nearest: str | None) -> Message:
    blocks: list[Block] = []
    if nearest:
        blocks.append(Paragraph(spans=(span("Did you mean "), code(f"!assent {nearest}"), span("?"))))
    else:
        blocks.append(Paragraph(spans=(code("!assent help"), span(" lists what I understand."))))
    return Message(
        title="I did not understand that",
        blocks=(paragraph(reason, untrusted=True), *blocks),
        tone=Tone.MUTED,
    )


def status_reply(incidents: Sequence[Incident], switch: Switch, ledger_problem: str | None) -> Message:
    blocks: list[Block] = [
        paragraph(
            f"⏸ Execution is paused by {switch.actor}: {switch.reason or 'no reason given'}"
            if switch.paused
            else "▶ Execution is not paused.",
            untrusted=True,
        ),
        paragraph("Ledger: intact." if ledger_problem is None else f"Ledger: BROKEN — {ledger_problem}"),
    ]
    if incidents:
        blocks.append(Bullets(title="Live incidents", items=tuple(incident_line(i) for i in incidents)))
    return Message(
        title=f"{len(incidents)} live incident{'' if len(incidents) == 1 else 's'}",
        blocks=tuple(blocks),
        tone=Tone.CRITICAL if ledger_problem else Tone.INFO,
    )


def past_reply(words: Sequence[str], found: Sequence[PastIncident]) -> Message:
    """Incidents that are over: when, what it was, why, and what ended it."""
    if not found:
        title = "No incident that is over holds all of these words" if words else "No incident is over yet"
        return Message(title=title, tone=Tone.MUTED)
    items = tuple(_past_line(one) for one in found)
    number = f"{len(found)} incident{'' if len(found) == 1 else 's'}"
    return Message(title=f"{number} of the past, newest first", blocks=(Bullets(items=items),))


def _past_line(one: PastIncident) -> tuple[Span, ...]:
    line = [strong(one.short_id), span(f" {date_time(one.resolved_at)} "), outside(short(one.title))]
    if one.service:
        line += [span(" · "), outside(one.service)]
    cause = one.root_cause or (f"{one.cause.fault} at {one.cause.object}" if one.cause else "")
    line += [span(" — cause: "), outside(short(cause or "not found"))]
    line += [span(" — what ended it: "), outside(short(one.resolution or "not known"))]
    return tuple(line)


def whoami_reply(identity: Identity, person: Person | None) -> Message:
    if person is None:
        return Message(
            title="I do not know you",
            blocks=(
                Paragraph(
                    spans=(
                        span("Your account is "),
                        code(f"{identity.platform}:{identity.user_id}"),
                        span(". To be known, it has to be mapped to a person in the configuration."),
                    )
                ),
            ),
            tone=Tone.MUTED,
        )
    roles = ", ".join(sorted(person.roles)) or "none"
    accounts = ", ".join(sorted(f"{i.platform}:{i.user_id}" for i in person.identities))
    return Message(
        title=f"You are {person.id}",
        blocks=(paragraph(f"Roles: {roles}. Accounts: {accounts}."),),
        tone=Tone.MUTED,
    )


def refused(what: str, reason: str) -> Message:
    return Message(title=f"{what}: refused", blocks=(paragraph(reason, untrusted=True),), tone=Tone.MUTED)


def review_refused(short_id: str, effect: Effect) -> Message:
    """Told only to the person whose gesture did not count."""
    reason = effect.reason or effect.kind.value
    text = effect.hint or _REASONS.get(reason, f"the request is {reason.replace('_', ' ')}.")
    blocks = (paragraph(text),)
    return Message(title=f"Your review of {short_id} did not count", blocks=blocks, tone=Tone.MUTED)


def review_answer(short_id: str, effect: Effect, needed: int) -> Message:
    match effect.kind:
        case EffectKind.APPROVED:
            title = f"✅ {short_id}: approved. The gate decides now; see the card."
        case EffectKind.REJECTED:
            title = f"❌ {short_id}: rejected. Nothing will be executed."
        case EffectKind.RECORDED:
            title = f"{short_id}: recorded, {effect.approvals} of {needed} approvals."
        case EffectKind.LATE:
            title = f"{short_id}: too late, the request is already decided."
        case _:
            return review_refused(short_id, effect)
    return Message(title=title, tone=Tone.MUTED)


def nothing_waits(short_id: str) -> Message:
    return Message(title=f"{short_id}: nothing waits for approval", tone=Tone.MUTED)


def no_such_incident(text: str | None) -> Message:
    if text is None:
        return Message(
            title="Which incident?",
            blocks=(paragraph("Write its ID, or write in its thread."),),
            tone=Tone.MUTED,
        )
    return Message(title=f"There is no incident {text}", tone=Tone.MUTED)


def switched(switch: Switch) -> Message:
    if not switch.paused:
        return Message(title="▶ Execution resumed", tone=Tone.INFO)
    return Message(
        title="⏸ Execution paused: nothing runs until resume",
        blocks=(
            Paragraph(spans=(strong("Reason: "), outside(switch.reason or "none given"))),
            paragraph("Cards stay open; an approval given now is refused at the gate."),
        ),
        tone=Tone.WARNING,
    )


def investigation_begun(text: str) -> Message:
    return Message(title="👀 Investigating", blocks=(paragraph(text, untrusted=True),), tone=Tone.INFO)
