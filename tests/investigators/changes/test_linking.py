"""A change of a manifest is linked to the fault whose very value it set, and to no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.domain.diagnosis import Hypothesis
from bot.domain.evidence import Change
from investigators.changes.linking import linked
from investigators.queries import ChangeQuery
from tests.investigators.signals.build import ONSET, evidence, world


def change(**given: Any) -> Change:
    plain: dict[str, Any] = {
        "id": "c",
        "kind": "deploy",
        "at": ONSET - timedelta(minutes=10),
        "service": "till",
    }
    return Change(**{**plain, **given})


def blamed(fault: str, statement: str, *changes: Change, score: float = 0.9) -> list[str]:
    query = ChangeQuery()
    told = world(more=[(query, evidence(query, changes=changes))])
    found = Hypothesis(object="till", fault=fault, score=score, statement=statement, evidence_ids=())
    return [suspect.change_id for suspect in linked(told, [found])]


IMAGE = change(diff="-  image: registry/till:1.14.2\n+  image: registry/till:1.15.0-rc\n")
LIMIT = change(diff="-  memory: 256Mi\n+  memory: 128Mi\n")
REQUEST = change(diff="-  memory: 256Mi\n+  memory: 48Gi\n")
POLICY = change(kind="config", files=("policies/till-callers.yaml",), diff="+  podSelector: {}\n")
SCALE = change(kind="scale", before="2", after="0")


@pytest.mark.parametrize(
    ("fault", "statement", "guilty"),
    [
        ("image_tag_missing", "image registry/till:1.15.0-rc does not exist", IMAGE),
        ("oom_killed", "till was killed at its limit of 128Mi", LIMIT),
        ("insufficient_memory", "no node has 48.0 GiB for it", REQUEST),
        ("network_policy_blocked", "policy till-callers lets nobody in", POLICY),
        ("replica_shortage", "till has no replicas", SCALE),
    ],
)
def test_the_change_that_set_it_is_named(fault: str, statement: str, guilty: Change) -> None:
    assert blamed(fault, statement, guilty) == ["c"]


@pytest.mark.parametrize(
    "innocent",
    [
        change(title="Larger covers", files=("till/cover.css",), version="5.2.1"),
        change(service="storefront", diff=IMAGE.diff),
        change(at=ONSET - timedelta(hours=3), diff=IMAGE.diff),
        change(at=ONSET + timedelta(minutes=5), diff=IMAGE.diff),
        LIMIT,
        SCALE,
    ],
)
def test_a_change_of_something_else_somewhere_else_or_at_another_time_is_not(innocent: Change) -> None:
    assert blamed("image_tag_missing", "image registry/till:1.15.0-rc does not exist", innocent) == []


def test_a_weak_finding_has_no_change_to_blame() -> None:
    assert blamed("oom_killed", "till was killed at its limit of 128Mi", LIMIT, score=0.4) == []
