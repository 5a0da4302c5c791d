"""The parts of a diagnosis as chat shows them: short, and how much was left out is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.domain.diagnosis import (
    Diagnosis,
    Gap,
    Hypothesis,
    ModelState,
    PerspectiveState,
    PerspectiveView,
    Similar,
    Suspect,
    Ticket,
)
from bot.domain.message import Block, Bullets, Paragraph, Span, paragraph
from bot.domain.past import Recurrence
from bot.messages.words import code, date_time, outside, price, sentence, short, span, strong

_CAUSES = 3
_SUSPECTS = 3
_RULED_OUT = 6
_GAPS = 8
_STEPS = 8
_SAID = 700
_PLAIN = (PerspectiveState.FOUND, PerspectiveState.NOTHING)

_Item = tuple[Span, ...]


def recurrence_text(recurrence: Recurrence) -> str | None:
    """``×3 in 24 h · 5 in 7 d``; None for the first incident of a service in a week."""
    if recurrence.week < 2:
        return None
    return f"×{recurrence.day} in 24 h · {recurrence.week} in 7 d"


def evidence_block(diagnosis: Diagnosis) -> Iterator[Block]:
    items: list[_Item] = []
    for citation in diagnosis.citations:
        line = [
            code(citation.evidence_id[-6:]),
            span(f" {citation.source}: "),
            outside(short(citation.finding)),
        ]
        if citation.quote:
            line += [span(" — quoted: "), Span(text=short(citation.quote), code=True, untrusted=True)]
        if citation.outsider_writable:
            line.append(strong(" (an outsider can write this)"))
        if citation.link:
            line += [span(" "), Span(text="open", link=citation.link)]
        items.append(tuple(line))
    yield from bullets("Evidence", items)


def model_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """What became of the model; nothing where none is configured."""
    note = diagnosis.model
    if note is None:
        return
    name = [span("the model "), outside(short(note.model))] if note.model else [span("a model")]
    match note.state:
        case ModelState.VERIFIED:
            line = [strong("Written by "), *name, span(": its quotes are in the evidence, word for word.")]
        case ModelState.AGREED:
            line = [strong("Read by "), *name, span(": the rules' diagnosis stands.")]
        case ModelState.UNVERIFIED:
            line = [strong("Not verified: "), span("what "), *name, span(" says. Nothing is offered for it.")]
        case ModelState.FAILED:
            line = [strong("By rules only: "), *name, span(" gave no answer.")]
        case ModelState.SKIPPED:
            line = [strong("By rules only: "), *name, span(" was not asked.")]
    if note.reason:
        line.append(outside(f" {sentence(short(note.reason))}"))
    yield Paragraph(spans=tuple(line))
    if note.said and note.state in (ModelState.UNVERIFIED, ModelState.AGREED):
        yield Paragraph(spans=(strong("It said, unproved: "), outside(note.said[:_SAID])))


def causes_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """The ranked causes, and why those after the first lost. A single one that is the root cause has been
    said already."""
    ranked = diagnosis.hypotheses
    if len(ranked) == 1 and diagnosis.root_cause is not None:
        return
    best = ranked[0].score if ranked else 0.0
    items = [_cause(one, best, first=number == 0) for number, one in enumerate(ranked[:_CAUSES])]
    yield from bullets("Causes considered", items, hidden=len(ranked) - len(items))


def _cause(one: Hypothesis, best: float, *, first: bool) -> _Item:
    line = [
        strong(f"{one.score:.2f} "),
        outside(f"{one.object_kind} {one.object}".strip()),
        span(f": {one.fault}"),
        outside(f" — {short(one.statement)}"),
    ]
    if one.refuted_by:
        line.append(outside(f" — refuted: {short(one.refuted_by)}"))
    elif not first:
        why = one.lost_to or ("as likely by its evidence" if one.score >= best else "weaker evidence")
        line.append(outside(f" — {short(why)}"))
    return tuple(line)


def perspectives_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """One line, and only where it says more than the causes do: somebody could not look, or disagrees."""
    views = diagnosis.perspectives
    if all(view.state in _PLAIN and not view.against for view in views):
        return
    line: list[Span] = [strong("Seen from: ")]
    for number, view in enumerate(views):
        line.append(span(("" if number == 0 else " · ") + f"{view.name} "))
        line.append(outside(_seen(view)))
        if view.against:
            line.append(strong(f" (disagrees with {view.against})"))
    yield Paragraph(spans=tuple(line))


def _seen(view: PerspectiveView) -> str:
    match view.state:
        case PerspectiveState.FOUND:
            return f"{view.fault} at {view.object} ({view.score:.2f})"
        case PerspectiveState.NOTHING:
            return "nothing"
        case PerspectiveState.BLIND:
            return f"could not look ({view.reason})"
        case PerspectiveState.FAILED:
            return "broke"


def changes_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """Which changes may be to blame; nothing where none were looked at."""
    if diagnosis.no_culprit:
        yield from bullets("What changed", [(span("Changes were looked at: no change is to blame."),)])
        return
    shown = diagnosis.suspects[:_SUSPECTS]
    items = [_suspect(one) for one in shown]
    yield from bullets("What changed", items, hidden=len(diagnosis.suspects) - len(shown))


def _suspect(one: Suspect) -> _Item:
    line = [span(f"{date_time(one.at)} " if one.at is not None else ""), strong(one.kind), span(" ")]
    if one.service:
        line.append(outside(f"{one.service}: "))
    if one.title:
        line.append(outside(f"{short(one.title)} "))
    return (*line, outside(f"({one.change_id})"), outside(f" — {short(one.why)}"))


def similar_block(diagnosis: Diagnosis) -> Iterator[Block]:
    yield from bullets("Similar incidents", [_similar(one) for one in diagnosis.similar])


def _similar(one: Similar) -> _Item:
    when = "" if one.resolved_at is None else f" {one.resolved_at:%Y-%m-%d}"
    line = [strong(one.short_id), span(f"{when} ({one.score:.0%} alike) ")]
    line.append(outside(short(one.cause or one.title)))
    if one.resolution:
        line += [span(" — what ended it then: "), outside(short(one.resolution))]
    if one.shared:
        line += [span(" — shared: "), outside(short(", ".join(one.shared)))]
    return tuple(line)


def ruled_out_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """Without the causes that were just shown as refuted."""
    said = {f"{one.fault} at {one.object}: {one.refuted_by}" for one in diagnosis.hypotheses[:_CAUSES]}
    lines = [line for line in diagnosis.ruled_out if line not in said]
    items = [(outside(short(line)),) for line in lines[:_RULED_OUT]]
    yield from bullets("Ruled out", items, hidden=len(lines) - len(items))


def gaps_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """Commands stand whole or not at all: half of one is another one."""
    items = [_gap(gap) for gap in diagnosis.gaps[:_GAPS]]
    yield from bullets("Not known", items, hidden=len(diagnosis.gaps) - len(items))


def _gap(gap: Gap) -> _Item:
    line = [outside(short(f"{gap.what}: {gap.reason}"))]
    if gap.manual:
        line += [span(" — look yourself: "), code(gap.manual)]
    return tuple(line)


def steps_block(diagnosis: Diagnosis) -> Iterator[Block]:
    items = [(outside(step),) for step in diagnosis.steps[:_STEPS]]
    yield from bullets("Suggested steps", items, hidden=len(diagnosis.steps) - len(items))


def runbook_block(diagnosis: Diagnosis) -> Iterator[Block]:
    """Fenced and said to be somebody else's: the bot neither checked nor runs any of it."""
    items: list[_Item] = []
    for quote in diagnosis.runbook:
        line = [Span(text=short(quote.text), code=True, untrusted=True)]
        if quote.link:
            line += [span(" "), Span(text="open", link=quote.link)]
        items.append(tuple(line))
    yield from bullets("The runbook says (quoted, not checked)", items)


def tickets_block(diagnosis: Diagnosis) -> Iterator[Block]:
    yield from bullets("Open tickets", [_ticket(one) for one in diagnosis.tickets])


def _ticket(one: Ticket) -> _Item:
    name = Span(text=one.key, link=one.link) if one.link else outside(one.key)
    return (name, outside(f" {short(one.summary)}"), outside(f" ({one.status})" if one.status else ""))


def footer(diagnosis: Diagnosis) -> Block:
    run = f"run {diagnosis.run} · by {diagnosis.origin.value} · {diagnosis.cost.seconds:.1f} s"
    return paragraph(run + price(diagnosis.cost))


def bullets(title: str, items: Sequence[_Item], *, hidden: int = 0) -> Iterator[Block]:
    """A list, or nothing where there is nothing to list."""
    if items:
        more = [(span(f"… and {hidden} more"),)] if hidden > 0 else []
        yield Bullets(title=title, items=(*items, *more))
