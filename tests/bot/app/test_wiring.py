"""From configuration to the workflow's nouns."""

from bot.app.wiring import room_names
from config.schema import Chat

CHAT = Chat.model_validate(
    {
        "rooms": [
            {"name": "ops", "matrix": "!abc:example.org"},
            {"name": "payments", "matrix": "!def:example.org"},
            {"name": "lab", "matrix": "!def:lab.example.org"},
            {"name": "abc", "console": True},
        ]
    }
)


def test_an_alert_may_name_a_room_by_name_by_id_or_by_the_part_of_the_id_that_only_it_has() -> None:
    names = room_names(CHAT)
    assert names["payments"] == "payments"
    assert names["!def:lab.example.org"] == "lab"
    assert "def" not in names
    one = Chat.model_validate({"rooms": [{"name": "ops", "matrix": "!FqmgUhjOliBGoncGwm:example.org"}]})
    assert room_names(one)["FqmgUhjOliBGoncGwm"] == "ops"


def test_a_rooms_own_name_beats_part_of_anothers_id() -> None:
    assert room_names(CHAT)["abc"] == "abc"
