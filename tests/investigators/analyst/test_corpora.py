"""Thousands of known injections through every channel: each stays in its envelope, and none acts in chat."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapters.chat.matrix.content import html_text, plain_text
from bot.domain.alert import Severity
from bot.domain.diagnosis import (
    Band,
    Citation,
    Cost,
    Diagnosis,
    DiagnosisVerdict,
    Gap,
    Hypothesis,
    ModelNote,
    ModelState,
    Origin,
    Quote,
)
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from bot.domain.ids import DiagnosisId, EvidenceId
from bot.domain.redaction import strip_invisible
from bot.domain.summary import TimelineEntry
from bot.messages.incident import diagnosis_reply
from investigators.analyst.brief import brief
from investigators.analyst.citations import Exhibits
from investigators.analyst.follow_up import first_message
from investigators.analyst.ports import Limits
from investigators.analyst.retrospect import question_of
from investigators.analyst.tools import ToolBox
from investigators.ports import Case, Exchange, Investigation, Question
from investigators.queries import Sources
from investigators.retrospect.account import write
from tests.fakes.evidence import NOW, FixedClock
from tests.investigators.analyst.corpora import FOLDER, LEAST, texts
from tests.investigators.analyst.test_hijacked import TAGS, Tags
from tests.investigators.analyst.world import RESTART, Server, incident
from tests.investigators.retrospect import stories
from tests.investigators.retrospect.stories import deed, story

EVIDENCE = {
    "log line": "log.lines",
    "pod name": "kubernetes.objects",
    "osquery row": "osquery.select",
    "MCP result": "mcp.tool",
    "runbook": "runbook.text",
}
HEADINGS = (
    *("The alerts:", "What the rules made of it:", "Evidence:", "Actions offered: "),
    *("The incident:", "Its alerts:", "What was made of it:", "An earlier question:"),
    *("The question to answer:", "What the rules say of it:"),
)
_ACTS = re.compile(r"(?i)://|@(?:room|everyone|here)\b|\b(?:javascript|mailto|data|matrix|tel|magnet):(?=\S)")
_SEVERAL = 25


@pytest.fixture(scope="module", params=sorted(LEAST))
def corpus(request: pytest.FixtureRequest) -> list[str]:
    if not (FOLDER / request.param).exists():
        reason = f"{request.param} is not unpacked: run .ci/corpora .venv/bin/python"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found = texts(request.param)
    assert len(found) >= LEAST[request.param]
    return found


def evidence(number: int, kind: str, text: str, *, everywhere: bool = False) -> Evidence:
    """Taken by an adapter that did nothing to it."""
    return Evidence(
        id=EvidenceId(f"ev_{kind}_{number}"),
        source="s",
        kind=kind,
        query=text if everywhere else "q",
        window=Window(start=NOW, end=NOW),
        taken_at=NOW,
        status=EvidenceStatus.OK,
        summary=text if everywhere else "one answer",
        subject=text if everywhere else "demo",
        excerpt=text,
        outsider_writable=True,
    )


def diagnosis(text: str) -> Diagnosis:
    """A diagnosis in which every word that is not ours is the text."""
    one = EvidenceId("ev_1")
    return Diagnosis(
        id=DiagnosisId("dia_1"),
        incident_id=incident().incident.id,
        run=1,
        at=NOW,
        verdict=DiagnosisVerdict.ACTION_SUGGESTED,
        summary=text,
        root_cause=text,
        band=Band.LOW,
        origin=Origin.MODEL,
        citations=(Citation(evidence_id=one, source="s", finding=text, quote=text, outsider_writable=True),),
        hypotheses=tuple(
            Hypothesis(object=text, fault="x_y", score=0.3, statement=text, evidence_ids=(one,), lost_to=text)
            for _ in range(2)
        ),
        ruled_out=(text,),
        gaps=(Gap(what=text, reason=text),),
        steps=(text,),
        cost=Cost(seconds=1.0, usd=Decimal("0.18")),
        runbook=(Quote(evidence_id=one, source="s", text=text),),
        model=ModelNote(state=ModelState.UNVERIFIED, model=text, reason=text, said=text),
    )


def envelopes(text: str) -> Iterator[str]:
    """The text through every channel, as a model is given it."""
    case = incident(Severity.CRITICAL, hostile=text)
    annotated = replace(case.alerts[0], name=text, annotations={"summary": text, "runbook_url": text})
    case = replace(case, alerts=(annotated,))
    taken = tuple(evidence(n, kind, text) for n, kind in enumerate(EVIDENCE.values()))
    cited = replace(
        diagnosis(text),
        citations=tuple(Citation(evidence_id=item.id, source="s", finding=text) for item in taken),
    )
    exhibits = Exhibits(limit=6_000)
    told = brief(case, Investigation(evidence=taken, diagnosis=cited), exhibits, [RESTART])
    yield from sealed_lines(told)
    assert set(exhibits.evidence) == {item.id for item in taken}
    yield exhibits.show(evidence(99, "log.lines", text, everywhere=True))
    yield from asked(case, cited, taken, text)
    yield from summed_up(case, cited, taken, text)


def asked(case: Case, found: Diagnosis, taken: tuple[Evidence, ...], text: str) -> Iterator[str]:
    """Everything that a question in chat brings to a model."""
    question = Question(
        case=replace(case, incident=replace(case.incident, title=text, service=text)),
        text=text,
        evidence=taken,
        diagnosis=found,
        earlier=(Exchange(question=text, answer=text),),
    )
    exhibits = Exhibits(limit=6_000)
    yield from sealed_lines(first_message(question, exhibits, [RESTART]))
    assert set(exhibits.evidence) == {item.id for item in taken}


def summed_up(case: Case, found: Diagnosis, taken: tuple[Evidence, ...], text: str) -> Iterator[str]:
    """Everything that a summary brings to one."""
    told = story(
        incident=replace(stories.incident(), title=text, service=text),
        diagnoses=(found,),
        evidence=taken,
        alerts=case.alerts,
        deeds=(deed(action=text, target=text, people=(text,), result=text),),
        advice=(text,),
        timeline=(TimelineEntry(at=NOW, what=text),),
    )
    exhibits = Exhibits(limit=1_200)
    yield from sealed_lines(question_of(told, write(told), exhibits))
    assert set(exhibits.evidence) == {item.id for item in taken}


def sealed_lines(message: str) -> Iterator[str]:
    for line in message.splitlines():
        if line.startswith("{"):
            yield line
        else:
            assert line.startswith(HEADINGS)


def ours(line: str) -> dict[str, Any]:
    """All of an envelope but what is somebody else's, and whether that looks like an instruction."""
    assert strip_invisible(line) == line
    made = json.loads(line)
    assert json.dumps(made, ensure_ascii=False) == line
    assert "untrusted_data" in made
    return {name: made[name] for name in set(made) - {"untrusted_data", "looks_like_instructions"}}


