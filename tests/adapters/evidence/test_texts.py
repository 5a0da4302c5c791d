"""Log entries are cleaned as one text, because a secret may span several of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.texts import MAX_LINE, clean_entries
from bot.domain.redaction import redact, strip_invisible

CANARY = "hunter2hunter2"
KEY = [
    "-----BEGIN RSA PRIVATE KEY-----",
    *[f"MIIE{CANARY}{n}" for n in range(30)],
    "-----END RSA PRIVATE KEY-----",
]
PIECES = st.sampled_from(
    [
        "all well", "", "\tat Pay()", "two\nlines", "password: |", f"  {CANARY}", f"token={CANARY}",
        "-----BEGIN PRIVATE KEY-----", CANARY, "-----END PRIVATE KEY-----", "a@b.example.org", "<password>",
        f"{CANARY}</password>", "\x1b[1mbold", "say \u200bit",
    ]
)  # fmt: skip


def test_harmless_entries_are_left_as_they_are() -> None:
    texts = ["all well", "", "two\nlines", "  indented"]
    assert clean_entries(texts) == texts


def test_a_key_over_many_entries_is_one_mask_and_its_neighbours_stay_in_place() -> None:
    cleaned = clean_entries(["before", *KEY, "after", "password=x1y2z3", "end"])
    assert cleaned[0] == "before"
    assert cleaned[1] == "[redacted:private-key]"
    assert set(cleaned[2 : 1 + len(KEY)]) == {""}
    assert cleaned[-3:] == ["after", "password=[redacted:secret]", "end"]


def test_a_key_that_never_ends_hides_what_follows() -> None:
    cleaned = clean_entries(["before", *KEY[:-1]])
    assert CANARY not in "\n".join(cleaned)
    assert cleaned[0] == "before"


def test_a_key_across_the_end_of_a_chunk_is_still_one() -> None:
    for fill in range(600, 680, 3):
        texts = [*["x" * 100] * fill, *KEY, *["y" * 100] * 700]
        cleaned = clean_entries(texts)
        assert len(cleaned) == len(texts)
        assert CANARY not in "\n".join(cleaned)
        assert cleaned[-1] == "y" * 100


def test_a_key_may_go_on_in_a_chunk_of_its_own() -> None:
    """Entries so long that the end of a chunk falls between any two lines of the key."""
    key = [line.ljust(MAX_LINE, "A") if "-----" not in line else line for line in KEY]
    cleaned = clean_entries([*["x" * MAX_LINE] * 20, *key, "after", *["y" * MAX_LINE] * 40])
    assert CANARY not in "\n".join(cleaned)
    assert cleaned[20 + len(key)] == "after"
    assert cleaned[-1] == "y" * MAX_LINE


def test_an_entry_of_several_lines_keeps_them() -> None:
    assert clean_entries(["a\nb token=hunter2secret\nc", "d"]) == ["a\nb token=[redacted:secret]\nc", "d"]


def test_a_long_entry_is_cut() -> None:
    assert [len(text) for text in clean_entries(["x" * 100_000])] == [MAX_LINE]


@given(st.lists(PIECES, max_size=30))
def test_what_comes_out_is_what_redacting_the_whole_text_leaves(texts: list[str]) -> None:
    cleaned = clean_entries(texts)
    assert len(cleaned) == len(texts)
    whole = set(redact("\n".join(strip_invisible(text) for text in texts)).split("\n"))
    assert {line for text in cleaned for line in text.split("\n")} <= whole | {""}


@given(st.lists(PIECES, max_size=30))
def test_every_line_that_survives_is_there_in_its_order(texts: list[str]) -> None:
    whole = [line for line in redact("\n".join(strip_invisible(t) for t in texts)).split("\n") if line]
    cleaned = [line for text in clean_entries(texts) for line in text.split("\n") if line]
    assert cleaned == whole


def test_a_flood_of_secrets_that_end_nowhere_is_hidden() -> None:
    hostile = ["-----BEGIN PRIVATE KEY-----", "password: |", f"  {CANARY}"] * 5_000
    assert CANARY not in "\n".join(clean_entries(hostile))
