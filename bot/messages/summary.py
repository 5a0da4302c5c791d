"""What is said of an incident once it is over: short in its thread, whole when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bot.domain.diagnosis import ModelState, Origin
from bot.domain.incident import Incident
from bot.domain.message import Block, Code, Message, Paragraph, Span, Tone, paragraph
from bot.domain.summary import RESOLVED, Finding, Summary, TimelineEntry
from bot.messages.findings import bullets
from bot.messages.view import IncidentView
from bot.messages.words import code, date_time, duration, outside, short, span, strong

_HEAD, _TAIL = 4, 5
"""Lines of a timeline in the thread, with one between them that says how much was left out."""
_PATCH = 3_000
"""Characters of a patch in the thread."""
_CITED = 4
_CHANGED_WHEN_SHOWN = re.compile(r"://|\bwww\.|(?<![A-Za-z0-9])@\w|#[\w.-]+:[\w-]+\.")
"""What every chat adapter takes the effect from, so that it is no longer what stands in the runbook."""

_Item = tuple[Span, ...]


def summary_reply(summary: Summary, incident: Incident) -> Message:
    """The summary in the incident's thread. A patch stands whole or not at all."""
    return _message(summary, incident, whole=False)


def whole_summary(view: IncidentView) -> Message:
    """The answer to ``summary``."""
    incident = view.incident
    if view.summary is None:
        why = "It is written once an incident that was investigated has stayed resolved for a while."
        title = f"{incident.short_id} has no summary yet"
        return Message(title=title, blocks=(paragraph(why),), tone=Tone.MUTED)
    return _message(view.summary, incident, whole=True)


def _message(summary: Summary, incident: Incident, *, whole: bool) -> Message:
    end = max((one.at for one in summary.timeline if one.what == RESOLVED), default=summary.at)
    lasted = duration(end - incident.opened_at)
    again = f", opened again ×{summary.reopened}" if summary.reopened else ""
    return Message(
        title=f"📝 Summary of {incident.short_id}: {lasted}{again}",
        blocks=(
            *_findings("Cause", summary.cause),
            *_findings("What was done", summary.what_was_done),
            *_findings("What would have found it sooner", summary.sooner, none="nothing that can be told"),
            *_timeline(summary, whole=whole),
            *_runbook(summary, incident, whole=whole),
            _footer(summary),
        ),
        tone=Tone.GOOD,
    )


def _findings(title: str, findings: Sequence[Finding], none: str = "") -> Iterator[Block]:
    items = [_finding(one) for one in findings] or ([(span(none),)] if none else [])
    yield from bullets(title, items)


def _finding(finding: Finding) -> _Item:
    line = [strong("the model adds: ")] if finding.origin is Origin.MODEL else []
    line.append(outside(short(finding.text)))
    cited = [code(one[-6:]) for one in finding.evidence_ids[:_CITED]]
    for each in cited:
        line += [span(" "), each]
    if len(finding.evidence_ids) > _CITED:
        line.append(span(f" … and {len(finding.evidence_ids) - _CITED} more"))
    return tuple(line)


def _timeline(summary: Summary, *, whole: bool) -> Iterator[Block]:
    entries = list(summary.timeline)
    half = len(entries) // 2
    head, tail, hidden = entries[:half], entries[half:], summary.earlier
    if not whole and len(entries) + bool(hidden) > _HEAD + _TAIL + 1:
        head, tail = entries[:_HEAD], entries[-_TAIL:]
        hidden += len(entries) - _HEAD - _TAIL
    items = [_entry(one) for one in head]
    if hidden:
        items.append((span(f"… {hidden} more in between"),))
    yield from bullets("Timeline", [*items, *(_entry(one) for one in tail)])


def _entry(entry: TimelineEntry) -> _Item:
    return (span(f"{entry.at:%Y-%m-%d %H:%M:%S} "), outside(short(entry.what)))


def _runbook(summary: Summary, incident: Incident, *, whole: bool) -> Iterator[Block]:
    patch, section = summary.runbook_patch, summary.runbook_section
    if patch is None and not section:
        return
    if patch is not None:
        yield Paragraph(spans=(strong("Suggested for the runbook"), span(", as a patch to read and apply:")))
    else:
        yield Paragraph(
            spans=(
                strong("Suggested for the runbook"),
                span(", to be added by hand: "),
                outside(short(summary.runbook_reason or "there is no patch")),
            )
        )
    text = section if patch is None else patch
    if len(text) > _PATCH and not whole:
        yield Paragraph(spans=(span("too long for here, see "), code(f"!assent summary {incident.short_id}")))
        return
    yield Code(text=text)
    if _CHANGED_WHEN_SHOWN.search(text):
        yield paragraph("Addresses and mentions in it are broken up here; what stands there has them whole.")


def _footer(summary: Summary) -> Block:
    said = f"{date_time(summary.at)} · by {summary.origin.value}"
    note = summary.note
    if note is None:
        return paragraph(said)
    spans = [span(said)]
    if summary.cost.usd:
        spans.append(span(f" · {summary.cost.usd:.4f} USD"))
    elif summary.cost.usd is None and note.state is not ModelState.FAILED:
        spans.append(span(" · price not known"))
    if note.state is not ModelState.VERIFIED or note.reason:
        spans += [span(" · model: "), outside(short(note.reason or note.state.value))]
    return Paragraph(spans=tuple(spans))
