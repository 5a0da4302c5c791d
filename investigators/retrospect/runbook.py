"""What the runbook should say from now on, as a patch to the text that was read.

Everything in it that somebody outside may have chosen stands in a code span, so that it is inert wherever
the runbook is rendered; names of files are made of letters that can be nothing else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from bot.domain.diagnosis import Origin
from bot.domain.evidence import Evidence, EvidenceStatus
from bot.domain.outcome import OutcomeVerdict
from bot.domain.redaction import MASK
from bot.domain.summary import Finding
from investigators.ranking import human_time
from investigators.retrospect.story import Story, cited, line, names_cause

RUNBOOK = "runbook.text"
_CHECKS = 2
_QUERY, _FINDING, _OUTSIDER = 240, 200, 120
"""Characters of a query, of a finding, and of one that an outsider can have written."""
_LEFT_OUT = re.compile(r"\n… (\d+) characters left out …\n")
_HEADING = re.compile(r"(#{1,6})\s+\S")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_UNDERLINE = re.compile(r"(={3,}|-{3,})\s*")
_BOLD = re.compile(r"\*\*[^*]{2,60}\*\*:?\s*")
_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_SUFFIXES = (".md", ".markdown", ".txt", ".rst", ".adoc")
_PAGES = (".html", ".htm")
_DEEPEST = 6
_CONTEXT = 3
"""Lines of the runbook around what is added."""
_MASKED = MASK.partition("{")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """``patch`` is None where there can be none, and then ``reason`` says why."""

    section: str
    patch: str | None = None
    reason: str = ""


def suggest(story: Story, more: Sequence[Finding] = ()) -> Suggestion:
    """A dated section, and the patch that adds it to the end of the runbook or makes a new one; ``more`` are
    lines to add to it."""
    runbook = next((one for one in story.evidence if one.kind == RUNBOOK), None)
    title = f"Seen {story.incident.opened_at:%Y-%m-%d} ({story.incident.short_id})"
    body = list(_body(story, more))
    if runbook is None:
        section = _text([f"## {title}", "", *body])
        if story.incident.route.runbook_url or any(alert.links.get("runbook") for alert in story.alerts):
            return Suggestion(section=section, reason="the alert names a runbook, and it was not read")
        name = _slug(story.incident.service or "") or "runbook"
        return Suggestion(section=section, patch=_new_file(f"{name}.md", f"# {name}\n\n{section}"))
    lines = runbook.excerpt.split("\n")
    section = _text([*_headed(title, lines), "", *body])
    whole, reason = _whole(runbook)
    if whole is None:
        return Suggestion(section=section, reason=reason)
    lines = whole.split("\n")
    section = _text([*_headed(title, lines), "", *body])
    if title in whole:
        return Suggestion(section=section, reason="the runbook names this incident already")
    if any(_MASKED in one for one in lines[-_CONTEXT:]):
        return Suggestion(
            section=section, reason="the runbook ends with something that was redacted when it was read"
        )
    return Suggestion(section=section, patch=_addition(_path(runbook, story), lines, section))


def _body(story: Story, more: Sequence[Finding]) -> Iterator[str]:
    """Symptom → cause → what helped → how to check."""
    lasted = human_time(story.resolved_at - story.incident.opened_at)
    yield f"- Symptom: {_code(story.incident.title, 200)}, for {lasted}"
    diagnosis = story.diagnosis
    if names_cause(diagnosis):
        yield f"- Cause: {_code(diagnosis.root_cause or '', 250)} (confidence {diagnosis.band.value})"
    else:
        yield "- Cause: not found"
    yield f"- What helped: {_helped(story)}"
    for check in _checks(story):
        yield f"- How to check: {check}"
    for finding in more:
        whose = " of a model, to be checked" if finding.origin is Origin.MODEL else ""
        yield f"- Note{whose}: {_code(finding.text, 250)}"


def _helped(story: Story) -> str:
    last = story.last_run
    if last is None:
        return "not known; the alerts resolved without an action of the bot"
    action = f"{_code(last.action, 80)} of {_code(last.target, 80)}"
    match last.verdict:
        case OutcomeVerdict.VERIFIED:
            return f"{action}, seen to help"
        case OutcomeVerdict.FAILED:
            return f"not {action}, which was tried"
        case _:
            return f"perhaps {action}, which was run"


def _checks(story: Story) -> Iterator[str]:
    """The questions that showed it, and what they answered."""
    evidence = {one.id: one for one in story.evidence}
    # What a model says of its quote is its own words; the quote is the source's.
    findings = {one.evidence_id: one.quote or one.finding for one in story.diagnosis.citations}
    looked = [evidence[one] for one in cited(story.diagnosis) if one in evidence]
    for one in [one for one in looked if one.query and one.kind != RUNBOOK][:_CHECKS]:
        said = findings.get(one.id) or one.summary
        limit = _OUTSIDER if one.outsider_writable else _FINDING
        asked = f"ask {_code(one.source, 60)} for {_code(one.query, _QUERY)}"
        yield f"{asked}; then it said {_code(said, limit)}" if said else asked


def _code(text: str, limit: int) -> str:
    """Inert in Markdown, and in a chat that shows the patch: no links, no markup, no end of the span."""
    one = line(text, limit).replace("`", "'").replace("://", "[:]//").replace("www.", "www[.]")
    return f"`{one or ' '}`"


def _headed(title: str, lines: Sequence[str]) -> list[str]:
    """The title as the runbook writes its own sections."""
    plain: list[str] = []
    inside = False
    for one in lines:
        if _FENCE.match(one):
            inside = not inside
        elif not inside:
            plain.append(one)
    levels = [len(match[1]) for one in plain if (match := _HEADING.match(one))]
    if levels:
        top = min(levels)
        deeper = [level for level in levels if level > top]
        if levels.count(top) > 1:
            return [f"{'#' * top} {title}"]
        return [f"{'#' * (min(deeper) if deeper else min(top + 1, _DEEPEST))} {title}"]
    marks = [
        match[1][0]
        for above, one in pairwise(plain)
        if above.strip() and (match := _UNDERLINE.fullmatch(one))
    ]
    if marks:
        return [title, ("-" if "-" in marks else "=") * len(title)]
    if any(_BOLD.fullmatch(one.strip()) for one in plain):
        return [f"**{title}**"]
    return [f"{title}:"]


def _whole(runbook: Evidence) -> tuple[str | None, str]:
    """The text as it was read, else why it cannot be patched."""
    if runbook.status is not EvidenceStatus.OK:
        return None, line(f"the runbook could not be read: {runbook.reason or 'no reason given'}", 200)
    page = any(record.get("format") == "html" for record in runbook.records)
    if page or runbook.query.partition("?")[0].lower().endswith(_PAGES):
        return None, "the runbook is a web page: the section is to be added where that is written"
    if runbook.reason:
        return None, line(f"only a part of the runbook was read: {runbook.reason}", 200)
    kept = "\n".join(one.text for one in runbook.lines)
    if kept == runbook.excerpt:
        return kept, ""
    cut = _LEFT_OUT.search(runbook.excerpt)
    if cut is not None:
        head, tail = runbook.excerpt[: cut.start()], runbook.excerpt[cut.end() :]
        if len(kept) == len(head) + int(cut[1]) + len(tail) and kept.startswith(head) and kept.endswith(tail):
            return kept, ""
    return None, "the runbook is longer than what is kept of it"


def _path(runbook: Evidence, story: Story) -> str:
    """Where the patch says the runbook is: within its folder for one that was read from there, else its name
    alone. Never out of the folder, whatever an alert calls its runbook."""
    address = unquote(runbook.query.partition("#")[0].partition("?")[0])
    scheme, _, rest = address.rpartition("://")
    parts = [part for part in rest.split("/") if part]
    if scheme:
        parts = parts[1:][-1:]
    if not parts or not all(_safe(part) for part in parts):
        parts = [part for part in parts[-1:] if _safe(part)] or [_slug(story.incident.service or "runbook")]
    if not parts[0]:
        parts = ["runbook"]
    path = "/".join(parts)
    return path if path.lower().endswith(_SUFFIXES) else f"{path}.md"


def _safe(part: str) -> bool:
    return _SAFE_PART.fullmatch(part) is not None and ".." not in part


def _slug(name: str) -> str:
    """Letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name[:200]).strip("-")[:60].strip("-")


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _new_file(path: str, text: str) -> str:
    added = text.removesuffix("\n").split("\n")
    return _text(
        ["--- /dev/null", f"+++ b/{path}", f"@@ -0,0 +1,{len(added)} @@", *(f"+{one}" for one in added)]
    )


def _addition(path: str, lines: Sequence[str], section: str) -> str:
    """One hunk at the end. The last line of a runbook is taken to end as lines do."""
    after = [*lines, "", *section.removesuffix("\n").split("\n")]
    diff = difflib.unified_diff(
        lines, after, fromfile=f"a/{path}", tofile=f"b/{path}", lineterm="", n=_CONTEXT
    )
    return _text(list(diff))
