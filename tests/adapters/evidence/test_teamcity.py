"""TeamCity: builds that deploy, with the changes in them, and every way not to know them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from adapters.evidence.changes import ChangeSource, teamcity_changes
from bot.domain.evidence import Change, EvidenceStatus
from config.schema import TeamcitySource
from investigators.queries import ChangeQuery
from tests.adapters.evidence.changes_world import WINDOW, A, B, C, ago
from tests.contracts.record_contract import check_failed, check_source
from tests.fakes.evidence import FixedClock
from tests.servers.teamcity import TOKEN, Build, TeamCity
from tests.servers.trouble import serving

SHOP = {"build_type": "Shop_Deploy", "service": "shop", "environment": "production"}
CANARY = "hunter2hunter2"


def built() -> TeamCity:
    return TeamCity(
        builds=[
            Build(id=1001, at=ago(4000), changes=[(A, "ada", "First", ["main.go"])]),
            Build(id=1002, at=ago(2000), status="FAILURE"),
            Build(
                id=1003,
                at=ago(30),
                changes=[
                    (C, "ada", "Shrink the pool\n\nlonger text", ["cart/pool.yaml", "README.md"]),
                    (B, "grace", "Retry payments", ["payments/retry.go"]),
                ],
            ),
            Build(id=1004, at=None, state="queued"),
        ]
    )


@asynccontextmanager
async def teamcity(
    server: TeamCity, *builds: dict[str, Any], token: str = TOKEN, **more: Any
) -> AsyncIterator[ChangeSource]:
    async with serving(server.app()) as url, aiohttp.ClientSession() as session:
        options = {"url": f"{url}{server.root}", "token": token, "builds": builds or (SHOP,), **more}
        yield teamcity_changes(TeamcitySource.model_validate(options), session, FixedClock())


async def changes_of(server: TeamCity, *builds: dict[str, Any]) -> tuple[list[Change], str | None]:
    async with teamcity(server, *builds) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    return list(found.changes), found.reason


async def test_it_keeps_the_contract() -> None:
    async with teamcity(built()) as source:
        found = await check_source(source, ChangeQuery(services=("shop",)), WINDOW, secrets=[TOKEN])
    assert "$TEAMCITY_TOKEN" in (found.manual or "")


async def test_a_build_comes_with_its_changes() -> None:
    (first, second, deploy), reason = await changes_of(built())
    assert reason is None
    assert ({first.id, second.id}, first.kind, deploy.kind) == ({B, C}, "commit", "deploy")
    assert deploy.title == "build 3 of Shop_Deploy to production"
    assert (deploy.before, deploy.after, deploy.version, deploy.author) == ("1", "3", "3", "grace")
    assert deploy.files == ("cart/pool.yaml", "README.md", "payments/retry.go")
    assert {one.at for one in (first, second, deploy)} == {ago(30)}
    pool = next(one for one in (first, second) if one.id == C)
    assert (pool.title, pool.author) == ("Shrink the pool", "ada")
    assert pool.files == ("cart/pool.yaml", "README.md")


async def test_a_build_that_waits_is_no_change() -> None:
    server = built()
    del server.builds[2]
    async with teamcity(server) as source:
        assert (await source.ask(ChangeQuery(), WINDOW, "shop")).status is EvidenceStatus.EMPTY


async def test_a_build_that_failed_or_still_runs_says_so_and_is_not_what_was_before() -> None:
    server = built()
    server.builds[2].status = "FAILURE"
    server.builds += [Build(id=1005, at=ago(20), state="running"), Build(id=1006, at=ago(10))]
    changes, _ = await changes_of(server)
    deploys = [(one.title, one.before) for one in changes if one.kind == "deploy"]
    assert deploys == [
        ("build 3 of Shop_Deploy to production (failure)", "1"),
        ("build 5 of Shop_Deploy to production (running)", "1"),
        ("build 6 of Shop_Deploy to production", "1"),
    ]


async def test_pages_are_followed_and_capped() -> None:
    server = built()
    server.builds += [Build(id=2000 + n, at=ago(20)) for n in range(60)]
    changes, reason = await changes_of(server)
    assert (len([one for one in changes if one.kind == "deploy"]), reason) == (61, None)
    server.builds += [Build(id=3000 + n, at=ago(20)) for n in range(300)]
    _, reason = await changes_of(server)
    assert reason == "Shop_Deploy: only the newest 250 builds were looked at"


async def test_a_build_configuration_that_is_not_there_is_a_gap() -> None:
    async with teamcity(built(), {**SHOP, "build_type": "Nope"}) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="teamcity", reason="Nope: answered 404")
    assert "No build type nor template is found" in (found.reason or "")


async def test_a_wrong_token_is_said() -> None:
    wrong = "eyJ0eXAiOiAiVENWMiJ9.wrongwrong.wrongwrong"
    async with teamcity(built(), token=wrong) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="teamcity", reason="answered 401, the token is wrong")
    assert wrong not in repr(found)


@pytest.mark.parametrize("kind", ["slow", "flood", "drop", "html", "malformed", "redirect", "500"])
async def test_each_fault_is_a_gap(kind: str) -> None:
    server = built()
    server.trouble.kind = kind
    async with teamcity(server, timeout="400ms" if kind == "slow" else "20s") as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="teamcity", reason="Shop_Deploy: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "builds that is no object"),
        ("{}", "no list of objects"),
        ('{"build": 7}', "no list of objects"),
        ('{"build": [{"startDate": "soon"}]}', "readable startDate"),
        ('{"build": [{"startDate": "20260301T113000+0000"}]}', "a build without id"),
        ('{"build": [], "nextHref": "//evil.example.org/app/rest/builds"}', "next page on another server"),
    ],
)
async def test_an_answer_of_another_shape_is_a_gap(body: str, reason: str) -> None:
    server = built()
    server.trouble.kind, server.trouble.body = "200", body
    async with teamcity(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="teamcity", reason=reason)


async def test_a_secret_never_comes_through() -> None:
    server = built()
    server.builds[2].changes = [(C, CANARY + "@example.org", f"token={CANARY}", [f"password={CANARY}"])]
    async with teamcity(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert found.status is EvidenceStatus.OK
    assert CANARY not in repr(found)
    server.trouble.kind = "400"
    server.trouble.body = f'{{"errors": [{{"message": "{TOKEN} is wrong, password={CANARY}"}}]}}'
    async with teamcity(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert "is wrong" in (found.reason or "")
    assert CANARY not in repr(found)
    assert TOKEN not in repr(found)
