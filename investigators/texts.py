"""What people wrote before: the runbook's steps and the service's open tickets, as data to quote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bot.domain.diagnosis import Quote, Ticket
from bot.domain.evidence import Evidence
from investigators.pack import Pack, answered
from investigators.queries import RunbookQuery, TicketQuery

_STEPS = 3
_TICKETS = 5
_LONG = 240
_HEADING = re.compile(r"(?P<marks>#{1,6})\s+(?P<title>\S.*)")
_BOLD_HEADING = re.compile(r"(?:\*\*|__)(?P<title>[^*_]{2,60}?):?(?:\*\*|__):?\s*\Z")
_ITEM = re.compile(r"\s{0,3}(?:(?P<number>\d{1,2})[.)]|[-*+•])\s+(?:\[[ xX]\]\s+)?(?P<text>\S.*)\Z")
_ABOUT_STEPS = (
    re.compile(r"\b(?:mitigat\w*|remediat\w*|resolution|resolv\w*|recover\w*|fix\w*|how to solve)\b", re.I),
    re.compile(r"\b(?:steps?|what to do|procedure|actions?|response|respond\w*|playbook)\b", re.I),
    re.compile(r"\b(?:diagnos\w*|investigat\w*|triage|troubleshoot\w*|checks?)\b", re.I),
)
"""Titles of sections that say what to do, the most useful first."""
_FENCE = re.compile(r"\s*(?:```|~~~)")
_CLOSED = re.compile(
    r"done|closed|resolved|completed?|cancel+ed|rejected|declined|fixed|released|duplicate|"
    r"won'?t (?:do|fix)",
    re.I,
)


def answers_of(pack: Pack, kind: type[RunbookQuery] | type[TicketQuery]) -> tuple[Evidence, ...]:
    return tuple(item for query, item in pack.wide if isinstance(query, kind) and answered(item))


def runbook_steps(answers: Iterable[Evidence]) -> tuple[Quote, ...]:
    """The first steps of the section that says what to do; of a runbook without such a section, those of its
    first numbered list."""
    for evidence in answers:
        steps = _steps([line.text for line in evidence.lines])
        if steps:
            link = web_link(evidence.link)
            return tuple(
                Quote(evidence_id=evidence.id, source=evidence.source, text=step, link=link)
                for step in steps[:_STEPS]
            )
    return ()


def open_tickets(answers: Iterable[Evidence]) -> tuple[Ticket, ...]:
    """In the order of the source, each once."""
    found: dict[str, Ticket] = {}
    for evidence in answers:
        for record in evidence.records:
            key, status = str(record.get("key") or ""), str(record.get("status") or "")
            if key and not _CLOSED.fullmatch(status.strip()):
                found.setdefault(
                    key,
                    Ticket(
                        evidence_id=evidence.id,
                        key=key[:60],
                        summary=_cut(str(record.get("summary") or "")),
                        status=status[:60],
                        link=web_link(record.get("url")),
                    ),
                )
    return tuple(found.values())[:_TICKETS]


def web_link(value: object) -> str | None:
    """An address that may be linked to; what a text calls its address may be anything."""
    text = value if isinstance(value, str) else ""
    plain = (
        text.startswith(("https://", "http://")) and text.isprintable() and not re.search(r"[\s<>\"']", text)
    )
    return text if plain else None


def _steps(lines: Sequence[str]) -> list[str]:
    sections = list(_sections(lines))
    for pattern in _ABOUT_STEPS:
        for title, inside in sections:
            if title and pattern.search(title):
                steps = [text for _, text in _items(inside)]
                if steps:
                    return steps
    for _, inside in sections:
        numbered = [text for number, text in _items(inside) if number]
        if len(numbered) >= 2:
            return numbered
    return []


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each heading with all lines up to the next of its rank; code is left out, for it is not a step."""
    plain = list(_without_code(lines))
    heads = [(0, 0, "")]
    for number, line in enumerate(plain):
        if match := _HEADING.match(line):
            heads.append((number, len(match["marks"]), match["title"][:200].rstrip("# ")))
        elif match := _BOLD_HEADING.match(line.strip()):
            heads.append((number, 6, match["title"]))
    for place, (start, rank, title) in enumerate(heads):
        end = next((later for later, its, _ in heads[place + 1 :] if its <= rank or rank == 0), len(plain))
        yield title, plain[start:end]


def _without_code(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield line


def _items(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        match = _ITEM.match(line[: 4 * _LONG])
        if match:
            yield match["number"] or "", _cut(match["text"])


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _LONG else f"{one[: _LONG - 1].rstrip()}…"
