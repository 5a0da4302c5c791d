"""This machine, looked at for real: real processes that leak, burn, crash and vanish."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.evidence.host import LocalHost, machine
from adapters.evidence.host.threads import Busy, Threads
from bot.domain.clock import SystemClock
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import HostEvidence, WatchedProcess
from investigators.ports import HostQuery
from tests.contracts.evidence_contract import check_host_source

BOX = "box"


def host(tmp_path: Path, **config: Any) -> LocalHost:
    watched = WatchedProcess(
        name="demo",
        match={"service": "demo"},
        pid_file=tmp_path / "pid",
        log_file=tmp_path / "log",
        exit_file=tmp_path / "exits",
    )
    return LocalHost(HostEvidence(**{"processes": (watched,), **config}), SystemClock(), BOX)


def window(seconds: float = 3600) -> Window:
    now = datetime.now(UTC)
    return Window(start=now - timedelta(seconds=seconds), end=now + timedelta(seconds=5))


QUERY = HostQuery(host=BOX, process="demo")


@asynccontextmanager
async def child(tmp_path: Path, code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real Python process whose pid stands in the pid file; ready when it has printed a line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    (tmp_path / "pid").write_text(f"{process.pid}\n")
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


IDLE = "import time; print('ready'); time.sleep(60)"
LEAK = """
import time
print('ready')
hoard = []
while True:
    hoard.append(bytearray(b'x') * 200_000)
    time.sleep(0.02)
