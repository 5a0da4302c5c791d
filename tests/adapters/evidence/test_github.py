"""GitHub: what took effect in the window, with what it brought, and every way not to know it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from adapters.evidence.changes import ChangeSource, github_changes
from bot.domain.evidence import Change, EvidenceStatus, Window
from config.schema import GithubSource
from investigators.queries import ChangeQuery
from tests.adapters.evidence.changes_world import WINDOW, A, B, C, D, ago, history
from tests.contracts.record_contract import check_failed, check_source
from tests.fakes.evidence import FixedClock
from tests.servers.github import TOKEN, Deployment, GitHub, release
from tests.servers.ports import free_port
from tests.servers.trouble import serving

SHOP = {"repository": "acme/shop", "service": "shop"}


def deployed() -> GitHub:
    return GitHub(
        history=history(),
        deployments=[
            Deployment(id=1, at=ago(4000), sha=A),
            Deployment(id=2, at=ago(30), sha=C, author="ci"),
            Deployment(id=3, at=ago(20), sha=D, environment="staging"),
        ],
    )


PRODUCTION = {**SHOP, "environments": ["production"]}


@asynccontextmanager
async def github(
    server: GitHub, *repositories: dict[str, Any], token: str = TOKEN, **more: Any
) -> AsyncIterator[ChangeSource]:
    async with serving(server.app()) as url, aiohttp.ClientSession() as session:
        options = {"url": url, "token": token, "repositories": repositories or (PRODUCTION,), **more}
        yield github_changes(GithubSource.model_validate(options), session, FixedClock())


async def changes_of(
    server: GitHub, *repositories: dict[str, Any], window: Window = WINDOW
) -> tuple[list[Change], str | None]:
    async with github(server, *repositories) as source:
        found = await source.ask(ChangeQuery(), window, "shop")
    return list(found.changes), found.reason


async def test_it_keeps_the_contract() -> None:
    async with github(deployed()) as source:
        found = await check_source(source, ChangeQuery(services=("shop",)), WINDOW, secrets=[TOKEN])
        assert "gh api" in (found.manual or "")
        assert not source.covers(ChangeQuery(services=("other",)))


async def test_a_deployment_comes_with_its_commits_and_their_diffs() -> None:
    (first, second, deploy), reason = await changes_of(deployed())
    assert reason is None
    assert [first.kind, second.kind, deploy.kind] == ["commit", "commit", "deploy"]
    assert {first.id, second.id} == {B, C}
    assert deploy.id == "deployment-2"
    assert (deploy.before, deploy.after, deploy.author) == (A, C, "ci")
    assert deploy.files == ("payments/retry.go", "cart/pool.yaml", "README.md")
    assert "+pool: 5" in deploy.diff
    assert deploy.title == "deployed main to production"
    payments = next(one for one in (first, second) if one.id == B)
    assert payments.title == "Retry payments"
    assert payments.author == "grace"
    assert payments.files == ("payments/retry.go",)
    assert payments.diff == (
        "--- a/payments/retry.go\n+++ b/payments/retry.go\n@@ -1 +1 @@\n-retries = 1\n+retries = 100"
    )
    assert payments.link == f"https://github.com/acme/shop/commit/{B}"


async def test_a_commit_takes_effect_when_its_deployment_does() -> None:
    changes, _ = await changes_of(deployed())
    assert {one.at for one in changes} == {ago(30) + timedelta(seconds=5)}


async def test_a_deployment_that_still_waits_is_no_change() -> None:
    server = deployed()
    server.deployments[1].statuses = [(1, "queued"), (2, "waiting")]
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert found.status is EvidenceStatus.EMPTY
    assert found.reason == "no change in acme/shop"


async def test_a_deployment_that_waited_counts_from_when_it_was_let_go() -> None:
    server = deployed()
    server.deployments[1].at = ago(300)
    server.deployments[1].statuses = [(1, "waiting"), (15_000, "in_progress"), (15_060, "success")]
    changes, _ = await changes_of(server)
    assert {one.at for one in changes} == {ago(50)}


async def test_a_failed_deployment_is_a_change_that_says_so() -> None:
    server = deployed()
    server.deployments[1].statuses = [(5, "in_progress"), (60, "failure")]
    changes, _ = await changes_of(server)
    assert changes[-1].title == "deployed main to production (failure)"


async def test_what_failed_before_is_not_what_was_live_before() -> None:
    server = deployed()
    server.deployments.append(Deployment(id=4, at=ago(200), sha=B, statuses=[(5, "failure")]))
    changes, _ = await changes_of(server)
    assert changes[-1].before == A


async def test_going_back_to_older_code_is_a_rollback_with_what_was_taken_away() -> None:
    server = deployed()
    server.deployments.append(Deployment(id=4, at=ago(10), sha=A, ref=A))
    changes, _ = await changes_of(server)
    back = changes[-1]
    assert (back.kind, back.before, back.after) == ("rollback", C, A)
    assert back.title == f"rolled back {A[:12]} to production"
    assert "cart/pool.yaml" in back.files
    assert [one.kind for one in changes].count("commit") == 2


async def test_the_end_of_the_window_is_not_part_of_it() -> None:
    moment = ago(30) + timedelta(seconds=5)
    late = Window(start=moment - timedelta(hours=1), end=moment)
    early = Window(start=moment, end=moment + timedelta(seconds=1))
    assert (await changes_of(deployed(), window=late))[0] == []
    assert len((await changes_of(deployed(), window=early))[0]) == 3


async def test_every_environment_counts_where_none_is_named() -> None:
    changes, reason = await changes_of(deployed(), SHOP)
    assert [one.id for one in changes if one.kind == "deploy"] == ["deployment-2", "deployment-3"]
    assert reason == "acme/shop: deployment 3 has none before it to compare with"


async def test_of_a_repository_of_many_services_each_has_its_folders() -> None:
    cart = {**PRODUCTION, "service": "cart", "paths": ["cart"]}
    payments = {**PRODUCTION, "service": "payments", "paths": ["payments/"]}
    other = {**PRODUCTION, "service": "other", "paths": ["pay"]}
    changes, _ = await changes_of(deployed(), cart, payments, other)
    assert {(one.service, one.kind, one.files) for one in changes} == {
        ("cart", "commit", ("cart/pool.yaml",)),
        ("cart", "deploy", ("cart/pool.yaml",)),
        ("payments", "commit", ("payments/retry.go",)),
        ("payments", "deploy", ("payments/retry.go",)),
    }


async def test_without_deployments_commits_and_releases_count() -> None:
    server = GitHub(history=history(), releases=[release("v1", ago(4000)), release("v2", ago(30))])
    changes, reason = await changes_of(server)
    assert reason is None
    assert [(one.kind, one.id) for one in changes] == [("commit", D), ("deploy", "release-v2")]
    assert changes[0].at == ago(40)
    assert (changes[1].before, changes[1].after, changes[1].title) == ("v1", "v2", "released Shop v2")
    assert "cart/pool.yaml" in changes[1].files
    assert any("since=2026-03-01T10:00:00Z" in one for one in server.trouble.asked)


async def test_a_draft_is_no_release() -> None:
    draft = release("v2", ago(30), draft=True)
    changes, _ = await changes_of(GitHub(history=history(), releases=[draft]))
    assert [one.kind for one in changes] == ["commit"]


async def test_the_deployment_before_is_found_pages_away() -> None:
    server = deployed()
    server.deployments += [Deployment(id=100 + n, at=ago(400 + n), sha=C) for n in range(150)]
    changes, reason = await changes_of(server)
    assert (changes[-1].before, reason) == (A, None)


async def test_redeployments_of_the_same_code_do_not_hide_what_was_before() -> None:
    server = deployed()
    server.deployments += [Deployment(id=100 + n, at=ago(1700 + n), sha=C) for n in range(150)]
    changes, reason = await changes_of(server)
    assert (changes[-1].before, reason) == (A, None)


async def test_a_comparison_with_what_never_succeeded_is_said_to_be_one() -> None:
    server = deployed()
    server.deployments[0].statuses = [(5, "failure")]
    changes, reason = await changes_of(server)
    assert changes[-1].before == A
    assert reason == "acme/shop: deployment 2 is compared with one that did not succeed"


async def test_more_calls_than_a_question_may_cost_are_not_made() -> None:
    server = deployed()
    server.deployments += [
        Deployment(id=100 + n, at=ago(1) - timedelta(seconds=n), sha=C, statuses=[(0, "queued")])
        for n in range(150)
    ]
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="github", reason="needs more than 80 calls")
    assert len(server.trouble.asked) == 80
    assert len(found.reason or "") <= 500


async def test_more_pages_than_are_read_are_said_to_be_missing() -> None:
    server = deployed()
    server.deployments += [
        Deployment(id=100 + n, at=ago(130), sha=C, statuses=[(0, "queued")]) for n in range(600)
    ]
    _, reason = await changes_of(server)
    assert "only the newest 500 deployments were looked at" in (reason or "")


async def test_a_file_without_a_patch_keeps_its_name() -> None:
    server = deployed()
    server.history.commits[2].files["dist/bundle.js"] = ""
    changes, _ = await changes_of(server)
    assert "dist/bundle.js" in changes[-1].files
    assert "bundle.js" not in changes[-1].diff


async def test_one_repository_that_cannot_be_read_makes_the_answer_incomplete() -> None:
    changes, reason = await changes_of(deployed(), PRODUCTION, {"repository": "acme/gone", "service": "gone"})
    assert len(changes) == 3
    assert reason is not None
    assert reason.startswith("acme/gone: answered 404, there is no such thing or the token may not see it")


async def test_nothing_found_where_something_could_not_be_read_is_a_gap() -> None:
    async with github(GitHub(), PRODUCTION, {"repository": "acme/gone", "service": "gone"}) as source:
        check_failed(
            await source.ask(ChangeQuery(), WINDOW, "x"), kind="change.list", source="github", reason="404"
        )


async def test_a_wrong_token_is_said() -> None:
    wrong = "ghp_wrong0wrong0wrong0wrong0wrong00000000"
    async with github(deployed(), token=wrong) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="github", reason="answered 401")
    assert "Bad credentials" in (found.reason or "")
    assert wrong not in repr(found)


async def test_a_used_up_rate_limit_is_a_reason_that_says_until_when() -> None:
    server = deployed()
    server.remaining = 0
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(
        found,
        kind="change.list",
        source="github",
        reason="answered 403: rate limit reached until 2026-03-01 12:00:00 UTC",
    )


async def test_a_rate_limit_half_way_keeps_what_was_read() -> None:
    server = deployed()
    server.remaining = 4
    changes, reason = await changes_of(server)
    assert [(one.kind, bool(one.diff)) for one in changes] == [
        ("commit", False),
        ("commit", False),
        ("deploy", True),
    ]
    assert "rate limit reached" in (reason or "")


async def test_a_secondary_rate_limit_is_told_from_a_refusal() -> None:
    server = deployed()
    server.trouble.kind, server.trouble.headers = "403", {"Retry-After": "30"}
    server.trouble.body = '{"message": "You have exceeded a secondary rate limit."}'
    _, reason = await changes_of(server)
    assert reason == "acme/shop: answered 403: rate limit reached; it asks to wait 30 s"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("slow", "no answer within 0.4 s"),
        ("flood", "larger than 8192 KiB"),
        ("drop", "cannot reach http://127.0.0.1"),
        ("html", "text/html that is not the expected API"),
        ("malformed", "application/json that is not the expected API"),
        ("redirect", "a redirect to another server"),
        ("500", "answered 500"),
    ],
)
async def test_each_fault_is_a_gap_with_its_reason(kind: str, reason: str) -> None:
    server = deployed()
    server.trouble.kind = kind
    timeout = "400ms" if kind == "slow" else "20s"
    async with github(server, timeout=timeout) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="github", reason=reason)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/deployments", '{"a": 1}', "no list of objects"),
        ("/deployments", '[{"id": 1}]', "without a readable created_at"),
        ("/deployments", "[7]", "no list of objects"),
        ("/deployments", '[{"id": "x/../y", "created_at": "2026-03-01T11:00:00Z"}]', "id is no number"),
        ("/statuses", '[{"state": "success"}]', "without a readable created_at"),
    ],
)
async def test_an_answer_of_another_shape_is_a_gap(path: str, body: str, reason: str) -> None:
    server = deployed()
    server.trouble.kind, server.trouble.path, server.trouble.body = "200", path, body
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="github", reason=reason)


async def test_a_comparison_that_fails_leaves_the_deployment() -> None:
    server = deployed()
    server.trouble.kind, server.trouble.path = "500", f"{A}...{C}"
    changes, reason = await changes_of(server)
    assert [(one.kind, one.diff) for one in changes] == [("deploy", "")]
    assert reason == "acme/shop: what deployment 2 brought: answered 500"


async def test_a_page_that_fails_leaves_those_before_it() -> None:
    server = deployed()
    server.deployments += [Deployment(id=100 + n, at=ago(400 + n), sha=C) for n in range(150)]
    server.trouble.kind, server.trouble.path = "500", "page=2"
    changes, reason = await changes_of(server)
    assert [one.id for one in changes] == ["deployment-2"]
    assert "only the newest 100 deployments were looked at: answered 500" in (reason or "")


async def test_an_environment_that_fails_leaves_the_others() -> None:
    server = deployed()
    server.trouble.kind, server.trouble.path = "500", "environment=staging"
    changes, reason = await changes_of(server, {**SHOP, "environments": ["staging", "production"]})
    assert len(changes) == 3
    assert reason == "acme/shop: answered 500"


async def test_a_server_that_is_not_there_is_a_gap() -> None:
    async with aiohttp.ClientSession() as session:
        options = {"url": f"http://127.0.0.1:{free_port()}", "repositories": [SHOP]}
        source = github_changes(GithubSource.model_validate(options), session, FixedClock())
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="github", reason="cannot reach http://127.0.0.1")


async def test_the_next_page_of_another_server_is_not_asked() -> None:
    server = deployed()
    server.trouble.kind, server.trouble.path, server.trouble.body = "200", "/deployments", "[]"
    server.trouble.headers = {"Link": '<https://evil.example.org/repos?page=2>; rel="next"'}
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    check_failed(found, kind="change.list", source="github", reason="next page on another server")


async def test_a_renamed_repository_is_followed_on_the_same_server() -> None:
    server = deployed()
    app = server.app()

    async def moved(request: aiohttp.web.Request) -> aiohttp.web.Response:
        target = request.path_qs.replace("/repos/acme/old", "/repos/acme/shop")
        return aiohttp.web.Response(status=301, headers={"Location": target})

    app.router.add_get("/repos/acme/old/{rest:.*}", moved)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        old = {"repository": "acme/old", "service": "shop", "environments": ["production"]}
        options = {"url": url, "token": TOKEN, "repositories": [old]}
        source = github_changes(GithubSource.model_validate(options), session, FixedClock())
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert len(found.changes) == 3


async def test_only_so_many_changes_as_asked_for_are_kept_and_that_is_said() -> None:
    async with github(deployed()) as source:
        found = await source.ask(ChangeQuery(limit=1), WINDOW, "shop")
    assert [one.kind for one in found.changes] == ["deploy"]
    assert found.reason == "showing the last 1 of 3 changes"


async def test_outsiders_texts_are_marked_where_the_configuration_says_so() -> None:
    for marked in (True, False):
        async with github(deployed(), outsider_writable=marked) as source:
            found = await source.ask(ChangeQuery(), WINDOW, "shop")
        assert found.outsider_writable is marked


CANARY = "hunter2hunter2"


async def test_a_secret_in_a_commit_never_comes_through() -> None:
    server = deployed()
    block = f"@@ -1,3 +1,4 @@\n data:\n+  password: |\n+    {CANARY}\n+    {CANARY}-2\n+  other: fine"
    inside = f"@@ -4,3 +4,3 @@\n   db_password: >-\n-    {CANARY}-old\n+    {CANARY}-new\n   size: 3"
    key = f"@@ -1 +1 @@\n+-----BEGIN RSA PRIVATE KEY-----\n+{CANARY}\n+-----END RSA PRIVATE KEY-----\n+after"
    server.history.commits[2] = type(server.history.commits[2])(
        sha=C,
        at=ago(600),
        message=f"Use token={CANARY}",
        author=f"mail+{CANARY}@example.org",
        files={
            "values.yaml": f"@@ -1 +1 @@\n-password: old\n+password: {CANARY}",
            "block.yaml": block,
            "inside.yaml": inside,
            "deploy.sh": key,
            "app/prod.env": f"@@ -1 +1 @@\n+ANYTHING={CANARY}",
            "k8s/shop-secret.yaml": f"@@ -1 +1 @@\n+  anything: {CANARY}",
            f"password={CANARY}": "@@ -1 +1 @@\n+x",
        },
    )
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert found.status is EvidenceStatus.OK
    assert CANARY not in repr(found)
    diff = found.changes[-1].diff
    assert "+  other: fine" in diff
    assert "   size: 3" in diff
    assert "+after" in diff
    assert "app/prod.env" in found.changes[-1].files


async def test_a_secret_in_an_error_and_our_own_token_never_come_through() -> None:
    server = deployed()
    server.trouble.kind = "400"
    server.trouble.body = f'{{"message": "token={CANARY} and Bearer {TOKEN} are wrong, {TOKEN}"}}'
    async with github(server) as source:
        found = await source.ask(ChangeQuery(), WINDOW, "shop")
    assert found.status is EvidenceStatus.FAILED
    assert "are wrong" in (found.reason or "")
    assert CANARY not in repr(found)
    assert TOKEN not in repr(found)


async def test_a_probe_says_how_it_is() -> None:
    async with github(deployed()) as source:
        assert await source.probe() == "no change in acme/shop"
