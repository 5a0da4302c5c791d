from __future__ import annotations

import pytest

from approvals.canonical import digest, parse_action_bytes
from approvals.catalogue import action_class, build_action, builtin_catalogue
from bot.domain.errors import InputError
from tests.approvals import world


def test_the_catalogue_is_closed_and_cannot_be_added_to() -> None:
    catalogue = builtin_catalogue()
    assert set(catalogue) == {"process.restart", "alertmanager.silence", "alertmanager.expire_silence"}
    with pytest.raises(TypeError):
        catalogue["shell.run"] = catalogue["process.restart"]  # type: ignore[index]


def test_every_compensating_action_is_in_the_catalogue() -> None:
    catalogue = builtin_catalogue()
    assert {spec.compensating for spec in catalogue.values()} - {None} <= set(catalogue)


@pytest.mark.parametrize(
    "matchers", ["alertname=HighMemory", "alertname=A,instance=host:9100", "job=node,mountpoint=/data"]
)
def test_a_silence_takes_equality_matchers(matchers: str) -> None:
    params = {"matchers": matchers, "duration_minutes": 60, "comment": "known, being worked on"}
    assert build_action(builtin_catalogue()["alertmanager.silence"], params).params == params


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"matchers": ""}, "matchers"),
        ({"matchers": "alertname"}, "matchers"),
        ({"matchers": "alertname=~.*"}, "matchers"),
        ({"matchers": "alertname!=A"}, "matchers"),
        ({"matchers": "alertname=A,"}, "matchers"),
        ({"matchers": "alertname=A\n"}, "matchers"),
        ({"matchers": "alertname=--x"}, "matchers"),
        ({"matchers": ",".join(f"l{i}=v" for i in range(17))}, "matchers"),
        ({"duration_minutes": 0}, "from 1 to 1440"),
        ({"duration_minutes": 1441}, "from 1 to 1440"),
        ({"duration_minutes": True}, "whole number"),
        ({"duration_minutes": "60"}, "whole number"),
        ({"comment": "two\nlines"}, "comment"),
        ({"extra": "x"}, "extra: not known"),
    ],
)
def test_a_silence_refuses_anything_wider_or_odd(change: dict[str, object], complaint: str) -> None:
    params = {"matchers": "alertname=A", "duration_minutes": 60, "comment": "why", **change}
    with pytest.raises(InputError, match=complaint):
        build_action(builtin_catalogue()["alertmanager.silence"], params)


@pytest.mark.parametrize("name", ["", "-rf", "a b", "a;b", "../web", "web\n", "x" * 65])
def test_a_process_name_can_never_be_an_option_or_a_path(name: str) -> None:
    with pytest.raises(InputError, match="process"):
        build_action(builtin_catalogue()["process.restart"], {"process": name})


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\u200b", "\U000e0041", "\u2800", "\ufe0f", "\u3164", "\ue000", "\x9b"]
)
def test_what_is_approved_holds_no_character_that_does_not_show(hidden: str) -> None:
    silence = builtin_catalogue()["alertmanager.silence"]
    params = {"matchers": "a=b", "duration_minutes": 5, "comment": "geplant für später ✋ 漢字"}
    assert build_action(silence, params).params == params
    with pytest.raises(InputError, match="characters that do not show"):
        build_action(silence, {**params, "comment": f"planned{hidden}work"})


def test_a_proposal_is_bound_to_its_own_bytes() -> None:
    made = world.proposal()
    bound = parse_action_bytes(made.canonical_bytes)
    assert made.digest == digest(made.canonical_bytes)
    assert bound.action == made.action
    assert bound.target_uid == made.target.uid
    assert bound.incident_id == made.incident_id


def test_another_target_identity_is_another_digest() -> None:
    assert world.proposal(on=world.target(uid="1")).digest != world.proposal(on=world.target(uid="2")).digest


def test_the_class_of_an_action_is_what_approver_roles_name() -> None:
    assert action_class("process.restart") == "process"
