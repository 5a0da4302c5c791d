"""What is said to people who ask about an incident, or for another action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot.domain.diagnosis import Citation, ModelNote, ModelState, SuggestedAction
from bot.domain.incident import Incident, IncidentState
from bot.domain.message import Block, Bullets, Message, Paragraph, Span, Tone, paragraph
from bot.domain.proposal import ActionSpec
from bot.domain.question import Answer, StoredQuestion, Wish, WishOrigin
from bot.messages.words import STATE_WORDS, code, inert, outside, price, short, span, strong

_LINES = 12
_CITED = 12
_SAID = 1_500
"""Characters of what a model said that is not the answer."""


def question_received(incident: Incident, question: StoredQuestion) -> Message:
    """At once, so that nobody asks again while it is being looked at."""
    return Message(
        title=f"🔍 Looking into what {question.asked_by} asks about {incident.short_id}",
        blocks=(_asked(question),),
        tone=Tone.MUTED,
    )


def question_answer(
    incident: Incident, question: StoredQuestion, answer: Answer, *, follows: bool = False
) -> Message:
    """``follows``: what the answer suggests is being made into a proposal."""
    blocks: list[Block] = [_asked(question)]
    lines = [line for line in answer.text.splitlines() if line.strip()]
    blocks += [paragraph(line, untrusted=True) for line in lines[:_LINES]]
    cited = tuple(_citation(one) for one in answer.citations[:_CITED])
    if cited:
        blocks.append(Bullets(title="Evidence", items=cited))
    blocks += _model(answer.note)
    if answer.suggestion is not None:
        blocks.append(_suggestion(incident, answer.suggestion, follows=follows))
    blocks.append(paragraph(_footer(answer)))
    return Message(
        title=f"💬 Answer to {question.asked_by} about {incident.short_id}",
        blocks=tuple(blocks),
        tone=Tone.INFO,
    )


def question_failed(incident: Incident, question: StoredQuestion, reason: str) -> Message:
    return Message(
        title=f"💬 I could not answer {question.asked_by} about {incident.short_id}",
        blocks=(
            _asked(question),
            Paragraph(spans=(strong("Why: "), outside(reason))),
            Paragraph(
                spans=(
                    span("What is stored is there all the same: "),
                    code(f"!assent why {incident.short_id}"),
                    span(" and "),
                    code(f"!assent show {incident.short_id}"),
                    span("."),
                )
            ),
        ),
        tone=Tone.WARNING,
    )


def _asked(question: StoredQuestion) -> Block:
    return Paragraph(spans=(strong("Asked: "), outside(short(question.text))))


def _citation(one: Citation) -> tuple[Span, ...]:
    line = [code(one.evidence_id[-6:]), span(f" {one.source}: "), outside(short(one.finding))]
    if one.quote:
        line += [span(" — "), Span(text=short(one.quote), code=True, untrusted=True)]
    if one.outsider_writable:
        line.append(strong(" (an outsider can have written this)"))
    if one.link:
        line += [span(" "), Span(text="open", link=one.link)]
    return tuple(line)


def _model(note: ModelNote | None) -> Iterator[Block]:
    if note is None:
        return
    match note.state:
        case ModelState.VERIFIED:
            if note.reason:
                yield Paragraph(spans=(strong("But: "), outside(short(note.reason))))
        case ModelState.AGREED:
            if note.reason:
                yield Paragraph(
                    spans=(strong("To know it, a model would need: "), outside(short(note.reason)))
                )
        case ModelState.UNVERIFIED:
            said = strong("A model said more, which could not be verified: ")
            yield Paragraph(spans=(said, outside(short(note.reason))))
            if note.said:
                yield Paragraph(spans=(outside(note.said[:_SAID]),))
        case ModelState.FAILED | ModelState.SKIPPED:
            yield Paragraph(spans=(strong("No model answered: "), outside(short(note.reason))))


def _suggestion(incident: Incident, one: SuggestedAction, *, follows: bool) -> Block:
    if follows:
        told = span(": I prepare that as a proposal, which others decide on.")
        return Paragraph(spans=(span("It suggests "), *_call(one.action, one.params), told))
    command = _call(f"!assent propose {one.action}", one.params, end=f" {incident.short_id}")
    return Paragraph(
        spans=(span("It suggests an action. Nothing is proposed by that; to ask for it: "), *command)
    )


def _call(action: str, params: Mapping[str, str | int], *, end: str = "") -> tuple[Span, ...]:
    """As it is written in a command. The action is one of the catalogue; a parameter may be any text."""
    spans = [code(action)]
    for name, value in sorted(params.items()):
        text = str(value)
        quoted = f'"{text}"' if any(char.isspace() for char in text) else text
        spans += [code(f" {name}="), inert(quoted)]
    return (*spans, code(end)) if end else tuple(spans)


def _footer(answer: Answer) -> str:
    note = answer.note
    who = f"by {note.model}" if note is not None and note.state is ModelState.VERIFIED else "by rules"
    return f"{who} · {answer.cost.seconds:.1f} s{price(answer.cost)}"


def wish_received(incident: Incident, wish: Wish) -> Message:
    return Message(
        title=f"🔧 Preparing what {wish.requested_by} asks for on {incident.short_id}",
        blocks=(
            Paragraph(spans=(strong("Wanted: "), *_call(wish.action, wish.params))),
            paragraph(
                f"It is tried, judged by policy, and then put to others; {wish.requested_by} may not be the "
                "one who approves it. A card follows in the incident's thread, or the reason why none does."
            ),
        ),
        tone=Tone.MUTED,
    )


def unknown_action(action: str, nearest: str | None, known: Sequence[str]) -> Message:
    spans = [span("I know no action "), inert(short(action)), span(". ")]
    if nearest:
        spans += [span("Did you mean "), code(nearest), span("? ")]
    items = tuple((code(name),) for name in known)
    return Message(
        title="propose: refused",
        blocks=(Paragraph(spans=tuple(spans)), Bullets(title="There are", items=items)),
        tone=Tone.MUTED,
    )


def wrong_parameters(spec: ActionSpec, problems: Sequence[str]) -> Message:
    """Every one that is missing or wrong, and what the action takes."""
    wrong = tuple((outside(short(problem)),) for problem in problems)
    takes = tuple((code(one.name), span(f" — {one.description}")) for one in spec.params)
    return Message(
        title="propose: refused",
        blocks=(
            Bullets(title="What is wrong", items=wrong),
            Bullets(title=f"{spec.name} takes", items=takes),
        ),
        tone=Tone.MUTED,
    )


def wish_declined(
    incident: Incident,
    wish: Wish,
    reasons: Sequence[str],
    *,
    rules: Sequence[str] = (),
    command: str | None = None,
) -> Message:
    """Why no card follows. What waited for approval before still does."""
    blocks: list[Block] = [
        Paragraph(spans=(strong("Wanted: "), *_call(wish.action, wish.params))),
        Bullets(title="Why", items=tuple((outside(reason),) for reason in reasons)),
    ]
    if rules:
        blocks.append(paragraph(f"rules: {', '.join(rules)}"))
    if command:
        blocks.append(Paragraph(spans=(span("By hand: "), inert(command))))
    asked = "asks for" if wish.origin is WishOrigin.COMMAND else "was told of"
    return Message(
        title=f"No proposal for {incident.short_id} of what {wish.requested_by} {asked}",
        blocks=tuple(blocks),
        tone=Tone.WARNING,
    )


_NOT_NOW: Mapping[IncidentState, str] = {
    IncidentState.OPEN: "it has not been looked at; write rerun first",
    IncidentState.INVESTIGATING: "it is being investigated; wait for the diagnosis",
    IncidentState.EXECUTING: "an action is being executed; wait for what comes of it",
    IncidentState.VERIFYING: "an action was executed and is being verified; wait for what comes of it",
    IncidentState.OUTCOME_UNKNOWN: (
        "nobody knows what the last action did; look first, as the card says, and then write rerun"
    ),
    IncidentState.RESOLVED: "it is over",
    IncidentState.CLOSED: "it is over",
}


def not_now(incident: Incident) -> str:
    """Why nothing may be proposed in this state."""
    state = STATE_WORDS[incident.state]
    return f"{incident.short_id} is {state}: {_NOT_NOW.get(incident.state, 'nothing can be proposed now')}"