"""
BURN = "print('ready')\nwhile True: pass"


@pytest.mark.parametrize(
    ("config", "labels", "covered", "process"),
    [
        ({}, {"service": "demo"}, True, "demo"),
        ({}, {"service": "demo", "instance": "box:80"}, True, "demo"),
        ({}, {"service": "demo", "instance": "elsewhere:80"}, False, None),
        ({}, {"service": "other", "instance": "BOX:80"}, True, None),
        ({}, {"service": "other"}, False, None),
        ({}, {"instance": "127.0.0.1:80"}, False, None),
        ({"names": ("127.0.0.1", "db-1")}, {"instance": "127.0.0.1:80", "service": "demo"}, True, "demo"),
        ({"names": ("db-1",)}, {"node": "db-1"}, True, None),
        ({"names": ("db-1",)}, {"instance": "box:80"}, False, None),
        ({"enabled": False}, {"service": "demo"}, False, None),
    ],
)
def test_an_alert_is_about_this_machine_or_it_is_not(
    tmp_path: Path, config: dict[str, Any], labels: Mapping[str, str], covered: bool, process: str | None
) -> None:
    query = host(tmp_path, **config).covers(labels)
    assert (query is not None) is covered
    if query is not None:
        assert query.process == process


def test_the_closest_match_names_the_process(tmp_path: Path) -> None:
    processes = (
        WatchedProcess(name="any", match={"service": "demo"}),
        WatchedProcess(name="this", match={"service": "demo", "instance": "10.0.0.9:80"}),
        WatchedProcess(name="none", match={}),
    )
    source = LocalHost(HostEvidence(processes=processes), SystemClock(), BOX)
    query = source.covers({"service": "demo", "instance": "10.0.0.9:80"})
    assert query is not None, "a match on the instance itself speaks for itself"
    assert query.process == "this"


async def test_a_leaking_process_is_seen_to_grow(tmp_path: Path) -> None:
    async with child(tmp_path, LEAK) as process:
        evidence = await host(tmp_path).processes(QUERY, window())
    assert evidence.status is EvidenceStatus.OK, evidence.reason
    (record,) = evidence.records
    assert (record["name"], record["pid"]) == ("demo", process.pid)
    values = [sample.value for sample in evidence.series[0].samples]
    assert len(values) == 6
    assert values == sorted(values)
    assert values[-1] - values[0] > 1_000_000
    span = evidence.series[0].samples[-1].at - evidence.series[0].samples[0].at
    assert timedelta(seconds=1) < span < timedelta(seconds=4)


async def test_cpu_use_is_measured_over_an_interval_and_not_since_the_start(tmp_path: Path) -> None:
    async with child(tmp_path, "import time\nsum(range(3*10**6))\nprint('ready'); time.sleep(60)"):
        calm = (await host(tmp_path).processes(QUERY, window())).records[0]
    async with child(tmp_path, BURN):
        busy = (await host(tmp_path).processes(QUERY, window())).records[0]
    assert float(calm["cpu_percent"] or 0) < 10
    assert float(busy["cpu_percent"] or 0) > 25, "two cores shared with other tests"


async def test_a_process_that_is_gone_is_a_record_that_says_so(tmp_path: Path) -> None:
    async with child(tmp_path, IDLE) as process:
        pid = process.pid
    evidence = await host(tmp_path).processes(QUERY, window())
    assert evidence.status is EvidenceStatus.OK
    assert evidence.records[0]["status"] == "not_running"
    assert evidence.records[0]["pid"] == pid


async def test_a_dead_child_that_nobody_reaped_does_not_run(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    (tmp_path / "pid").write_text(str(pid))
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        evidence = await host(tmp_path).processes(QUERY, window())
    finally:
        os.waitpid(pid, 0)
    assert evidence.records[0]["status"] == "not_running"


async def test_a_pid_that_now_belongs_to_somebody_else_is_not_our_process(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    os.utime(tmp_path / "pid", (time.time() - 10**6,) * 2)
    evidence = await host(tmp_path).processes(QUERY, window())
    assert evidence.records[0]["status"] == "not_running"
    assert "belongs to another process" in evidence.summary


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (None, EvidenceStatus.EMPTY, "pid file pid is not there"),
        ("", EvidenceStatus.FAILED, "does not hold a number"),
        ("12 34", EvidenceStatus.FAILED, "does not hold a number"),
        ("-1", EvidenceStatus.FAILED, "does not hold a number"),
        ("9" * 30, EvidenceStatus.OK, None),
    ],
)
async def test_odd_pid_files(
    tmp_path: Path, content: str | None, status: EvidenceStatus, reason: str | None
) -> None:
    if content is not None:
        (tmp_path / "pid").write_text(content)
    evidence = await host(tmp_path).processes(QUERY, window())
    assert evidence.status is status
    assert reason is None or reason in (evidence.reason or "")


async def test_without_a_pid_file_a_process_is_found_by_its_script(tmp_path: Path) -> None:
    script = tmp_path / "odd-service-name"
    script.write_text("import time; print('ready', flush=True); time.sleep(60)")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        config = HostEvidence(processes=(WatchedProcess(name="odd-service-name", match={"a": "b"}),))
        source = LocalHost(config, SystemClock(), BOX)
        evidence = await source.processes(HostQuery(host=BOX, process="odd-service-name"), window())
    finally:
        process.kill()
        await process.wait()
    assert evidence.records[0]["pid"] == process.pid


async def test_the_whole_machine_shows_the_busiest_processes(tmp_path: Path) -> None:
    async with child(tmp_path, BURN) as process:
        evidence = await host(tmp_path).processes(HostQuery(host=BOX), window())
    assert process.pid in [record["pid"] for record in evidence.records]
    assert len(evidence.records) <= 20
    assert evidence.outsider_writable


async def test_resources_are_plausible(tmp_path: Path) -> None:
    (record,) = (await host(tmp_path).resources(QUERY, window())).records
    assert 0 <= float(record["cpu_percent"] or 0) <= 100
    assert 0 < float(record["memory_available_bytes"] or 0) <= float(record["memory_total_bytes"] or 0)
    assert float(record["boot_at"] or 0) < time.time()


def test_pressure_stall_is_read_where_the_kernel_has_it(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00\n")
    record = machine.resources(tmp_path)
    assert record["memory_pressure_avg10"] == 12.5
    assert "cpu_pressure_avg10" not in record


async def test_disks_hold_the_root_and_agree_with_df(tmp_path: Path) -> None:
    evidence = await host(tmp_path).disks(QUERY, window())
    root = next(record for record in evidence.records if record["mount"] == "/")
    stats = os.statvfs("/")
    assert root["free_bytes"] == pytest.approx(stats.f_bavail * stats.f_frsize, rel=0.05)
    assert 0 <= float(root["used_percent"] or 0) <= 100


async def test_ports_of_a_process_are_its_own_and_its_workers(tmp_path: Path) -> None:
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        code = """
import os, socket, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
if os.fork() == 0:
    w = socket.socket(); w.bind(('127.0.0.1', 0)); w.listen()
    print(s.getsockname()[1], w.getsockname()[1]); time.sleep(60)
