"""What people type becomes a command, or an answer that helps them."""

import string
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.model import (
    Approve,
    Ask,
    Help,
    Investigate,
    Past,
    Pause,
    Propose,
    Reject,
    Rerun,
    Resume,
    Show,
    Status,
    Summary,
    Whoami,
    Why,
)
from bot.commands.parser import MAX_LENGTH, USAGE, ParseError, parse, parse_in_thread


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("help", Help()),
        ("", Help()),
        ("?", Help()),
        ("  STATUS ", Status()),
        ("/status", Status()),
        ("show K7QX", Show(incident="K7QX")),
        ("show #k7qx", Show(incident="K7QX")),
        ("show", Show()),
        ("why K7QX", Why(incident="K7QX")),
        ("summary", Summary()),
        ("summary #k7qx", Summary(incident="K7QX")),
        ("past", Past()),
        ("past disk Full", Past(words=("disk", "Full"))),
        ("rerun", Rerun()),
        ("approve", Approve()),
        ("approve K7QX", Approve(incident="K7QX")),
        ("approve K7QX 1A2B3C4D", Approve(incident="K7QX", digest="1a2b3c4d")),
        ("approve 1a2b3c4d", Approve(digest="1a2b3c4d")),
        ("reject K7QX too risky now", Reject(incident="K7QX", reason="too risky now")),
        ("reject too risky now", Reject(reason="too risky now")),
        ("reject", Reject()),
        ("investigate disk is slow on nas", Investigate(text="disk is slow on nas")),
        ("pause maintenance until noon", Pause(reason="maintenance until noon")),
        ("pause", Pause()),
        ("resume", Resume()),
        ("whoami", Whoami()),
        ("ask why is it slow?", Ask(text="why is it slow?")),
        ("ask K7QX why is it slow", Ask(text="why is it slow", incident="K7QX")),
        ("ask #k7qx Since when?", Ask(text="Since when?", incident="K7QX")),
        ("ask approve this", Ask(text="approve this")),
        ("propose process.restart", Propose(action="process.restart")),
        (
            "propose process.restart process=cart K7QX",
            Propose(action="process.restart", params=(("process", "cart"),), incident="K7QX"),
        ),
        (
            'propose alertmanager.silence #k7qx matchers=a=b,c=d comment="until noon, see ops" n=5',
            Propose(
                action="alertmanager.silence",
                params=(("matchers", "a=b,c=d"), ("comment", "until noon, see ops"), ("n", "5")),
                incident="K7QX",
            ),
        ),
        ("propose a comment=“from a phone”", Propose(action="a", params=(("comment", "from a phone"),))),
    ],
)
def test_what_people_type_is_understood(text: str, command: object) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("aprove K7QX", "approve"), ("statsu", "status"), ("rejcet", "reject"), ("puase", "pause")],
)
def test_a_misspelt_command_names_the_nearest_one(typo: str, meant: str) -> None:
    answer = parse(typo)
    assert isinstance(answer, ParseError)
    assert answer.nearest == meant


def test_words_far_from_every_command_get_no_suggestion() -> None:
    answer = parse("qqqqqqqq")
    assert isinstance(answer, ParseError)
    assert answer.nearest is None


def test_a_quoted_approval_approves_nothing() -> None:
    assert parse("> approve K7QX\nstatus") == Status()
    assert parse("> approve K7QX") == Help()


def test_an_approval_inside_a_code_block_approves_nothing() -> None:
    assert parse("```\napprove K7QX\n```\nshow K7QX") == Show(incident="K7QX")
    assert parse("```approve K7QX") == Help()


def test_an_id_that_cannot_exist_is_refused_by_name() -> None:
    answer = parse("show K7Q0")
    assert isinstance(answer, ParseError)
    assert "K7Q0" in answer.reason


def test_approve_with_trailing_words_is_refused_rather_than_guessed() -> None:
    assert isinstance(parse("approve K7QX please"), ParseError)


def test_resume_with_trailing_words_is_refused_rather_than_guessed() -> None:
    assert isinstance(parse("resume not yet!"), ParseError)


@pytest.mark.parametrize(
    "text",
    [
        "ask",
        "ask K7QX",
        "propose",
        "propose process.restart cart",
        "propose process.restart process=cart please restart it",
        "propose process.restart process=a process=b",
        "propose process.restart K7QX K7QY",
        'propose alertmanager.silence comment="never closed',
    ],
)
def test_what_lacks_a_part_is_refused_rather_than_guessed(text: str) -> None:
    assert isinstance(parse(text), ParseError)


def test_the_quoted_part_of_a_question_is_not_asked() -> None:
    assert parse("> approve K7QX\nask is that wise?\n```\nreject\n```") == Ask(text="is that wise?")


@pytest.mark.parametrize(
    "text",
    ["is it the database?", "why is cart slow?", "why?", "show me the memory?", "could we restart it?"],
)
def test_in_a_thread_what_is_no_command_and_ends_with_a_question_mark_is_a_question(text: str) -> None:
    assert parse_in_thread(text) == Ask(text=text)
    assert isinstance(parse(text), ParseError)


@pytest.mark.parametrize(
    "text",
    [
        "approve?", "Approve ?", "approve it?", "approve K7QX?", "aprove?", "approved?", "apporve this?",
        "/approve?", "reject?", "resume?", "resume now?", "pause?", "rerun?", "propose?", "investigate?",
        "propose process.restart cart?",
    ],
)  # fmt: skip
def test_what_begins_like_a_decision_is_neither_that_nor_a_question(text: str) -> None:
    assert isinstance(parse_in_thread(text), ParseError)


@pytest.mark.parametrize("text", ["is it the database", "hello", "x" * MAX_LENGTH + "?", "> really?\nhello"])
def test_what_is_no_question_in_a_thread_gets_the_usual_help(text: str) -> None:
    assert parse_in_thread(text) == parse(text)
    assert isinstance(parse(text), ParseError)


@given(st.text(max_size=200))
def test_a_thread_makes_questions_and_nothing_else_of_what_is_no_command(text: str) -> None:
    anywhere, there = parse(text), parse_in_thread(text)
    assert there == anywhere or (isinstance(anywhere, ParseError) and isinstance(there, Ask))


def test_a_wall_of_text_is_refused_without_being_parsed() -> None:
    assert isinstance(parse("status " * MAX_LENGTH), ParseError)


def test_help_lists_every_command_there_is() -> None:
    documented = {syntax.split()[0] for syntax, _ in USAGE}
    known = {"help", "status", "show", "why", "approve", "reject", "investigate", "rerun", "pause", "resume"}
    assert documented == known | {"whoami", "ask", "propose", "summary", "past"}


@given(st.text(max_size=300))
def test_any_text_gives_a_command_or_a_reason(text: str) -> None:
    answer = parse(text)
    if isinstance(answer, ParseError):
        assert answer.reason


@given(st.text(alphabet=string.ascii_letters + string.digits + " #`>\n", max_size=200))
def test_only_text_that_begins_with_approve_approves(text: str) -> None:
    answer = parse(text)
    if isinstance(answer, Approve):
        visible = [line for line in text.splitlines() if not line.lstrip().startswith(">")]
        assert "approve" in " ".join(visible).lower()
        assert {field.name for field in fields(answer)} == {"incident", "digest"}
