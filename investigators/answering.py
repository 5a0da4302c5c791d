"""Follow-up questions without a model: what the stored diagnosis and evidence say that the words ask for.

Nothing is concluded here that was not concluded before: every line comes from the rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import fsum, log

from bot.domain.alert import AlertStatus
from bot.domain.diagnosis import Citation, Diagnosis, Hypothesis
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict
from bot.domain.ids import EvidenceId
from bot.domain.incident import IncidentState
from investigators.ports import Answered, Question
from investigators.words import title_of

NO_MODEL = "No model is configured: these are the stored findings that your words meet, not a new conclusion."
_NOTHING = "Nothing that is stored about this incident meets your words."
_WHERE_ELSE = "The whole diagnosis: why. The incident with its alerts: show. To look again: rerun."

_CITED = 6
_SAID = 6
_DIRECT = 8
"""Lines of each kind."""
_LINES_EACH = 2
_LONG = 300
_LEAST = 0.25
"""Of the question's words, by weight, that a finding must hold."""

_WORD = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_STOP = frozenset(
    re.findall(
        r"[a-z]+",
        """
        a about an and any are as at be been but by can could did do does for from give had has have how i
        if in into is it its just me may might my no not of on or our please show so tell that the their
        them then there these they this those to was we were what when where which while who whom whose
        why will with would you your happen happened happening because cause caused reason really still
        now see look incident alert
        """,
    )
)
_SAME = {
    "ram": "memory",
    "rss": "memory",
    "mem": "memory",
    "oom": "memory",
    "processor": "cpu",
    "cores": "cpu",
    "db": "database",
    "postgres": "database",
    "postgresql": "database",
    "filesystem": "disk",
    "volume": "disk",
    "deployment": "deploy",
    "release": "deploy",
    "rollout": "deploy",
    "logs": "log",
    "dns": "dns",
}
_ASKS_WHETHER = re.compile(
    r"\b(?:why not|why isn'?t|is(?:n'?t)? (?:it|this|that)|could(?:n'?t)? it (?:not )?be|ruled? out)\b"
)
_ASKS_CHANGES = re.compile(r"\b(?:chang(?:e|es|ed)|deploy\w*|releas\w+|roll(?:out|ed out)|commit\w*)\b")
_ASKS_SINCE = re.compile(r"\b(?:since when|when did|how long|what time|when was|begin|began|start(?:ed)?)\b")
_ASKS_OVER = re.compile(
    r"\b(?:fixed|resolved|over|solved|recovered|healthy again|still (?:firing|broken|down|going|happening))\b"
)
_ASKS_CAUSE = re.compile(r"\b(?:why|root cause|cause[ds]?|reason|what (?:is|was|'s) (?:wrong|the problem))\b")
_ASKS_HELP = re.compile(
    r"\b(?:what (?:can|should|could) (?:we|i)|how (?:do|can|to|should)|fix|steps?|runbook)\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One thing that is stored, with the evidence it stands on where there is one."""

    text: str
    words: frozenset[str]
    evidence_ids: tuple[EvidenceId, ...] = ()


class RulesAnswerer:
    """The :class:`investigators.ports.Answerer` of an installation without a model."""

    async def answer(self, question: Question) -> Answered:
        return answer_by_rules(question)


def answer_by_rules(question: Question, preface: str = NO_MODEL) -> Answered:
    """The same answer for the same rows and words. ``preface`` says why no model answers."""
    asked = question.text.lower()
    direct = list(dict.fromkeys(_direct(question, asked)))[:_DIRECT]
    words = _words(asked)
    ranked = _ranked(words, list(_findings(question)))
    if _ASKS_WHETHER.search(asked):
        ranked = [*_absences(question.diagnosis, words), *ranked]
    said = {line for line, _ in direct}
    cited: list[tuple[EvidenceId, str]] = []
    lines: list[str] = [line for line, _ in direct]
    known = _known(question)
    for _, ids in direct:
        for identity in ids:
            _cite(cited, (identity,), known.get(identity, ""))
    for one in ranked:
        if one.text in said:
            continue
        if one.evidence_ids:
            _cite(cited, one.evidence_ids, one.text)
        elif len(lines) < _SAID + len(direct):
            lines.append(one.text)
    citations = tuple(_citations(question.evidence, cited))
    if not lines and not citations:
        lines = [_NOTHING, *([question.diagnosis.summary] if question.diagnosis is not None else [])]
    return Answered(text="\n".join((preface, *lines, _WHERE_ELSE)), citations=citations)


def _known(question: Question) -> dict[EvidenceId, str]:
    """What each evidence says: as the diagnosis cites it, else in its own words."""
    said = {one.id: _cut(one.summary) for one in question.evidence}
    if question.diagnosis is not None:
        said |= {one.evidence_id: _cut(one.finding) for one in reversed(question.diagnosis.citations)}
    return said


def _cite(cited: list[tuple[EvidenceId, str]], ids: Sequence[EvidenceId], text: str) -> None:
    """A few lines of each evidence, so that one of them does not take all the room."""
    for identity in ids[:1]:
        of_it = [said for known, said in cited if known == identity]
        told = any(text in said or said in text for said in of_it)
        if text and len(cited) < _CITED and len(of_it) < _LINES_EACH and not told:
            cited.append((identity, text))


def _citations(evidence: Sequence[Evidence], cited: Sequence[tuple[EvidenceId, str]]) -> Iterator[Citation]:
    known = {one.id: one for one in evidence}
    for identity, finding in cited:
        one = known.get(identity)
        if one is not None:
            yield Citation(
                evidence_id=identity,
                source=one.source,
                finding=finding,
                link=one.link,
                outsider_writable=one.outsider_writable,
            )


# -- what some questions plainly ask for ------------------------------------------------------------------

_Line = tuple[str, tuple[EvidenceId, ...]]


def _direct(question: Question, asked: str) -> Iterator[_Line]:
    diagnosis = question.diagnosis
    if _ASKS_OVER.search(asked):
        yield _over(question), ()
    if _ASKS_SINCE.search(asked):
        yield _since(question), ()
    if diagnosis is None:
        yield "There is no diagnosis yet, only the alert.", ()
        return
    whether = _ASKS_WHETHER.search(asked) and not _ASKS_OVER.search(asked)
    if whether:
        yield from _whether(diagnosis, _words(asked))
    if _ASKS_CHANGES.search(asked):
        yield from _changes(diagnosis)
    elif _ASKS_CAUSE.search(asked) and not whether:
        yield _cause(diagnosis)
    if _ASKS_HELP.search(asked):
        yield from _help(diagnosis)


def _over(question: Question) -> str:
    incident = question.case.incident
    if incident.state in (IncidentState.RESOLVED, IncidentState.CLOSED):
        at = "" if incident.resolved_at is None else f" since {_moment(incident.resolved_at)}"
        return f"The incident is {incident.state.value}{at}."
    alerts = "1 alert still fires" if incident.firing == 1 else f"{incident.firing} alerts still fire"
    return f"It is not over: the incident is {incident.state.value.replace('_', ' ')} and {alerts}."


def _since(question: Question) -> str:
    firing = [alert for alert in question.case.alerts if alert.status is AlertStatus.FIRING]
    opened = f"The incident was opened at {_moment(question.case.incident.opened_at)}"
    if not firing:
        return f"{opened}."
    first = min(firing, key=lambda alert: alert.starts_at)
    return f"{opened}; {first.name} fires since {_moment(first.starts_at)}."


def _cause(diagnosis: Diagnosis) -> _Line:
    ids = diagnosis.hypotheses[0].evidence_ids if diagnosis.hypotheses else ()
    ids = (*ids, *(one.evidence_id for one in diagnosis.citations))
    if diagnosis.root_cause is None:
        return f"No cause was found. {diagnosis.summary}", ids
    return f"{diagnosis.summary} (confidence {diagnosis.band.value})", ids


def _whether(diagnosis: Diagnosis, words: Counter[str]) -> Iterator[_Line]:
    """What was concluded about what the words name: that it is it, that it lost, or that it was ruled out."""
    found = bool(_absences(diagnosis, words))
    for number, one in enumerate(diagnosis.hypotheses):
        if words.keys() & _set(f"{one.object} {one.object_kind} {one.fault} {title_of(one.fault)}"):
            found = True
            likeliest = number == 0 and diagnosis.root_cause is not None
            yield _cause(diagnosis) if likeliest else (_lost(one), one.evidence_ids)
    for line in diagnosis.ruled_out:
        if words.keys() & _set(line):
            found = True
            yield f"Ruled out: {line}", ()
    if not found:
        yield (
            "Nothing that was considered or ruled out goes by that name: it may not have been looked at.",
            (),
        )


def _absences(diagnosis: Diagnosis | None, words: Counter[str]) -> list[_Finding]:
    """Of what the words name, that which was looked at and is not so."""
    facts = () if diagnosis is None else diagnosis.facts
    absent = [one for one in facts if one.verdict is FactVerdict.ABSENT]
    return [
        _finding(_absent(one), one.evidence_ids) for one in absent if words.keys() & _set(_about_fact(one))
    ]


def _about_fact(fact: Fact) -> str:
    return f"{fact.subject} {fact.kind} {title_of(fact.kind)}"


def _absent(fact: Fact) -> str:
    return f"Looked at and not so: {title_of(fact.kind)} at {fact.subject}. {fact.detail}".strip()


def _lost(one: Hypothesis) -> str:
    why = f"refuted: {one.refuted_by}" if one.refuted_by else one.lost_to or "its evidence is weaker"
    name = f"{one.object_kind} {one.object}".strip()
    return f"{title_of(one.fault)} at {name} was considered ({one.score:.2f}): {one.statement} — {why}"


def _changes(diagnosis: Diagnosis) -> Iterator[_Line]:
    if diagnosis.no_culprit:
        yield "Changes were looked at, and none of them is to blame.", ()
    elif not diagnosis.suspects:
        yield "No changes were looked at, or none were found: no source of changes answered with one.", ()
    for one in diagnosis.suspects[:3]:
        at = "" if one.at is None else f"{_moment(one.at)} "
        name = f"{one.service}: {one.title}" if one.service else one.title
        yield f"{at}{one.kind} {name} ({one.change_id}) — {one.why}", one.evidence_ids


def _help(diagnosis: Diagnosis) -> Iterator[_Line]:
    if diagnosis.suggestion is not None:
        one = diagnosis.suggestion
        yield f"The diagnosis suggests {one.action} for {one.target}: {one.why}", one.evidence_ids
    for step in diagnosis.steps[:3]:
        yield f"Suggested step: {step}", ()
    for quote in diagnosis.runbook[:3]:
        yield f"The runbook says, not checked: {quote.text}", (quote.evidence_id,)


# -- what else the words meet -----------------------------------------------------------------------------


def _findings(question: Question) -> Iterator[_Finding]:
    words = _words(question.text.lower())
    if question.diagnosis is not None:
        yield from _of_diagnosis(question.diagnosis)
    for one in question.evidence:
        about = f"{one.subject} {one.source} {one.kind}"
        if one.status is EvidenceStatus.FAILED:
            yield _finding(f"{one.source} did not answer: {one.reason or one.summary}", (), about)
            continue
        yield _finding(f"{one.subject}: {one.summary}" if one.subject else one.summary, (one.id,), about)
        for line in _telling(one, words):
            yield _finding(line, (one.id,), about)


def _of_diagnosis(diagnosis: Diagnosis) -> Iterator[_Finding]:
    for citation in diagnosis.citations:
        yield _finding(citation.finding, (citation.evidence_id,))
    for fact in diagnosis.facts:
        if fact.verdict is FactVerdict.ABSENT:
            yield _finding(_absent(fact), fact.evidence_ids, _about_fact(fact))
        elif fact.detail and fact.verdict is FactVerdict.FOUND:
            yield _finding(fact.detail, fact.evidence_ids, _about_fact(fact))
    for one in diagnosis.hypotheses:
        about = f"{one.object} {one.fault} {title_of(one.fault)}"
        why = (
            f" — refuted: {one.refuted_by}" if one.refuted_by else f" — {one.lost_to}" if one.lost_to else ""
        )
        yield _finding(f"Considered ({one.score:.2f}): {one.statement}{why}", one.evidence_ids, about)
    for line in diagnosis.ruled_out:
        yield _finding(f"Ruled out: {line}")
    for gap in diagnosis.gaps:
        manual = f" (look yourself: {gap.manual})" if gap.manual else ""
        yield _finding(f"Not known: {gap.what}: {gap.reason}{manual}")
    for past in diagnosis.similar:
        yield _finding(
            f"Similar: {past.short_id} {past.cause or past.title}; ended by: {past.resolution or '?'}"
        )
    for ticket in diagnosis.tickets:
        yield _finding(f"Ticket {ticket.key} ({ticket.status}): {ticket.summary}", (ticket.evidence_id,))


def _telling(evidence: Evidence, words: Counter[str]) -> Iterator[str]:
    """Its few lines that meet most of the words."""
    met = [
        (len(words.keys() & _set(line.text)), number)
        for number, line in enumerate(evidence.lines)
        # Far cheaper than taking thousands of lines apart of which none holds a word.
        if any(word in line.text.lower() for word in words)
    ]
    best = sorted((found for found in met if found[0]), key=lambda found: (-found[0], found[1]))
    for _, number in best[:_LINES_EACH]:
        yield evidence.lines[number].text


def _finding(text: str, evidence_ids: Sequence[EvidenceId] = (), about: str = "") -> _Finding:
    shown = _cut(text)
    return _Finding(text=shown, words=_set(f"{text} {about}"), evidence_ids=tuple(evidence_ids))


def _ranked(words: Counter[str], findings: Sequence[_Finding]) -> list[_Finding]:
    """Those that hold enough of the question's words, best first; a word that every finding holds counts for
    nothing."""
    often = Counter(word for one in findings for word in one.words)
    weights = {word: log((1 + len(findings)) / (1 + often[word])) for word in words if often[word]}
    whole = fsum(weights.values()) + sum(1.0 for word in words if not often[word])
    if not weights or whole <= 0:
        return [one for one in findings if words.keys() & one.words] if words else []
    scored = [
        (fsum(weights.get(word, 0.0) for word in one.words) / whole, -number, one)
        for number, one in enumerate(findings)
    ]
    kept = sorted((found for found in scored if found[0] >= _LEAST), key=lambda found: (-found[0], -found[1]))
    return list({found[2].text: found[2] for found in kept}.values())


def _words(text: str) -> Counter[str]:
    return Counter(_stems(text))


def _set(text: str) -> frozenset[str]:
    return frozenset(_stems(text.lower()))


def _stems(text: str) -> Iterable[str]:
    for match in _WORD.finditer(text):
        for word in {match[0], *re.split(r"[._-]", match[0])}:
            if len(word) > 1 and word not in _STOP:
                yield _stem(_SAME.get(word, word))


def _stem(word: str) -> str:
    for end in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(end) and len(word) - len(end) >= 4:
            return word[: -len(end)]
    return word


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _LONG else f"{one[: _LONG - 1].rstrip()}…"


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