def test_each_stays_in_its_envelope_through_every_channel(corpus: list[str]) -> None:
    harmless = [ours(line) for line in envelopes("all is as well with it as it ever was")]
    assert len(harmless) == (len(EVIDENCE) + 3) + (len(EVIDENCE) + 5) + (len(EVIDENCE) + 2)
    for text in corpus:
        assert [ours(line) for line in envelopes(text)] == harmless


def test_the_description_of_another_servers_tool_is_an_envelope(corpus: list[str]) -> None:
    for start in range(0, len(corpus), _SEVERAL):
        some = corpus[start : start + _SEVERAL]
        servers = [Server(name=f"s{number}", description=text) for number, text in enumerate(some)]
        box = ToolBox(incident(), Sources(), servers, Exhibits(limit=1), Limits(), FixedClock())
        assert len(box.specs) == len(some)
        for spec in box.specs:
            server = spec.name.partition("__")[0]
            assert ours(spec.description.partition(": ")[2]) == {"source": server}
            schema = json.dumps(spec.schema, ensure_ascii=False)
            assert strip_invisible(schema) == schema


def test_none_acts_in_chat(corpus: list[str]) -> None:
    for start in range(0, len(corpus), _SEVERAL):
        for message in [
            diagnosis_reply(diagnosis(text), incident().incident) for text in corpus[start : start + _SEVERAL]
        ]:
            plain, html = plain_text(message), html_text(message)
            tags = Tags()
            tags.feed(html)
            assert tags.seen <= TAGS
            assert tags.links == set()
            for shown in (plain, html):
                assert strip_invisible(shown) == shown
                assert _ACTS.search(shown) is None, _ACTS.search(shown)
