"""What single events mean, the odd and hostile ones included."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.matrix.inbound import Me, command_text, since_own_join, to_inbound
from bot.domain.chat import CommandReceived, Inbound, ReactionAdded, ReactionRemoved

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ME = Me(user_id="@assent:example.org", names=("Assent Bot", "assent"))


def event(kind: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
    ts = int(NOW.timestamp() * 1000) - 5000
    base = {"event_id": "$1", "sender": "@ana:example.org", "type": kind, "origin_server_ts": ts}
    return base | {"content": content} | more


def meaning(raw: dict[str, Any], **more: Any) -> Inbound | None:
    return to_inbound(raw, room="!r", me=ME, now=NOW, **more)


def text(body: str, **more: Any) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": body} | more


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("!assent status", "status"),
        ("  !ASSENT   show K7QX ", "show K7QX"),
        ("!assent", ""),
        ("!assentstatus", None),
        ("@assent:example.org approve K7QX", "approve K7QX"),
        ("@assent:example.org: why", "why"),
        ("Assent Bot: why", "why"),
        ("assent, why", "why"),
        ("assent said no", None),
        ("please !assent approve", None),
        ("status", None),
        ("/assent status", None),
    ],
)
def test_only_text_addressed_to_the_bot_is_a_command(body: str, expected: str | None) -> None:
    assert command_text(text(body), ME) == expected


def test_a_marked_mention_needs_no_colon() -> None:
    content = text("Assent Bot why", **{"m.mentions": {"user_ids": [ME.user_id]}})
    assert command_text(content, ME) == "why"


def test_a_quoted_command_is_not_run_and_the_reply_below_it_is() -> None:
    relation = {"m.relates_to": {"m.in_reply_to": {"event_id": "$x"}}}
    assert command_text(text("> <@b:c> !assent approve\n\nno!", **relation), ME) is None
    assert command_text(text("> <@b:c> hello\n\n!assent why", **relation), ME) == "why"


def test_an_edit_is_never_a_command() -> None:
    content = text("!assent approve", **{"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}})
    assert meaning(event("m.room.message", content)) is None


def test_the_bots_own_and_deleted_events_mean_nothing() -> None:
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$card", "key": "✅"}}
    assert isinstance(meaning(event("m.reaction", content)), ReactionAdded)
    assert meaning(event("m.reaction", content, sender=ME.user_id)) is None
    assert meaning(event("m.reaction", content, unsigned={"redacted_because": {}})) is None


def test_a_reaction_keeps_its_key_exactly() -> None:
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$card", "key": "✅\ufe0f"}}
    inbound = meaning(event("m.reaction", content))
    assert isinstance(inbound, ReactionAdded)
    assert inbound.key == "✅\ufe0f"


@pytest.mark.parametrize(
    "raw",
    [
        event("m.room.redaction", {"redacts": "$reaction"}),
        event("m.room.redaction", {}, redacts="$reaction"),
    ],
    ids=["room version 11", "room version 10"],
)
def test_a_redaction_names_its_target_in_every_room_version(raw: dict[str, Any]) -> None:
    inbound = meaning(raw)
    assert isinstance(inbound, ReactionRemoved)
    assert inbound.removed_event_id == "$reaction"


def test_the_time_is_the_servers_but_never_in_the_future() -> None:
    content = text("!assent status")
    early = meaning(event("m.room.message", content))
    late = meaning(event("m.room.message", content, origin_server_ts=4_000_000_000_000))
    odd = meaning(event("m.room.message", content, origin_server_ts="yesterday"))
    assert early is not None
    assert late is not None
    assert odd is not None
    assert early.at < NOW
    assert late.at == odd.at == NOW


def test_in_a_direct_room_plain_words_are_commands_and_reactions_are_nothing() -> None:
    inbound = meaning(event("m.room.message", text("status")), direct=True)
    assert isinstance(inbound, CommandReceived)
    assert inbound.text == "status"
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$card", "key": "✅"}}
    assert meaning(event("m.reaction", content), direct=True) is None


def member(before: str | None, after: str, user: str = ME.user_id, name: str = "$m") -> dict[str, Any]:
    unsigned = {} if before is None else {"prev_content": {"membership": before}}
    raw = event("m.room.member", {"membership": after}, state_key=user, unsigned=unsigned)
    return raw | {"event_id": name}


def test_only_what_follows_the_latest_entry_of_the_bot_counts() -> None:
    said = [event("m.room.message", text("!assent x")) | {"event_id": f"${n}"} for n in range(3)]
    events = [said[0], member("invite", "join"), said[1], member("leave", "join"), said[2]]
    assert since_own_join(events, ME.user_id) == ([said[2]], True)


def test_a_new_display_name_and_other_peoples_entries_are_no_entry_of_the_bot() -> None:
    events = [member("join", "join"), member("invite", "join", user="@ana:example.org")]
    assert since_own_join(events, ME.user_id) == (events, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
KINDS = st.sampled_from(["m.reaction", "m.room.message", "m.room.redaction", "m.room.member", "m.odd"])
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "m.relates_to": JSON
        | st.fixed_dictionaries({"rel_type": JSON | st.just("m.annotation"), "event_id": JSON, "key": JSON}),
        "body": JSON,
        "msgtype": JSON | st.just("m.text"),
        "redacts": JSON,
        "m.mentions": JSON,
        "membership": JSON,
    },
)


@given(KINDS, CONTENTS | JSON, JSON, JSON)
def test_no_event_however_malformed_stops_the_receiving(
    kind: str, content: Any, unsigned: Any, sent_at: Any
) -> None:
    raw = event(kind, content, unsigned=unsigned, origin_server_ts=sent_at, state_key=ME.user_id)
    inbound = meaning(raw)
    assert inbound is None or inbound.at <= NOW
    since_own_join([raw], ME.user_id)
