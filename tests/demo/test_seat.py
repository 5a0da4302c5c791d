"""The demo shows a room as a client does: by its newest edits, and without what was taken back."""

from __future__ import annotations

from typing import Any

from bot.demo.seat import conversation


def event(event_id: str, sender: str, kind: str = "m.room.message", **content: Any) -> dict[str, Any]:
    return {"event_id": event_id, "sender": sender, "type": kind, "content": content}


def edit(event_id: str, sender: str, target: str, text: str) -> dict[str, Any]:
    relation = {"rel_type": "m.replace", "event_id": target}
    content = {"body": f"* {text}", "m.new_content": {"body": text}, "m.relates_to": relation}
    return event(event_id, sender, **content)


def reaction(event_id: str, sender: str, target: str, key: str) -> dict[str, Any]:
    relation = {"rel_type": "m.annotation", "event_id": target, "key": key}
    return event(event_id, sender, "m.reaction", **{"m.relates_to": relation})


def test_only_the_author_of_a_message_can_edit_it() -> None:
    (message,) = conversation(
        [
            event("$1", "@bot:x", body="card"),
            edit("$2", "@mallory:x", "$1", "forged"),
            edit("$3", "@bot:x", "$1", "card, decided"),
        ]
    )
    assert (message.text, message.edits) == ("card, decided", 1)


def test_reactions_show_who_set_them_until_they_are_redacted() -> None:
    gone = event("$3", "@bot:x", "m.reaction")
    (message,) = conversation(
        [event("$1", "@bot:x", body="card"), reaction("$2", "@you:x", "$1", "✅"), gone]
    )
    assert message.reactions == [("@you:x", "✅")]


def test_a_reply_in_a_thread_names_its_root_and_redacted_messages_are_gone() -> None:
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$1"}}
    said = conversation(
        [
            event("$1", "@bot:x", body="root"),
            event("$2", "@bot:x", body="diagnosis", **thread),
            event("$3", "@you:x"),
            event("$4", "@you:x", "m.room.member", membership="join"),
        ]
    )
    assert [(message.text, message.thread) for message in said] == [("root", None), ("diagnosis", "$1")]
