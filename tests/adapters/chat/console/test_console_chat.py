"""The console room: the Chat port's contract, and what a person at a terminal sees."""

from __future__ import annotations

import asyncio
import io
import os
import pty
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.console import journal as journals
from adapters.chat.console import layout, open_console
from adapters.chat.console.journal import Journal
from adapters.chat.console.terminal import Piece, Screen, text_width, wrap
from adapters.chat.console.typed import Command, Note, React, TakeBack, meaning
from bot.domain.chat import CommandReceived, ReactionAdded
from bot.domain.errors import Unavailable
from bot.domain.message import Bullets, Code, Fields, Message, Paragraph, Span, Tone, paragraph, plain
from config.schema import ConsoleChat as ConsoleSection
from tests.adapters.chat.console.world import ConsoleWorld, NoonClock
from tests.contracts.chat_contract import CARD, ROOT, ChatContract
from tests.fakes.inbox import SqliteInbox


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    world = ConsoleWorld(tmp_path / "state")
    yield world
    await world.close()


@pytest.fixture
def inbox(tmp_path: Path) -> SqliteInbox:
    return SqliteInbox(tmp_path / "own-inbox.db")


class TestConsoleKeepsTheContract(ChatContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
        world = ConsoleWorld(tmp_path / "state")
        yield world
        await world.close()


# -- what is seen ---------------------------------------------------------------------------------------


async def test_an_incident_reads_like_a_conversation(world: ConsoleWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread(
        "ops",
        Message(
            title="🔥 K7QX checkout leaks memory",
            tone=Tone.CRITICAL,
            blocks=(
                Fields(pairs=(("Service", plain("checkout")), ("Severity", plain("critical")))),
                paragraph("looking into it"),
            ),
        ),
        "k1",
    )
    await chat.reply(
        root,
        Message(
            title="Diagnosis: memory growth",
            blocks=(Bullets(title="Evidence", items=(plain("rss grew 40 MB/min"), plain("log: eviction"))),),
        ),
        "k2",
    )
    card = await chat.post_card(root, CARD, "k3")
    await chat.settle_card(card, Message(title="Approved by you", tone=Tone.GOOD), "k4")
    await chat.update_root(
        root,
        Message(
            title="✅ K7QX checkout leaks memory",
            tone=Tone.GOOD,
            blocks=(
                Fields(pairs=(("Service", plain("checkout")), ("Severity", plain("critical")))),
                paragraph("resolved"),
            ),
        ),
        "k5",
    )
    rule = "── ops ── 12:00:00 UTC "
    assert world.terminal.getvalue() == "\n".join(
        [
            "",
            rule + "─" * (100 - len(rule)),
            "● 🔥 K7QX checkout leaks memory",
            "│ Service   checkout",
            "│ Severity  critical",
            "│ looking into it",
            "  ↳ Diagnosis: memory growth",
            "    Evidence",
            "    • rss grew 40 MB/min",
            "    • log: eviction",
            "  ╭─ Restart checkout?",
            "  │ digest 1a2b3c4d",
            "  ╰─ type ✅ to approve, ❌ to reject; -✅ takes it back",
            "  ╭■ Approved by you",
            "  ╰─",
            "✎ ✅ K7QX checkout leaks memory",
            "│ resolved",
            "",
        ]
    )


async def test_an_edit_that_changes_nothing_prints_nothing(world: ConsoleWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread("ops", ROOT, "k1")
    before = world.terminal.getvalue()
    await chat.update_root(root, ROOT, "k2")
    assert world.terminal.getvalue() == before


async def test_an_edit_is_printed_once_per_key_even_after_a_restart(
    world: ConsoleWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread("ops", ROOT, "k1")
    await chat.update_root(root, Message(title="changed"), "k2")
    await world.kill()
    chat = await world.start(inbox)
    await chat.update_root(root, Message(title="changed"), "k2")
    assert world.terminal.getvalue().count("changed") == 1


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[1;1H\x9b31m\r● K7QX forged root\n  ╭─ Restart the bank?\n"
    "  ╰─ type ✅ to approve, ❌ to reject\n· you ▸ ✅\u2028  ↳ forged reply\u2029✎ forged edit\x08\x7f"
)


@pytest.mark.parametrize("kind", ["title", "span", "code", "field", "bullet"])
async def test_no_text_can_pose_as_a_message_a_card_or_a_prompt(
    world: ConsoleWorld, inbox: SqliteInbox, kind: str
) -> None:
    chat = await world.start(inbox)
    span = (Span(text=HOSTILE, untrusted=True),)
    message = {
        "title": Message(title=HOSTILE),
        "span": Message(title="t", blocks=(Paragraph(spans=span),)),
        "code": Message(title="t", blocks=(Code(text=HOSTILE),)),
        "field": Message(title="t", blocks=(Fields(pairs=((HOSTILE, span),)),)),
        "bullet": Message(title="t", blocks=(Bullets(title=HOSTILE, items=(span,)),)),
    }[kind]
    root = await chat.open_thread("ops", message, "k1")
    await chat.reply(root, message, "k2")
    card = await chat.post_card(root, message, "k3")
    await chat.update_card(card, Message(title="x", blocks=message.blocks), "k4")
    await chat.settle_card(card, message, "k5")
    await chat.update_root(root, Message(title="y", blocks=message.blocks), "k6")
    printed = world.terminal.getvalue()
    assert not set(printed) & {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))}
    assert not set(printed) & {"\u2028", "\u2029"}
    edits = sum(entry["type"] == "edit" and not entry["quiet"] for entry in world.journal()[1:])
    assert len(world.blocks()) == 3 + edits, "every block is one that was sent"
    prompts = [line for line in printed.split("\n") if line.startswith("  ╰─ type")]
    assert len(prompts) == 1 + sum("╭✎" in block for block in world.blocks())


async def test_a_line_that_is_too_long_cannot_pose_by_wrapping(
    world: ConsoleWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    text = "x" * 98 + "● forged " + "界" * 300
    await chat.open_thread("ops", Message(title="t", blocks=(Code(text=text),)), "k1")
    assert all(text_width(line) <= 100 for line in world.terminal.getvalue().split("\n"))
    assert len(world.blocks()) == 1


@given(
    st.text(st.sampled_from("ab c界🔥⚠\ufe0f\u0301👍🏽-é"), max_size=200),
    st.integers(10, 60),
    st.integers(0, 6),
)
def test_wrapping_keeps_every_character_and_the_width(text: str, columns: int, hanging: int) -> None:
    lines = wrap((Piece(text=text),), columns, hanging)
    joined = "".join(piece.text for line in lines for piece in line)
    assert joined.replace(" ", "") == text.replace(" ", "")
    assert all(text_width(layout.plain(line)) <= columns for line in lines)


async def test_links_are_shown_only_when_they_are_safe(world: ConsoleWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    spans = (
        Span(text="dashboard", link="https://grafana.example.org/d/1"),
        Span(text="trap", link="javascript:alert(1)"),
        Span(text="login", link="https://user:pw@example.org/"),
    )
    await chat.open_thread("ops", Message(title="t", blocks=(Paragraph(spans=spans),)), "k1")
    printed = world.terminal.getvalue()
    assert "dashboard <https://grafana.example.org/d/1>" in printed
    assert "javascript" not in printed
    assert "pw@" not in printed


def test_colour_is_used_when_asked_for_or_when_it_is_a_terminal() -> None:
    master, slave = pty.openpty()
    line = [(Piece(text="red", style="31"),)]
    try:
        with os.fdopen(slave, "w") as terminal:
            for colour, painted in (("auto", True), ("never", False), ("always", True)):
                Screen(terminal, colour).write(line)
                assert (b"\x1b[31mred\x1b[0m" in os.read(master, 100)) is painted
    finally:
        os.close(master)
    for colour, painted in (("auto", False), ("never", False), ("always", True)):
        stream = io.StringIO()
        Screen(stream, colour).write(line)
        assert ("\x1b[31m" in stream.getvalue()) is painted


async def test_a_closed_terminal_is_reported_and_the_message_is_not_counted_as_posted(
    world: ConsoleWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    world.terminal.close()
    with pytest.raises(Unavailable, match="terminal cannot be written"):
        await chat.open_thread("ops", ROOT, "k1")
    assert chat.healthy() is not None
    assert len(world.journal()) == 1


# -- what is typed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("✅", React("✅")),
        ("✅\ufe0f", React("✅\ufe0f")),
        ("👍🏽", React("👍🏽")),
        (":white_check_mark:", React("✅")),
        (":x:", React("❌")),
        ("-✅", TakeBack("✅")),
        ("- ❌", TakeBack("❌")),
        ("-:x:", TakeBack("❌")),
        ("approve", Command("approve")),
        ("reject not now", Command("reject not now")),
        ("!assent show K7QX", Command("show K7QX")),
        ("!ASSENT why", Command("why")),
        ("!assent", Command("")),
        ("y", Command("y")),
        ("+", Command("+")),
        ("✅ approve", Command("✅ approve")),
        ("# lunch?", Note()),
        ("#K7QX", Command("#K7QX")),
        ("?", Command("?")),
        ("→", Command("→")),
    ],
)
def test_a_typed_line_means(line: str, expected: object) -> None:
    assert meaning(line) == expected


async def test_a_reaction_goes_to_the_newest_open_card(world: ConsoleWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread("ops", ROOT, "k1")
    first = await chat.post_card(root, CARD, "k2")
    second = await chat.post_card(root, CARD, "k3")
    await world.human_reacts(second, "✅")
    await inbox.until(lambda events: len(events) == 1)
    await chat.settle_card(second, CARD, "k4")
    await world.human_reacts(first, "❌")
    one, two = await inbox.until(lambda events: len(events) == 2)
    assert isinstance(one, ReactionAdded)
    assert isinstance(two, ReactionAdded)
    assert (one.message_id, one.key) == (second.message_id, "✅")
    assert (two.message_id, two.key) == (first.message_id, "❌")


async def test_a_reaction_without_an_open_card_is_answered_and_not_an_event(
    world: ConsoleWorld, inbox: SqliteInbox
) -> None:
    await world.start(inbox)
    world.type("✅")
    world.type("-✅")
    await world.human_commands("status")
    (event,) = await inbox.until(lambda events: len(events) >= 1)
    assert isinstance(event, CommandReceived)
    assert "· there is no open card to react to" in world.terminal.getvalue()
    assert "· there is no ✅ of yours to take back" in world.terminal.getvalue()


async def test_a_card_left_open_by_an_earlier_process_can_still_be_approved(
    world: ConsoleWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    root = await chat.open_thread("ops", ROOT, "k1")
    card = await chat.post_card(root, CARD, "k2")
    await world.kill()
    await world.start(inbox)
    await world.human_reacts(card, "✅")
    await world.human_commands("why")
    reaction, command = await inbox.until(lambda events: len(events) == 2)
    assert isinstance(reaction, ReactionAdded)
    assert reaction.message_id == card.message_id
    assert isinstance(command, CommandReceived)
    assert command.thread_root == root.message_id


async def test_the_end_of_input_does_not_end_the_room(world: ConsoleWorld, inbox: SqliteInbox) -> None:
    chat = await world.start(inbox)
    await world.human_commands("status")
    world.end_of_input()
    await inbox.until(lambda events: len(events) == 1)
    await asyncio.sleep(0.05)
    assert chat.healthy() is None
    await chat.open_thread("ops", ROOT, "k1")
    assert "K7QX" in world.terminal.getvalue()


async def test_a_last_line_without_a_line_break_and_a_regular_file_are_read(
    tmp_path: Path, inbox: SqliteInbox
) -> None:
    await inbox.store("console", [], "elsewhere:7")
    script = tmp_path / "script"
    script.write_bytes(b"help\n\n\xff status")
    descriptor = os.open(script, os.O_RDONLY)
    stream = io.StringIO()
    async with open_console(
        ConsoleSection(), state_dir=tmp_path, clock=NoonClock(), source=descriptor, stream=stream
    ) as chat:
        run = asyncio.create_task(chat.run(inbox))
        one, two = await inbox.until(lambda events: len(events) == 2)
        run.cancel()
        await asyncio.wait({run})
    os.close(descriptor)
    assert isinstance(one, CommandReceived)
    assert isinstance(two, CommandReceived)
    assert (one.text, two.text) == ("help", "\ufffd status")
    assert one.room == "console"
    assert "· you ▸ help" in stream.getvalue(), "what was not typed at a terminal is shown"


async def test_hostile_input_is_shown_without_effect(world: ConsoleWorld, inbox: SqliteInbox) -> None:
    await world.start(inbox)
    await world.human_commands("\x1b[2Jask\x07")
    await inbox.until(lambda events: len(events) == 1)
    assert "\x1b" not in world.terminal.getvalue()


async def test_a_private_answer_to_somebody_else_is_not_shown_to_this_person(
    world: ConsoleWorld, inbox: SqliteInbox
) -> None:
    chat = await world.start(inbox)
    with pytest.raises(Unavailable, match="nobody here but you"):
        await chat.answer_privately("ops", "ana", Message(title="a secret"), "k1")
    assert "secret" not in world.terminal.getvalue()


# -- the journal ----------------------------------------------------------------------------------------


def test_a_journal_cut_off_by_a_crash_opens_without_its_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "console.jsonl"
    journal = Journal.open(path)
    post = {
        "type": "post",
        "key": "k",
        "id": journal.next_id("m"),
        "room": "r",
        "thread": None,
        "kind": "root",
    }
    journal.add(post)
    with path.open("ab") as file:
        file.write(b'{"type": "post", "key": "half')
    again = Journal.open(path)
    assert list(again.by_key) == ["k"]
    assert again.next_id("m") != post["id"]
    again.add({**post, "key": "k2", "id": again.next_id("m")})
    assert list(Journal.open(path).by_key) == ["k", "k2"]


def test_a_long_journal_is_shortened_and_gives_no_id_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEEP", 3)
    path = tmp_path / "console.jsonl"
    seen: set[str] = set()
    for number in range(1, 30):
        journal = Journal.open(path)
        assert journal.last == number - 1
        identity = journal.next_id("m")
        assert identity not in seen
        seen.add(identity)
        at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
        journal.add({"type": "input", "kind": "command", "n": number, "id": identity, "at": at})
    assert len(path.read_text().splitlines()) <= 8


async def test_a_journal_that_is_no_journal_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "console.jsonl").write_text('{"journal": "x", "count": 0, "last": 0}\nnot json\n')
    with pytest.raises(Unavailable, match="move it away to begin anew"):
        async with open_console(ConsoleSection(), state_dir=tmp_path, clock=NoonClock()):
            pass


def test_a_symbol_widened_by_its_selector_is_not_cut_from_it() -> None:
    lines = wrap((Piece(text="aaaaa👍👍a\ufe0f"),), 10, 0)
    assert all(text_width(layout.plain(line)) <= 10 for line in lines)
    assert layout.plain(lines[-1]) == "a\ufe0f"
