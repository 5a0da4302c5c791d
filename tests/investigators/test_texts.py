"""Steps quoted from a runbook and open tickets: data, whatever they say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from adapters.evidence.build import Record, answered
from bot.domain.evidence import Evidence, LogLine, Window
from investigators.texts import open_tickets, runbook_steps, web_link
from tests.fakes.evidence import NOW

WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)


def runbook(text: str) -> Evidence:
    return answered(
        source="runbooks",
        kind="runbook.text",
        query="u",
        window=WINDOW,
        taken_at=NOW,
        summary="",
        subject="s",
        excerpt=text,
        lines=[LogLine(at=None, text=line) for line in text.split("\n")],
        link="https://wiki.example.com/rb",
    )


def tickets(*records: Record) -> Evidence:
    return answered(
        source="jira", kind="ticket.list", query="q", window=WINDOW, taken_at=NOW, summary="", subject="s",
        excerpt="", records=list(records),
    )  # fmt: skip


CASES: Sequence[tuple[str, str, list[str]]] = [
    (
        "a section of steps",
        "# Cart\n- its owner\n## Steps\n1. Look\n2. Drain\n3) Restart\n4. Tell\n## After\n- Rest",
        ["Look", "Drain", "Restart"],
    ),
    (
        "mitigation goes before diagnosis",
        "## Diagnosis\n- Read logs\n## Mitigation\n- Roll back",
        ["Roll back"],
    ),
    (
        "sections below belong to it",
        "## Remediation\n### First\n- [ ] One\n### Then\n* Two\n# End\n- Three",
        ["One", "Two"],
    ),
    ("a bold line is a heading", "**What to do:**\n- One\n**Owner**\n- shop", ["One"]),
    ("code is no step", "## Steps\n1. Run this\n```\n- rm -rf /\n```\n2. Wait", ["Run this", "Wait"]),
    ("a numbered list without a heading", "Hello\n1. One\n2. Two", ["One", "Two"]),
    ("a plain list without a heading says nothing", "Hello\n- Owner: shop\n- Room: cart", []),
    ("prose only", "## Steps\nThink first.", []),
    ("an empty text", "", []),
    ("an unended fence hides the rest", "## Steps\n```\n1. One\n2. Two", []),
]


@pytest.mark.parametrize(("text", "want"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_steps_are_quoted_from_where_a_runbook_gives_them(text: str, want: list[str]) -> None:
    steps = runbook_steps([runbook(text)])
    assert [one.text for one in steps] == want
    assert all(one.link == "https://wiki.example.com/rb" and one.source == "runbooks" for one in steps)


def test_a_long_step_is_cut_and_says_so() -> None:
    (step,) = runbook_steps([runbook("## Steps\n- " + "word " * 400)])
    assert len(step.text) <= 240
    assert step.text.endswith("…")


def test_a_page_of_odd_lines_is_read_in_time_that_grows_with_its_length() -> None:
    text = "\n".join(["#" + " " * 1_900 + "x", "- " + " " * 1_900, "**" + "a" * 1_900] * 600)
    assert runbook_steps([runbook(text)]) == ()


def test_only_open_tickets_are_listed_each_once() -> None:
    seen = tickets(
        {
            "key": "A-1",
            "summary": "cart is slow",
            "status": "In Progress",
            "url": "https://j.example.com/A-1",
        },
        {"key": "A-2", "summary": "old", "status": "Done"},
        {"key": "A-3", "summary": "odd", "status": "To Do", "url": "javascript:alert(1)"},
        {"key": "A-1", "summary": "again", "status": "In Progress"},
        {"key": "A-4", "summary": "gone", "status": "Won't Do"},
    )
    found = open_tickets([seen])
    assert [(one.key, one.link) for one in found] == [("A-1", "https://j.example.com/A-1"), ("A-3", None)]


@pytest.mark.parametrize("link", ["ftp://x", "https://x y", "https://x\n", 'https://x"', None, 3])
def test_an_odd_address_is_not_linked(link: object) -> None:
    assert web_link(link) is None