time.sleep(60)
"""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-c", code, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        (tmp_path / "pid").write_text(str(process.pid))
        assert process.stdout is not None
        ports = [int(part) for part in (await process.stdout.readline()).split()]
        try:
            evidence = await host(tmp_path).ports(QUERY, window())
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        assert {record["port"] for record in evidence.records} == set(ports)
        everything = await host(tmp_path).ports(HostQuery(host=BOX), window())
        assert ours.getsockname()[1] in [record["port"] for record in everything.records]


async def test_a_process_that_listens_nowhere_is_empty_and_not_failed(tmp_path: Path) -> None:
    async with child(tmp_path, IDLE):
        evidence = await host(tmp_path).ports(QUERY, window())
    assert (evidence.status, evidence.reason) == (EvidenceStatus.EMPTY, "nothing listens")


async def test_a_crash_by_signal_is_read_from_the_exit_file(tmp_path: Path) -> None:
    async with child(tmp_path, IDLE) as process:
        process.send_signal(signal.SIGSEGV)
        code = await process.wait()
        pid = process.pid
    entry = {"name": "demo", "pid": pid, "exit_code": code, "signal": -code, "at": time.time()}
    other = {**entry, "name": "other", "pid": 1}
    old = {**entry, "at": "2020-01-01T00:00:00Z"}
    (tmp_path / "exits").write_text("\n".join(json.dumps(item) for item in (old, other, entry)) + "\n")
    evidence = await host(tmp_path).exits(QUERY, window())
    assert [(r["pid"], r["signal"]) for r in evidence.records] == [(pid, 11)]
    assert evidence.reason is None


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (None, EvidenceStatus.FAILED, "is not there"),
        ("", EvidenceStatus.EMPTY, "no exit was recorded"),
        ("not json\n[1]\n", EvidenceStatus.FAILED, "no line is an exit record"),
        ('{"name":"demo","pid":1,"exit_code":null,"signal":null,"at":1}\n', EvidenceStatus.FAILED, "no line"),
        (
            '{"name":"demo","pid":1,"exit_code":1,"at":1}\n{broken\n',
            EvidenceStatus.FAILED,
            "1 malformed lines",
        ),
        ('{"name":"demo","pid":1,"exit_code":1e400,"at":1}\n', EvidenceStatus.FAILED, "no line"),
    ],
)
async def test_odd_exit_files(
    tmp_path: Path, content: str | None, status: EvidenceStatus, reason: str
) -> None:
    if content is not None:
        (tmp_path / "exits").write_text(content)
    evidence = await host(tmp_path).exits(QUERY, window())
    assert evidence.status is status
    assert reason in (evidence.reason or "")


async def test_a_log_is_marked_as_written_by_outsiders_and_has_a_command(tmp_path: Path) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    (tmp_path / "log").write_text(f"{now} ERROR token=supersecret99 gone\n")
    evidence = await host(tmp_path).log(QUERY, window())
    assert evidence.outsider_writable
    assert "supersecret99" not in repr(evidence)
    assert evidence.manual == f"tail -n 200 {tmp_path}/log"


@pytest.mark.parametrize("part", ["processes", "log", "exits", "ports"])
async def test_a_process_nobody_declared_is_a_reason(tmp_path: Path, part: str) -> None:
    evidence: Evidence = await getattr(host(tmp_path), part)(HostQuery(host=BOX, process="ghost"), window())
    assert evidence.status is EvidenceStatus.FAILED
    assert "'ghost'" in (evidence.reason or "")


async def test_a_look_that_never_comes_back_costs_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As statvfs on a dead network mount."""
    stuck = asyncio.Event()
    loop = asyncio.get_running_loop()
    release = threading.Event()

    def hang(mount: machine.Mount) -> dict[str, Any]:
        loop.call_soon_threadsafe(stuck.set)
        release.wait(10)
        return {}

    monkeypatch.setattr(machine, "usage", hang)
    source = host(tmp_path, timeout="200ms")
    began = time.monotonic()
    evidence = await source.disks(QUERY, window())
    release.set()
    assert stuck.is_set()
    assert time.monotonic() - began < 2
    assert evidence.status is EvidenceStatus.FAILED
    assert "no answer within 0.2 s" in (evidence.reason or "")


async def test_stuck_looks_do_not_pile_up() -> None:
    release = threading.Event()
    threads = Threads(limit=2)
    stuck = [asyncio.ensure_future(threads.run(lambda: release.wait(10))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await threads.run(lambda: None)
    release.set()
    await asyncio.gather(*stuck)
    assert await threads.run(lambda: 7) == 7


async def test_this_machine_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "exits").touch()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    (tmp_path / "log").write_text(f"{now} INFO hello\n")
    async with child(tmp_path, IDLE):
        await check_host_source(host(tmp_path), QUERY, window())
