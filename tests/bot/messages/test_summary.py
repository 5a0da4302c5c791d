"""What is said of an incident once it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from bot.domain.diagnosis import Cost, ModelNote, ModelState, Origin
from bot.domain.incident import IncidentState
from bot.domain.message import Code
from bot.domain.summary import Finding, TimelineEntry
from bot.messages.summary import summary_reply, whole_summary
from bot.messages.view import IncidentView
from tests.contracts.store_nouns import NOW, incident, summary
from tests.fakes.room import as_text

OVER = incident(state=IncidentState.RESOLVED, resolved_at=NOW + timedelta(minutes=42))
LONG = tuple(TimelineEntry(at=NOW + timedelta(minutes=n), what=f"event {n}") for n in range(25))
PATCH = "--- a/cart.md\n+++ b/cart.md\n@@ -1 +1,2 @@\n one\n+two\n"


def view(**changes: object) -> IncidentView:
    made = IncidentView(
        incident=OVER, change=1, alerts=(), diagnosis=None, remediation=None, requests=(), summary=summary()
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of IncidentView


def lines_of(text: str, title: str) -> list[str]:
    after = text.partition(f"{title}\n")[2].split("\n")
    return after[: next((n for n, line in enumerate(after) if not line.startswith("- ")), len(after))]


def test_a_short_timeline_is_told_whole_and_a_long_one_says_what_it_leaves_out() -> None:
    short = lines_of(as_text(summary_reply(summary(timeline=LONG[:10]), OVER)), "Timeline")
    assert len(short) == 10
    assert not any("more in between" in line for line in short)
    long = lines_of(as_text(summary_reply(summary(timeline=LONG, earlier=7), OVER)), "Timeline")
    assert len(long) == 10
    assert long[4] == "- … 23 more in between"
    assert (long[3][-7:], long[5][-8:], long[-1][-8:]) == ("event 3", "event 20", "event 24")
    whole = lines_of(as_text(whole_summary(view(summary=summary(timeline=LONG)))), "Timeline")
    assert len(whole) == 25


def test_the_patch_stands_whole_or_not_at_all() -> None:
    said = summary_reply(summary(runbook_patch=PATCH), OVER)
    assert [block.text for block in said.blocks if isinstance(block, Code)] == [PATCH]
    big = summary(runbook_patch=PATCH + "+more\n" * 1_000)
    reply = summary_reply(big, OVER)
    assert not any(isinstance(block, Code) for block in reply.blocks)
    assert f"too long for here, see !assent summary {OVER.short_id}" in as_text(reply)
    whole = whole_summary(view(summary=big))
    assert [block.text for block in whole.blocks if isinstance(block, Code)] == [big.runbook_patch]


def test_without_a_patch_it_says_why_and_shows_what_to_add() -> None:
    said = as_text(
        summary_reply(
            summary(runbook_patch=None, runbook_section="## Seen\n", runbook_reason="it is a web page"), OVER
        )
    )
    assert "to be added by hand: it is a web page" in said
    assert "## Seen" in said


def test_it_is_said_where_what_is_shown_is_not_what_stands_in_the_runbook() -> None:
    linked = PATCH.replace(" one\n", " see https://wiki.example/x\n")
    assert "are broken up here" in as_text(summary_reply(summary(runbook_patch=linked), OVER))
    assert "are broken up here" not in as_text(summary_reply(summary(runbook_patch=PATCH), OVER))


def test_a_models_words_are_told_from_the_rules() -> None:
    made = summary(
        origin=Origin.MODEL,
        cause=(*summary().cause, Finding(text="since 02:00", origin=Origin.MODEL)),
        note=ModelNote(state=ModelState.VERIFIED, model="fast"),
        cost=Cost(seconds=1.0, usd=Decimal("0.0123")),
    )
    said = as_text(summary_reply(made, OVER))
    assert "- a leak ev_1" in said
    assert "- the model adds: since 02:00" in said
    assert "by model · 0.0123 USD" in said
    failed = ModelNote(state=ModelState.FAILED, reason="it did not answer in time", kind="timeout")
    assert "by rules · model: it did not answer in time" in as_text(summary_reply(summary(note=failed), OVER))


def test_where_nothing_would_have_found_it_sooner_it_says_so() -> None:
    said = as_text(summary_reply(summary(sooner=()), OVER))
    assert "What would have found it sooner\n- nothing that can be told" in said


def test_an_incident_without_a_summary_says_when_there_is_one() -> None:
    assert "has no summary yet" in as_text(whole_summary(view(summary=None)))


def test_it_says_how_long_it_lasted_whatever_came_after_the_end() -> None:
    ends = TimelineEntry(at=NOW + timedelta(minutes=42), what="resolved")
    late = TimelineEntry(at=NOW + timedelta(minutes=43), what="ben approved it")
    said = summary_reply(summary(timeline=(*summary().timeline, ends, late), reopened=2), OVER)
    assert said.title == f"📝 Summary of {OVER.short_id}: 42m, opened again ×2"
