"""How a message looks as Matrix events."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.matrix.content import (
    edit_of,
    html_text,
    plain_text,
    size,
    text_content,
    transaction_id,
)
from bot.domain.message import Bullets, Code, Fields, Message, Paragraph, Span, Tone

ALLOWED = {"p", "strong", "font", "br", "ul", "li", "code", "pre", "a"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name == "href"]
        assert all(name in ("href", "color", "data-mx-color") for name, _ in attrs), attrs


def test_every_kind_of_block_is_shown_in_both_forms() -> None:
    message = Message(
        title="K7QX down",
        tone=Tone.CRITICAL,
        blocks=(
            Paragraph(
                spans=(
                    Span(text="a < b ", strong=True),
                    Span(text="up", code=True),
                    Span(text=" dashboard", link="https://grafana.example.org/d/1?a=1&b=2"),
                )
            ),
            Bullets(title="Ruled out", items=((Span(text="disk"),), (Span(text="cpu"),))),
            Fields(pairs=(("Target", (Span(text="checkout"),)),)),
            Code(text="<script>alert(1)</script>"),
        ),
    )
    assert plain_text(message) == (
        "K7QX down\n"
        "a < b up dashboard (https://grafana.example.org/d/1?a=1&b=2)\n"
        "Ruled out\n- disk\n- cpu\n"
        "Target: checkout\n"
        "<script>alert(1)</script>"
    )
    assert html_text(message) == (
        '<p><font color="#c0392b" data-mx-color="#c0392b"><strong>K7QX down</strong></font></p>'
        "<p><strong>a &lt; b </strong><code>up</code>"
        '<a href="https://grafana.example.org/d/1?a=1&amp;b=2"> dashboard</a></p>'
        "<p>Ruled out</p><ul><li>disk</li><li>cpu</li></ul>"
        "<p><strong>Target:</strong> checkout</p>"
        "<pre><code>&lt;script&gt;alert(1)&lt;/script&gt;</code></pre>"
    )


@given(st.text())
def test_no_text_becomes_markup_or_a_link_wherever_it_stands(text: str) -> None:
    hostile = f'{text}<img src=x onerror="y"><a href="https://evil.com">{text}</a>&lt;b&gt;'
    span = (Span(text=hostile, untrusted=True),)
    message = Message(
        title=hostile,
        blocks=(
            Paragraph(spans=span),
            Bullets(items=(span,), title=hostile),
            Fields(pairs=((hostile, span),)),
            Code(text=hostile),
        ),
    )
    tags = Tags()
    tags.feed(html_text(message))
    assert tags.seen <= ALLOWED
    assert tags.links == []


def test_an_edit_carries_the_new_content_and_a_short_fallback() -> None:
    content = text_content(Message(title="done", blocks=(Code(text="x" * 1000),)), notify=True)
    edit = edit_of(content, "$target")
    assert edit["m.new_content"] == content
    assert edit["body"] == "* done"
    assert edit["m.relates_to"] == {"rel_type": "m.replace", "event_id": "$target"}
    assert edit["m.mentions"] == edit["m.new_content"]["m.mentions"] == {}


def test_sizes_are_bytes_not_characters() -> None:
    assert size({"body": "é"}) == len('{"body":"é"}'.encode())


def test_transaction_ids_are_stable_distinct_and_safe_in_a_path() -> None:
    ids = {
        transaction_id("k"),
        transaction_id("k", "seed ✅"),
        transaction_id("k", "part 1"),
        transaction_id("j"),
    }
    assert len(ids) == 4
    assert transaction_id("k") == transaction_id("k")
    assert all(len(value) == 64 and value.isalnum() for value in ids)
