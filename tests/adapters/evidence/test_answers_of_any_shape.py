"""A server that lies: each value of each right answer, replaced by an odd one, is never an exception."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from investigators.queries import ChangeQuery, EvidenceSource, Query, TicketQuery
from tests.adapters.evidence import test_fleet, test_github, test_gitlab, test_jira, test_teamcity
from tests.adapters.evidence.changes_world import WINDOW, A, C
from tests.contracts.evidence_contract import check_evidence
from tests.servers.github import GitHub, release
from tests.servers.trouble import Trouble

ODD: tuple[Any, ...] = (None, True, 7, -1.5, "", "x", "2026-03-01T11:59:00", [], [None], {}, {"x": []})
Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2]):
            yield from places(item, (*place, index))


def replaced(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    if isinstance(value, dict):
        return {**value, place[0]: replaced(value[str(place[0])], place[1:], new)}
    return [replaced(item, place[1:], new) if index == place[0] else item for index, item in enumerate(value)]


class Lie:
    """Replaces one place of an answer; remembers the places that the true answer has."""

    def __init__(self) -> None:
        self.seen: list[Place] = []
        self.place: Place = ()
        self.new: Any = None
        self.lying = False

    def __call__(self, data: Any) -> Any:
        if self.lying and self.place in set(places(data)):
            return replaced(data, self.place, self.new)
        self.seen = self.seen or list(places(data))
        return data


async def lied_to(source: EvidenceSource, query: Query, trouble: Trouble, path: str) -> int:
    """Asks once for each lie; the number of them."""
    lie = Lie()
    trouble.kind, trouble.path, trouble.change = "changed", path, lie
    truth = await source.ask(query, WINDOW, "x")
    assert truth.filled
    asked = 0
    lie.lying = True
    for place in list(lie.seen):
        for new in ODD:
            lie.place, lie.new = place, new
            check_evidence(await source.ask(query, WINDOW, "x"), kind=query.kind, source=source.name)
            asked += 1
    return asked


def released() -> GitHub:
    return GitHub(
        history=test_github.history(),
        releases=[release("v1", test_github.ago(4000)), release("v2", test_github.ago(30))],
    )


def cases() -> Iterator[tuple[str, Any, AbstractAsyncContextManager[EvidenceSource], Query, str]]:
    for path in ("/deployments", "/statuses", f"{A}...{C}", f"/commits/{C}"):
        server = test_github.deployed()
        yield f"github{path}", server, test_github.github(server), ChangeQuery(), path
    for path in ("/releases", "/commits"):
        server = released()
        yield f"github{path}", server, test_github.github(server), ChangeQuery(), path
    for path in ("/deployments", "/compare", f"{C}/diff"):
        forge = test_gitlab.deployed()
        yield f"gitlab{path}", forge, test_gitlab.gitlab(forge), ChangeQuery(), path
    ci = test_teamcity.built()
    yield "teamcity", ci, test_teamcity.teamcity(ci), ChangeQuery(), "/builds"
    fleet = test_fleet.web()
    yield "fleet", fleet, test_fleet.fleet(fleet), test_fleet.PROCESSES, "/query"
    jira = test_jira.tracked()
    yield "jira", jira, test_jira.jira(jira), TicketQuery(service="cart"), "/jql"


@pytest.mark.parametrize(
    ("server", "made", "query", "path"), [pytest.param(*c[1:], id=c[0]) for c in cases()]
)
async def test_an_answer_with_one_odd_value_is_never_an_exception(
    server: Any, made: AbstractAsyncContextManager[EvidenceSource], query: Query, path: str
) -> None:
    async with made as source:
        assert await lied_to(source, query, server.trouble, path) > len(ODD)
