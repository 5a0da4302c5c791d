"""A machine of a snapshot answers as a live one does, and what was not looked at is never empty."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.evidence.snapshot import Snapshot, SnapshotHost
from bot.domain.evidence import EvidenceStatus
from investigators.ports import HostQuery
from tests.adapters.evidence.snapshot.writing import HOUR, NOW, ago, meta, put
from tests.contracts.evidence_contract import check_host_source

DEMO = HostQuery(host="box", process="demo")
BOX = HostQuery(host="box")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    meta(tmp_path)
    osquery = {
        "name": "demo",
        "pid": "7",
        "resident_size": "1048576",
        "threads": "3",
        "state": "S",
        "start_time": "1772360000",
    }
    own = {"name": "web", "pid": 8, "rss_bytes": 5, "status": "zombie", "cpu_percent": 99.5, "open_files": 4}
    put(tmp_path, "hosts/box/processes.json", [osquery, own])
    put(
        tmp_path,
        "hosts/box/mounts.json",
        [
            {
                "path": "/",
                "blocks": "1000",
                "blocks_size": "4096",
                "blocks_available": "50",
                "inodes": "100",
                "inodes_free": "10",
            },
            {"path": "/proc", "blocks": "0", "blocks_size": "4096", "blocks_available": "0"},
        ],
    )
    put(
        tmp_path,
        "hosts/box/listening_ports.json",
        [{"pid": "7", "port": "8000", "address": "0.0.0.0"}, {"pid": "9", "port": "22", "address": "::"}],
    )
    put(
        tmp_path,
        "hosts/box/exits.json",
        [
            {"name": "demo", "pid": "6", "exit_code": "137", "signal": None, "at": ago(60)},
            {"name": "demo", "pid": "5", "exit_code": "0", "signal": None, "at": ago(7200)},
        ],
    )
    put(
        tmp_path,
        "hosts/box/log.json",
        [
            {"ts": ago(30), "message": "ERROR token=hunter2-canary", "process": "demo"},
            {"ts": ago(20), "message": "x", "process": "web"},
        ],
    )
    return tmp_path


def host(root: Path) -> SnapshotHost:
    return SnapshotHost(Snapshot(root), "box")


async def test_a_machine_of_a_snapshot_keeps_the_contract(root: Path) -> None:
    await check_host_source(host(root), DEMO, HOUR)


async def test_rows_of_osquery_become_the_records_of_a_host(root: Path) -> None:
    demo, web = (await host(root).processes(BOX, HOUR)).records
    assert (demo["pid"], demo["rss_bytes"], demo["status"], demo["started_at"]) == (
        7,
        1048576,
        "sleeping",
        1772360000,
    )
    assert (web["pid"], web["rss_bytes"], web["status"], web["cpu_percent"]) == (8, 5, "zombie", 99.5)
    (disk,) = (await host(root).disks(BOX, HOUR)).records
    assert disk == {
        "mount": "/",
        "total_bytes": 4096000,
        "free_bytes": 204800,
        "used_percent": 95.0,
        "inodes_used_percent": 90.0,
    }
    (port,) = (await host(root).ports(DEMO, HOUR)).records
    assert port == {"port": 8000, "address": "0.0.0.0", "pid": 7, "process": "demo"}


async def test_exits_and_lines_are_those_of_the_process_in_the_window(root: Path) -> None:
    (exit_,) = (await host(root).exits(DEMO, HOUR)).records
    assert (exit_["pid"], exit_["exit_code"], exit_["at"]) == (6, 137, ago(60))
    (line,) = (await host(root).log(DEMO, HOUR)).lines
    assert line.at == NOW - timedelta(seconds=30)
    assert "hunter2" not in line.text


async def test_a_table_that_is_not_there_is_a_failed_look_and_an_empty_one_is_empty(root: Path) -> None:
    assert (await host(root).resources(BOX, HOUR)).status is EvidenceStatus.FAILED
    put(root, "hosts/box/exits.json", [])
    assert (await host(root).exits(DEMO, HOUR)).status is EvidenceStatus.EMPTY


async def test_hosts_that_failed_say_why(root: Path) -> None:
    meta(root, fleet="failed: 401")
    evidence = await SnapshotHost(Snapshot(root), "box").disks(BOX, HOUR)
    assert (evidence.status, evidence.reason) == (EvidenceStatus.FAILED, "fleet: 401")


@pytest.mark.parametrize(
    ("labels", "query"),
    [
        ({"instance": "box:9100"}, (None,)),
        ({"node": "BOX", "service": "demo"}, ("demo",)),
        ({"service": "demo"}, ("demo",)),
        ({"service": "demo", "instance": "other:1"}, None),
        ({"service": "unknown"}, None),
        ({}, None),
    ],
)
def test_it_covers_alerts_that_name_the_machine_or_a_process_of_it(
    root: Path, labels: dict[str, str], query: tuple[str | None] | None
) -> None:
    found = host(root).covers(labels)
    assert (None if found is None else (found.process,)) == query
