"""Fleet: rows of one host, and every way not to get them. An offline host is a gap, not an empty table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from adapters.evidence.fleet import FleetHosts
from bot.domain.errors import Unavailable
from bot.domain.evidence import EvidenceStatus
from config.schema import FleetSource
from investigators.queries import Query, SelectQuery, TableQuery
from tests.adapters.evidence.changes_world import WINDOW
from tests.contracts.record_contract import check_failed, check_source
from tests.fakes.evidence import FixedClock
from tests.servers.fleet import TOKEN, Fleet, Host
from tests.servers.trouble import serving

CANARY = "hunter2hunter2"
PROCESSES = TableQuery(host="web-1:9100", table="processes")


def process(pid: int, name: str, cmdline: str = "", cpu: int = 0) -> tuple[Any, ...]:
    return (pid, 1, name, f"/usr/bin/{name}", cmdline, "S", 0, 1772360000, 4, 10_000, 20_000, cpu, 0, 1, 2)


def web() -> Fleet:
    return Fleet(
        hosts=[
            Host(
                rows={
                    "processes": [process(1, "init"), process(77, "shop", "shop --port 80", 900)],
                    "listening_ports": [(77, 80, 6, 2, "0.0.0.0", "")],
                    "deb_packages": [("curl", "7.88.1", "10", "amd64", "install ok installed")],
                    "rpm_packages": [("curl", "7.76.1", "29.el9", "x86_64", 1772300000)],
                    "logged_in_users": [("user", "ada", "pts/0", "198.51.100.7", 1772360000, 900)],
                    "file": [
                        ("/etc/hosts", "/etc", "hosts", 1, 0, 0, "0644", 100, 1, 1772360000, 1, "regular"),
                        ("/etc/shadow", "/etc", "shadow", 2, 0, 0, "0640", 100, 1, 1, 1, "regular"),
                    ],
                }
            ),
            Host(hostname="db-1", uuid="u-2", state="offline"),
            Host(hostname="slow-1", uuid="u-3", error="timeout waiting for a result"),
        ]
    )


@asynccontextmanager
async def fleet(server: Fleet, token: str = TOKEN, **more: Any) -> AsyncIterator[FleetHosts]:
    async with serving(server.app()) as url, aiohttp.ClientSession() as session:
        options = {"url": url, "token": token, **more}
        yield FleetHosts(FleetSource.model_validate(options), session, FixedClock())


@pytest.mark.parametrize("query", [PROCESSES, SelectQuery(host="web-1", sql="select name from processes")])
async def test_it_keeps_the_contract(query: Query) -> None:
    async with fleet(web()) as source:
        found = await check_source(source, query, WINDOW, secrets=[TOKEN])
    assert (found.manual or "").startswith("fleetctl query --exit --hosts web-1 --query 'SELECT ")


async def test_processes_come_by_cpu_with_numbers_as_numbers() -> None:
    async with fleet(web()) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
    assert [record["name"] for record in found.records] == ["shop", "init"]
    assert found.records[0]["pid"] == 77
    assert found.records[0]["user_time"] == 900
    assert found.records[0]["cmdline"] == "shop --port 80"
    assert found.reason is None


async def test_ports_come_with_the_name_of_who_listens() -> None:
    async with fleet(web()) as source:
        found = await source.ask(TableQuery(host="web-1", table="listening_ports"), WINDOW, "web-1")
        assert [(one["port"], one["name"]) for one in found.records] == [(80, "shop")]
    async with fleet(web(), tables=["listening_ports"]) as source:
        found = await source.ask(TableQuery(host="web-1", table="listening_ports"), WINDOW, "web-1")
        assert [one["port"] for one in found.records] == [80]


@pytest.mark.parametrize("table", ["deb_packages", "rpm_packages", "logged_in_users"])
async def test_packages_and_users_can_be_asked_for(table: str) -> None:
    async with fleet(web()) as source:
        found = await source.ask(TableQuery(host="web-1", table=table), WINDOW, "web-1")
    assert (found.status, len(found.records)) == (EvidenceStatus.OK, 1)


async def test_of_files_only_declared_ones_are_looked_at() -> None:
    query = TableQuery(host="web-1", table="file")
    async with fleet(web(), files=["/etc/hosts", "/etc/it's"]) as source:
        found = await source.ask(query, WINDOW, "web-1")
        assert [(one["path"], one["size"]) for one in found.records] == [("/etc/hosts", 100)]
    async with fleet(web()) as source:
        found = await source.ask(query, WINDOW, "web-1")
    check_failed(found, kind="osquery.table", source="fleet", reason="no file is declared")


async def test_an_offline_host_is_a_gap_and_not_an_empty_table() -> None:
    async with fleet(web()) as source:
        found = await source.ask(TableQuery(host="db-1", table="processes"), WINDOW, "db-1")
    check_failed(found, kind="osquery.table", source="fleet", reason="host is offline")


async def test_a_host_that_answers_with_an_error_is_a_gap() -> None:
    async with fleet(web()) as source:
        found = await source.ask(TableQuery(host="slow-1", table="processes"), WINDOW, "slow-1")
        check_failed(found, kind="osquery.table", source="fleet", reason="the host answered: timeout waiting")
        found = await source.ask(SelectQuery(host="web-1", sql="select x from users"), WINDOW, "web-1")
        check_failed(found, kind="osquery.select", source="fleet", reason="no such column: x")


async def test_what_users_of_a_host_choose_is_marked_as_theirs() -> None:
    tables = {"processes": True, "listening_ports": True, "logged_in_users": True, "memory_info": False}
    async with fleet(web()) as source:
        for table, theirs in tables.items():
            found = await source.ask(TableQuery(host="web-1", table=table), WINDOW, "web-1")
            if found.status is EvidenceStatus.OK:
                assert found.outsider_writable is theirs, table
        selected = await source.ask(
            SelectQuery(host="web-1", sql="select name from processes"), WINDOW, "web-1"
        )
        assert selected.outsider_writable
        said = await source.ask(TableQuery(host="slow-1", table="processes"), WINDOW, "web-1")
        assert said.status is EvidenceStatus.FAILED
        assert said.outsider_writable


async def test_no_row_is_empty() -> None:
    async with fleet(web()) as source:
        found = await source.ask(TableQuery(host="web-1", table="users"), WINDOW, "web-1")
    assert (found.status, found.reason) == (EvidenceStatus.EMPTY, "no rows")


async def test_more_rows_than_are_kept_are_said_to_be_missing() -> None:
    server = web()
    server.hosts[0].rows["processes"] = [process(n, f"p{n}") for n in range(30)]
    async with fleet(server, max_rows=10) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
        assert (len(found.records), found.reason) == (10, "showing the first 10 rows of more")
    server.hosts[0].rows["processes"] = [process(n, f"p{n}") for n in range(10)]
    async with fleet(server, max_rows=10) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
        assert (len(found.records), found.reason) == (10, None)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        (SelectQuery(host="web-1", sql="delete from users"), "osquery.select"),
        (SelectQuery(host="web-1", sql="select * from shadow"), "osquery.select"),
        (TableQuery(host="web-1", table="shadow"), "osquery.table"),
        (TableQuery(host="web-1", table="curl"), "osquery.table"),
    ],
)
async def test_what_is_not_admitted_never_reaches_the_server(query: Query, kind: str) -> None:
    server = web()
    async with fleet(server) as source:
        found = await source.ask(query, WINDOW, "web-1")
        assert source.command(query, WINDOW) is None
    check_failed(found, kind=kind, source="fleet", reason="was not asked: ")
    assert server.trouble.asked == []


async def test_what_is_sent_is_what_was_understood() -> None:
    server = web()
    async with fleet(server) as source:
        await source.ask(SelectQuery(host="web-1", sql='select  [name] from "users" ;'), WINDOW, "web-1")
    assert server.queries == ['SELECT "name" FROM "users" LIMIT 501']


async def test_the_evidence_says_the_exact_query() -> None:
    server = web()
    async with fleet(server) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
    assert found.query == f"{server.queries[0]} on web-1:9100"


async def test_hosts_are_found_by_their_name_without_a_port_and_by_aliases() -> None:
    server = web()
    options = {"hosts": [r"web-\d+"], "aliases": {"10.0.0.7": server.hosts[0].uuid}}
    async with fleet(server, **options) as source:
        for host, covered in {
            "web-1": True,
            "web-1:9100": True,
            "10.0.0.7:9100": True,
            "web-1.example.org": False,
            "": False,
            "db-1": False,
        }.items():
            assert source.covers(TableQuery(host=host, table="processes")) is covered, host
        found = await source.ask(TableQuery(host="10.0.0.7:9100", table="processes"), WINDOW, "x")
    assert found.status is EvidenceStatus.OK


async def test_a_host_that_fleet_does_not_know_is_a_gap() -> None:
    async with fleet(web()) as source:
        found = await source.ask(TableQuery(host="nope", table="processes"), WINDOW, "nope")
    check_failed(found, kind="osquery.table", source="fleet", reason="answered 404")
    assert "Host nope was not found" in (found.reason or "")


@pytest.mark.parametrize("host", ["..", "../../users", "a/b?x=1#y", "a" * 300])
async def test_a_host_name_cannot_lead_to_another_path(host: str) -> None:
    server = web()
    async with fleet(server) as source:
        found = await source.ask(TableQuery(host=host, table="processes"), WINDOW, "x")
    assert found.status is EvidenceStatus.FAILED
    assert all(path.startswith("/api/v1/fleet/hosts/identifier/") for path in server.trouble.asked)
    assert all(path.endswith("/query") for path in server.trouble.asked)
    assert server.queries == []


async def test_a_wrong_token_is_said() -> None:
    wrong = "fleet0wrong0wrong0wrong=="
    async with fleet(web(), token=wrong) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
        with pytest.raises(Unavailable, match="answered 401"):
            await source.probe()
    check_failed(found, kind="osquery.table", source="fleet", reason="answered 401, the token is wrong")
    assert wrong not in repr(found)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("slow", "no answer within 0.4 s"),
        ("flood", "larger than 8192 KiB"),
        ("drop", "cannot reach http://127.0.0.1"),
        ("html", "text/html that is not the expected API"),
        ("malformed", "not the expected API"),
        ("redirect", "a redirect, probably to a login page"),
        ("500", "answered 500"),
    ],
)
async def test_each_fault_is_a_gap_with_its_reason(kind: str, reason: str) -> None:
    server = web()
    server.trouble.kind = kind
    async with fleet(server, timeout="400ms" if kind == "slow" else "20s") as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
    check_failed(found, kind="osquery.table", source="fleet", reason=reason)


@pytest.mark.parametrize("body", ["[]", '{"rows": 7}', '{"rows": ["x"]}', '{"rows": [[1]]}', "null"])
async def test_an_answer_of_another_shape_is_a_gap(body: str) -> None:
    server = web()
    server.trouble.kind, server.trouble.body = "200", body
    async with fleet(server) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
    assert found.status is EvidenceStatus.FAILED


async def test_a_secret_never_comes_through() -> None:
    server = web()
    cmdline = f"shop --password {CANARY} --dsn postgres://u:{CANARY}@db/x TOKEN={CANARY}"
    server.hosts[0].rows["processes"] = [process(1, "shop", cmdline)]
    select = f"select cmdline as api_key, name from processes where name <> 'password={CANARY}'"
    async with fleet(server) as source:
        for query in (PROCESSES, SelectQuery(host="web-1", sql=select)):
            found = await source.ask(query, WINDOW, "web-1")
            assert found.status is EvidenceStatus.OK
            assert CANARY not in repr(found)
    server.hosts[0].error = f"token={CANARY} and {TOKEN} are wrong"
    async with fleet(server) as source:
        found = await source.ask(PROCESSES, WINDOW, "web-1")
    assert "are wrong" in (found.reason or "")
    assert CANARY not in repr(found)
    assert TOKEN not in repr(found)


async def test_a_probe_says_how_it_is() -> None:
    async with fleet(web()) as source:
        assert await source.probe() == "Fleet answers and knows hosts"
    async with fleet(Fleet(hosts=[])) as source:
        assert await source.probe() == "Fleet answers, but shows no host"
