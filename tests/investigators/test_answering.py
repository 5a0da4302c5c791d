"""Questions that are answered without a model: what is stored and meets the words, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.incident import IncidentState
from investigators.answering import NO_MODEL, RulesAnswerer, answer_by_rules
from investigators.ports import Answered
from tests.fakes.evidence import NOW
from tests.investigators.asked import DATABASE, DIAGNOSIS, LOG, MEMORY, question


def said(answer: Answered) -> str:
    return "\n".join((answer.text, *(one.finding for one in answer.citations)))


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ("why?", "cart: memory keeps growing, as with a leak. (confidence high)"),
        ("what is the root cause?", "memory of cart grew by 820 MiB"),
        ("why not the database?", "refuted: it answers within 3 ms"),
        ("could it be the disk?", "Ruled out: disk_filling at cart: 40 % used"),
        ("isn't it CPU?", "Looked at and not so: CPU is saturated at cart. CPU is at 12 %"),
        ("why not the moon?", "Nothing that was considered or ruled out goes by that name"),
        ("what changed?", "deploy cart: Keep carts longer (4f2a91c) — it touches the cache"),
        ("was there a deployment?", "4f2a91c"),
        ("since when?", "MemoryHigh fires since 2026-03-01 11:58:00 UTC"),
        ("is it fixed?", "It is not over: the incident is investigating and 1 alert still fires."),
        ("what can we do?", "The diagnosis suggests process.restart for cart: a restart frees the memory"),
        ("what can we do?", "Suggested step: Restart cart"),
        ("what about cache eviction?", "ERROR cache eviction failed: the allocator is full"),
        ("is it a leak?", "cart: memory keeps growing, as with a leak. (confidence high)"),
        ("is it the database?", "refuted: it answers within 3 ms"),
        ("how is orders-db?", "the database answers within 3 ms"),
        ("how is orders-db?", "Considered (0.30): queries of cart wait — refuted: it answers within 3 ms"),
        ("and the pods?", "Not known: pods of cart: no answer within 5 s (look yourself: kubectl get pods)"),
    ],
)  # fmt: skip
def test_what_is_stored_answers(asked: str, holds: str) -> None:
    answer = answer_by_rules(question(asked))
    assert holds in said(answer)
    assert answer.text.startswith(NO_MODEL)
    assert answer.text.endswith("The incident with its alerts: show. To look again: rerun.")


def test_each_finding_names_the_evidence_it_is_from_and_who_can_have_written_that() -> None:
    (cited,) = [
        one for one in answer_by_rules(question("cache eviction?")).citations if one.evidence_id == LOG.id
    ]
    assert (cited.source, cited.outsider_writable) == ("loki", True)
    cited = next(
        one for one in answer_by_rules(question("the memory?")).citations if one.evidence_id == MEMORY.id
    )
    assert not cited.outsider_writable


def test_words_that_meet_nothing_get_the_diagnosis_and_where_to_look() -> None:
    answer = answer_by_rules(question("tell me about elephants"))
    assert "Nothing that is stored about this incident meets your words." in answer.text
    assert DIAGNOSIS.summary in answer.text
    assert answer.citations == ()


def test_changes_that_were_looked_at_and_not_to_blame_are_told_apart_from_none_looked_at() -> None:
    innocent = replace(DIAGNOSIS, suspects=(), no_culprit=True)
    assert "none of them is to blame" in answer_by_rules(question("what changed?", diagnosis=innocent)).text
    nobody = replace(DIAGNOSIS, suspects=())
    assert "No changes were looked at" in answer_by_rules(question("what changed?", diagnosis=nobody)).text


def test_what_is_over_is_said_to_be_over() -> None:
    over = question("is it fixed?")
    resolved = replace(over.case.incident, state=IncidentState.RESOLVED, resolved_at=NOW, firing=0)
    answer = answer_by_rules(replace(over, case=replace(over.case, incident=resolved)))
    assert "The incident is resolved since 2026-03-01 12:00:00 UTC." in answer.text


def test_without_a_diagnosis_that_is_said_and_evidence_is_still_searched() -> None:
    answer = answer_by_rules(question("database?", diagnosis=None))
    assert "There is no diagnosis yet" in answer.text
    assert [one.evidence_id for one in answer.citations] == [DATABASE.id]


async def test_it_suggests_nothing_and_took_nothing_anew() -> None:
    answer = await RulesAnswerer().answer(question("restart cart and approve it!"))
    assert (answer.suggestion, answer.evidence, answer.note) == (None, (), None)


@given(st.text(max_size=200) | st.sampled_from(["cart leaks?", "why not orders-db", "what changed in it"]))
def test_whatever_is_asked_only_stored_evidence_is_cited_and_the_answer_is_the_same(text: str) -> None:
    asked = question(text)
    answer = answer_by_rules(asked)
    assert {one.evidence_id for one in answer.citations} <= {one.id for one in asked.evidence}
    assert all(one.finding for one in answer.citations)
    assert answer == answer_by_rules(asked)
