"""Jira: recent tickets about a service, whatever the service is called, and every way not to know them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.jira import JiraTickets
from bot.domain.errors import Unavailable
from bot.domain.evidence import EvidenceStatus
from config.schema import JiraSource
from investigators.queries import TicketQuery
from tests.adapters.evidence.changes_world import WINDOW, ago
from tests.contracts.record_contract import check_failed, check_source
from tests.fakes.evidence import FixedClock
from tests.servers.jira import EMAIL, TOKEN, Jira, Ticket
from tests.servers.trouble import serving

CANARY = "hunter2hunter2"
CART = TicketQuery(service="cart")


def tracked() -> Jira:
    return Jira(
        tickets=[
            Ticket(
                key="OPS-7", summary="cart is slow after the release", updated=ago(60), status="In Progress"
            ),
            Ticket(key="OPS-3", summary="Cart loses items", updated=ago(600), status="Done"),
            Ticket(key="WEB-1", summary="cart button is grey", updated=ago(30)),
            Ticket(key="OPS-9", summary="payments fail", updated=ago(20), labels=("cart",)),
        ]
    )


@asynccontextmanager
async def jira(server: Jira, token: str = TOKEN, **more: Any) -> AsyncIterator[JiraTickets]:
    async with serving(server.app()) as url, aiohttp.ClientSession() as session:
        options = {"url": url, "auth": {"username": EMAIL, "password": token}, **more}
        yield JiraTickets(JiraSource.model_validate(options), session, FixedClock())


async def test_it_keeps_the_contract() -> None:
    async with jira(tracked()) as source:
        found = await check_source(source, CART, WINDOW, secrets=[TOKEN])
        assert not source.covers(TicketQuery(service=" "))
    assert '-u "$JIRA_LOGIN"' in (found.manual or "")
    assert found.outsider_writable


async def test_tickets_come_newest_first_with_where_they_are() -> None:
    async with jira(tracked(), projects=["OPS"]) as source:
        found = await source.ask(CART, WINDOW, "cart")
    first, second = found.records
    assert dict(first, url="") == {
        "key": "OPS-7",
        "summary": "cart is slow after the release",
        "status": "In Progress",
        "created": "2026-03-01T11:00:00.000000Z",
        "updated": "2026-03-01T11:00:00.000000Z",
        "url": "",
    }
    assert str(first["url"]).endswith("/browse/OPS-7")
    assert second["key"] == "OPS-3"
    assert found.reason is None


async def test_a_label_may_name_the_service() -> None:
    async with jira(tracked(), by_label=True) as source:
        found = await source.ask(CART, WINDOW, "cart")
    assert [one["key"] for one in found.records] == ["OPS-9"]


async def test_what_is_asked_is_recent_and_of_the_projects() -> None:
    async with jira(tracked(), projects=["OPS", "WEB"], days=7) as source:
        assert source.jql("cart") == (
            'project in ("OPS", "WEB") AND text ~ "\\"cart\\"" AND updated >= -7d ORDER BY updated DESC'
        )


async def test_pages_are_followed_up_to_what_was_asked_for() -> None:
    server = tracked()
    server.page = 1
    async with jira(server) as source:
        every = await source.ask(CART, WINDOW, "cart")
        two = await source.ask(TicketQuery(service="cart", limit=2), WINDOW, "cart")
    assert ([one["key"] for one in every.records], every.reason) == (["WEB-1", "OPS-7", "OPS-3"], None)
    assert [one["key"] for one in two.records] == ["WEB-1", "OPS-7"]
    assert two.reason == "showing the last 2 tickets of more"


async def test_no_ticket_is_empty() -> None:
    async with jira(tracked()) as source:
        found = await source.ask(TicketQuery(service="nothing"), WINDOW, "nothing")
    assert (found.status, found.reason) == (EvidenceStatus.EMPTY, "no ticket in 30 days")


@pytest.mark.parametrize(
    "service",
    [
        '" OR project = SECRET OR text ~ "x',
        "\\",
        '\\"',
        'a" ORDER BY created',
        "x\ny",
        "a AND b",
        "(cart)",
        "car* ~ ?",
        "'; drop",
        "\u202eevil",
        '"' * 300,
    ],
)
@pytest.mark.parametrize("by_label", [True, False])
async def test_a_service_of_any_name_is_only_a_text_to_look_for(service: str, by_label: bool) -> None:
    server = tracked()
    async with jira(server, by_label=by_label) as source:
        found = await source.ask(TicketQuery(service=service), WINDOW, "x")
    assert found.status is EvidenceStatus.EMPTY, found.reason


@given(service=st.text(min_size=1, max_size=80), by_label=st.booleans())
def test_no_service_name_ends_its_quotes(service: str, by_label: bool) -> None:
    options = {
        "url": "https://jira.example.org",
        "auth": {"username": EMAIL, "password": TOKEN},
        "by_label": by_label,
    }
    # No session: nothing is asked.
    source = JiraTickets(JiraSource.model_validate(options), None, FixedClock())  # type: ignore[arg-type]
    jql = source.jql(service)
    list(Jira()._matching(jql))
    clauses = jql.partition(" ORDER BY ")[0]
    assert clauses.startswith(("text ~ ", "labels = "))


async def test_a_wrong_token_is_said() -> None:
    wrong = "ATATT3xFfGF0wrong0wrong"
    async with jira(tracked(), token=wrong) as source:
        found = await source.ask(CART, WINDOW, "cart")
        with pytest.raises(Unavailable, match="answered 401"):
            await source.probe()
    check_failed(found, kind="ticket.list", source="jira", reason="answered 401")
    assert wrong not in repr(found)


async def test_a_search_that_jira_refuses_is_said() -> None:
    server = tracked()
    server.trouble.kind = "400"
    server.trouble.body = "{\"errorMessages\": [\"The value 'OPS' does not exist for the field 'project'.\"]}"
    async with jira(server) as source:
        found = await source.ask(CART, WINDOW, "cart")
    check_failed(found, kind="ticket.list", source="jira", reason="The value 'OPS' does not exist")


async def test_a_rate_limit_is_a_reason() -> None:
    server = tracked()
    server.trouble.kind, server.trouble.headers = "429", {"Retry-After": "10"}
    async with jira(server) as source:
        found = await source.ask(CART, WINDOW, "cart")
    check_failed(found, kind="ticket.list", source="jira", reason="rate limit reached; it asks to wait 10 s")


@pytest.mark.parametrize("kind", ["slow", "flood", "drop", "html", "malformed", "redirect", "503"])
async def test_each_fault_is_a_gap(kind: str) -> None:
    server = tracked()
    server.trouble.kind = kind
    async with jira(server, timeout="400ms" if kind == "slow" else "20s") as source:
        found = await source.ask(CART, WINDOW, "cart")
    check_failed(found, kind="ticket.list", source="jira", reason="")
    assert found.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "a result that is no object"),
        ("{}", "issues that are no list"),
        ('{"issues": [{"key": "OPS-1"}]}', "an issue that is no object"),
        ('{"issues": [{"key": "x/../y", "fields": {}}]}', "key is none"),
        ('{"issues": [{"key": "OPS-1", "fields": {"created": "soon"}}]}', "readable created"),
        ('{"issues": [], "nextPageToken": "again"}', "same next page again and again"),
    ],
)
async def test_an_answer_of_another_shape_is_a_gap(body: str, reason: str) -> None:
    server = tracked()
    server.trouble.kind, server.trouble.body = "200", body
    async with jira(server) as source:
        found = await source.ask(CART, WINDOW, "cart")
    check_failed(found, kind="ticket.list", source="jira", reason=reason)


async def test_a_secret_never_comes_through() -> None:
    server = tracked()
    server.tickets.append(Ticket(key="OPS-8", summary=f"cart: password={CANARY}", updated=ago(1)))
    async with jira(server) as source:
        found = await source.ask(CART, WINDOW, "cart")
        assert found.status is EvidenceStatus.OK
        assert CANARY not in repr(found)
        asked = await source.ask(TicketQuery(service=f"token={CANARY}"), WINDOW, "x")
        assert CANARY not in repr(asked)
    server.trouble.kind, server.trouble.body = "400", f'{{"errorMessages": ["{TOKEN} and token={CANARY}"]}}'
    async with jira(server) as source:
        found = await source.ask(CART, WINDOW, "cart")
    assert CANARY not in repr(found)
    assert TOKEN not in repr(found)


async def test_a_probe_says_how_it_is() -> None:
    async with jira(tracked()) as source:
        assert await source.probe() == "Jira answers a search"
