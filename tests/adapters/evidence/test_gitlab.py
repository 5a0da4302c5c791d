"""GitLab: what took effect in the window, with what it brought, and every way not to know it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from adapters.evidence.changes import ChangeSource, gitlab_changes
from bot.domain.evidence import Change, EvidenceStatus
from config.schema import GitlabSource
from investigators.queries import ChangeQuery
from tests.adapters.evidence.changes_world import WINDOW, A, B, C, D, ago, history
from tests.contracts.record_contract import check_failed, check_source
from tests.fakes.evidence import FixedClock
from tests.servers.gitlab import TOKEN, Deployment, GitLab
from tests.servers.trouble import serving

SHOP = {"project": "acme/web/shop", "service": "shop", "environments": ["production"]}
CANARY = "hunter2hunter2"


def deployed() -> GitLab:
    return GitLab(
        history=history(),
        deployments=[
            Deployment(id=1, at=ago(4000), sha=A),
            Deployment(id=2, at=ago(30), sha=C, author="ci"),
        ],
    )


@asynccontextmanager
async def gitlab(
    server: GitLab, *projects: dict[str, Any], token: str = TOKEN, **more: Any
) -> AsyncIterator[ChangeSource]:
    async with serving(server.app()) as url, aiohttp.ClientSession() as session:
        options = {"url": url, "token": token, "projects": projects or (SHOP,), **more}
        yield gitlab_changes(GitlabSource.model_validate(options), session, FixedClock())


async def changes_of(server: GitLab, *projects: dict[str, Any]) -> tuple[list[Change], str | None]:
    async with gitlab(server, *projects) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    return list(found.changes), found.reason


async def test_it_keeps_the_contract() -> None:
    async with gitlab(deployed()) as source:
        found = await check_source(source, ChangeQuery(services=("shop",)), WINDOW, secrets=[TOKEN])
    assert "glab api" in (found.manual or "")


async def test_a_deployment_comes_with_its_commits_and_their_diffs() -> None:
    (first, second, deploy), reason = await changes_of(deployed())
    assert reason is None
    assert ({first.id, second.id}, deploy.kind) == ({B, C}, "deploy")
    assert (deploy.before, deploy.after, deploy.author) == (A, C, "ci")
    assert deploy.at == first.at == ago(30) + timedelta(seconds=5)
    assert deploy.files == ("payments/retry.go", "cart/pool.yaml", "README.md")
    assert "+pool: 5" in deploy.diff
    assert deploy.link == "https://gitlab.com/acme/web/shop/-/jobs/20"
    pool = next(one for one in (first, second) if one.id == C)
    assert pool.diff.startswith("--- a/cart/pool.yaml\n+++ b/cart/pool.yaml\n@@ -1 +1 @@\n-pool: 50")


async def test_a_project_may_be_named_by_its_number() -> None:
    changes, _ = await changes_of(deployed(), {**SHOP, "project": "42"})
    assert len(changes) == 3


@pytest.mark.parametrize("status", ["created", "blocked"])
async def test_a_deployment_that_still_waits_is_no_change(status: str) -> None:
    server = deployed()
    server.deployments[1].status = status
    async with gitlab(server) as source:
        assert (await source.ask(ChangeQuery(), WINDOW, "shop")).status is EvidenceStatus.EMPTY


@pytest.mark.parametrize("status", ["running", "failed", "canceled"])
async def test_a_deployment_that_began_and_did_not_succeed_is_a_change_that_says_so(status: str) -> None:
    server = deployed()
    server.deployments[1].status = status
    changes, _ = await changes_of(server)
    assert changes[-1].title == f"deployed main {C[:12]} to production ({status})"


async def test_a_deployment_that_no_job_made_counts_from_when_it_was_reported() -> None:
    server = deployed()
    server.deployments[1].job = False
    changes, _ = await changes_of(server)
    assert changes[-1].at == ago(30)


async def test_going_back_to_older_code_is_a_rollback() -> None:
    server = deployed()
    server.deployments.append(Deployment(id=4, at=ago(10), sha=A))
    changes, _ = await changes_of(server)
    assert (changes[-1].kind, changes[-1].before, changes[-1].after) == ("rollback", C, A)
    assert "cart/pool.yaml" in changes[-1].files


async def test_without_deployments_commits_count() -> None:
    changes, reason = await changes_of(GitLab(history=history()))
    assert reason is None
    assert [(one.kind, one.id, one.at) for one in changes] == [("commit", D, ago(40))]


async def test_of_a_project_of_many_services_each_has_its_folders() -> None:
    cart = {**SHOP, "service": "cart", "paths": ["cart"]}
    changes, _ = await changes_of(deployed(), cart)
    assert [(one.kind, one.files) for one in changes] == [
        ("commit", ("cart/pool.yaml",)),
        ("deploy", ("cart/pool.yaml",)),
    ]


async def test_the_deployment_before_is_found_pages_away() -> None:
    server = deployed()
    server.deployments[1].id = 900
    server.deployments += [Deployment(id=100 + n, at=ago(2000 - n), sha=C) for n in range(150)]
    changes, reason = await changes_of(server)
    assert (changes[-1].before, reason) == (A, None)


async def test_a_page_that_fails_leaves_those_before_it() -> None:
    server = deployed()
    server.deployments[1].id = 900
    server.deployments += [Deployment(id=100 + n, at=ago(2000 - n), sha=C) for n in range(150)]
    server.trouble.kind, server.trouble.path = "502", "page=2"
    changes, reason = await changes_of(server)
    assert [one.id for one in changes] == ["deployment-900"]
    assert "only the newest 100 deployments were looked at: answered 502" in (reason or "")


async def test_a_diff_that_is_too_large_or_took_too_long_is_said_to_be_missing() -> None:
    server = deployed()
    server.history.commits[2].files["dist/bundle.js"] = ""
    changes, reason = await changes_of(server)
    assert "dist/bundle.js" in changes[-1].files
    assert "the diff of deployment 2 is incomplete" in (reason or "")
    assert f"the diff of {C[:12]} is incomplete" in (reason or "")
    slow = deployed()
    slow.compare_timeout = True
    assert "the diff of deployment 2 is incomplete" in ((await changes_of(slow))[1] or "")


async def test_a_wrong_token_is_said() -> None:
    wrong = "glpat-wrong0wrong0wrong0wrong"
    async with gitlab(deployed(), token=wrong) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="gitlab", reason="answered 401, the token is wrong")
    assert wrong not in repr(found)


async def test_a_used_up_rate_limit_is_a_reason() -> None:
    server = deployed()
    server.remaining = 0
    async with gitlab(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(
        found,
        kind="change.list",
        source="gitlab",
        reason="answered 429: rate limit reached; it asks to wait 60 s",
    )


@pytest.mark.parametrize("kind", ["slow", "flood", "drop", "html", "malformed", "redirect", "502"])
async def test_each_fault_is_a_gap(kind: str) -> None:
    server = deployed()
    server.trouble.kind = kind
    async with gitlab(server, timeout="400ms" if kind == "slow" else "20s") as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="gitlab", reason="acme/web/shop: ")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/deployments", "{}", "no list of objects"),
        ("/deployments", '[{"id": 2, "created_at": "2026-03-01"}]', "without a readable created_at"),
        (
            "/deployments",
            '[{"id": 2, "created_at": "2026-03-01T11:30:00Z", "status": "success", "sha": "c", "ref": "m"}]',
            "an environment that is no object",
        ),
        ("/compare", '{"commits": 7}', "no list of objects"),
        ("/diff", '[{"diff": "x"}]', "without new_path"),
    ],
)
async def test_an_answer_of_another_shape_is_said(path: str, body: str, reason: str) -> None:
    server = deployed()
    server.trouble.kind, server.trouble.path, server.trouble.body = "200", path, body
    _, said = await changes_of(server)
    assert reason in (said or "")


async def test_a_secret_never_comes_through() -> None:
    server = deployed()
    for one in server.history.commits:
        one.files.clear()
        one.files["values.yaml"] = f"@@ -1 +1 @@\n+password: {CANARY}\n+  token: |\n+     {CANARY}"
    async with gitlab(server) as source:
        assert CANARY not in repr(await source.ask(ChangeQuery(), WINDOW, "shop"))
    server.trouble.kind = "400"
    server.trouble.body = f'{{"message": {{"token": ["{TOKEN} is wrong", "password={CANARY}"]}}}}'
    async with gitlab(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert "is wrong" in (found.reason or "")
    assert CANARY not in repr(found)
    assert TOKEN not in repr(found)
