"""Outside text loses its effects and nothing else; long messages lose nothing."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.rendering import neutral, safe_link, shorten, split
from bot.domain.message import Block, Bullets, Code, Fields, Message, Paragraph, Span, paragraph

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=60)
SPANS = st.lists(st.builds(Span, text=TEXT), min_size=1, max_size=3).map(tuple)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(Code, text=TEXT),
    st.builds(Paragraph, spans=SPANS),
    st.builds(Bullets, items=st.lists(SPANS, min_size=1, max_size=3).map(tuple)),
    st.builds(
        Fields,
        pairs=st.lists(st.tuples(st.sampled_from(["a", "b"]), SPANS), min_size=1, max_size=3).map(tuple),
    ),
)


def words(message: Message) -> str:
    """Every character a reader gets from the blocks, labels left out."""
    found = []
    for block in message.blocks:
        match block:
            case Code(text=text):
                found.append(text)
            case Paragraph(spans=spans):
                found += [span.text for span in spans]
            case Bullets(items=items):
                found += [span.text for item in items for span in item]
            case Fields(pairs=pairs):
                found += [span.text for _, spans in pairs for span in spans]
    return "".join(found)


def length(message: Message) -> int:
    return len(message.title) + len(words(message)) + 5 * len(message.blocks)


@given(st.lists(BLOCKS, max_size=5), st.integers(60, 200))
def test_a_split_message_fits_everywhere_and_loses_no_character(blocks: list[Block], limit: int) -> None:
    message = Message(title="a title", blocks=tuple(blocks))
    parts = split(message, lambda part: length(part) <= limit)
    assert all(length(part) <= limit for part in parts)
    assert "".join(words(part) for part in parts) == words(message)
    assert all(part.title.startswith("a title") for part in parts)


@given(st.lists(BLOCKS, max_size=5), st.integers(90, 200))
def test_a_shortened_message_fits_and_says_that_something_is_missing(blocks: list[Block], limit: int) -> None:
    message = Message(title="a title", blocks=tuple(blocks))
    short = shorten(message, lambda part: length(part) <= limit, "(cut)")
    assert length(short) <= limit
    if short != message:
        assert short.blocks[-1] == paragraph("(cut)")
        assert words(message).startswith(words(short).removesuffix("(cut)"))


def test_an_overlong_title_is_shortened_and_repeated_whole_below() -> None:
    message = Message(title="x" * 500, blocks=(paragraph("tail"),))
    parts = split(message, lambda part: length(part) <= 300)
    assert all(length(part) <= 300 for part in parts)
    assert "".join(words(part) for part in parts) == "x" * 500 + "tail"


def test_lines_stay_whole_where_they_can() -> None:
    text = "\n".join(f"line {number}" for number in range(40))
    parts = split(Message(title="t", blocks=(Code(text=text),)), lambda part: length(part) <= 100)
    assert all(words(part).endswith("\n") for part in parts[:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://evil.com/x?d=secret now", "see https[:]//evil[.]com/x?d=secret now"),
        ("HTTP://EVIL.COM", "HTTP[:]//EVIL[.]COM"),
        ("www.evil.com and sub.evil.co.uk", "www[.]evil[.]com and sub[.]evil[.]co[.]uk"),
        ("mailto:a javascript:b matrix:r", "mailto[:]a javascript[:]b matrix[:]r"),
        (
            "@room @everyone <@123> <@&9> @ana:example.org",
            "＠room ＠everyone <＠123> <＠&9> ＠ana:example[.]org",
        ),
        ("look at evil.com. wait...what", "look at evil[.]com. wait...what"),
        ("all@room", "all＠room"),
        (
            "evil.com_x evil.com-y evil.com.1 a.xn--p1ai",
            "evil[.]com_x evil[.]com-y evil[.]com[.]1 a[.]xn--p1ai",
        ),
        ("évil.com müller.де", "évil[.]com müller[.]де"),
        ("#ops:example.org <#42>", "＃ops:example[.]org <＃42>"),
        ("a\u202eb\u200bc\x1b[31mred\x1b[0m\U000e0041", "abcred"),
        ("node.log on 10.0.0.1:9100 image@sha256:abc", "node.log on 10.0.0.1:9100 image@sha256:abc"),
        (
            "checkout.default.svc.cluster.local 99.9% v1.2.3",
            "checkout.default.svc.cluster.local 99.9% v1.2.3",
        ),
    ],
)
def test_outside_text_loses_its_effects_and_stays_readable(text: str, expected: str) -> None:
    assert neutral(text) == expected


@pytest.mark.parametrize(
    "piece", ["a.", "a", "-", "a-", "@", "#a:", "x:", "\x1b[", "\x1b]", "www.", "ab.cd-", "<@", "http://"]
)
def test_text_made_to_be_slow_is_not(piece: str) -> None:
    started = time.process_time()
    neutral(piece * 30_000)
    assert time.process_time() - started < 2


def test_a_stack_trace_stays_legible_but_its_urls_do_not_work() -> None:
    text = "java.lang.NullPointerException at https://evil.com/x www.evil.com"
    shown = neutral(text, preformatted=True)
    assert shown == "java.lang.NullPointerException at https[:]//evil.com/x www[.]evil.com"


@given(st.text(st.sampled_from("hftps:/@.wevilcomrx room#<>\u200b\u202e\x1b[0m \n")))
def test_no_arrangement_of_pieces_makes_a_link_or_a_mention(text: str) -> None:
    shown = neutral(text)
    assert re.search(r"(?i)[a-z]://", shown) is None
    assert re.search(r"(?i)[a-z]\.com\b", shown) is None
    assert "@room" not in shown
    assert not set(shown) & set("\u200b\u202e\x1b")
    assert neutral(shown) == shown


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "ftp://host/x",
        "https://user:pass@host/",
        "https://",
        "https://host/\"onmouseover='x'",
        "https://host/a b",
        "https://[broken",
        "https://ho\u202est/",
        "data:text/html,x",
    ],
)
def test_odd_links_are_not_shown_as_links(link: str) -> None:
    assert safe_link(Span(text="x", link=link)) is None


def test_an_ordinary_link_stays() -> None:
    link = "http://grafana.internal:3000/d/abc?var-x=1&from=now-1h#panel"
    assert safe_link(Span(text="x", link=link)) == link
