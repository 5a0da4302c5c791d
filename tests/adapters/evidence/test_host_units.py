"""systemd's units of this machine, through a `systemctl` that prints what the real one prints."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.evidence.host import LocalUnits
from bot.domain.clock import SystemClock
from bot.domain.evidence import Evidence, EvidenceStatus, Window
from config.schema import HostEvidence
from investigators.queries import TableQuery
from tests.contracts.record_contract import check_failed, check_source

NOW = datetime.now(UTC)
WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
QUERY = TableQuery(host="box:9100", table="systemd_units")
# As `systemctl show '*.service' --all` of systemd 252 prints them.
BLOCKS = """Result=exit-code
NRestarts=5
ExecMainCode=1
ExecMainStatus=3
Id=demo.service
Description=Demo password=hunter2hunter2
LoadState=loaded
ActiveState=failed
SubState=failed
FragmentPath=/etc/systemd/system/demo.service

Result=success
NRestarts=0
ExecMainCode=0
ExecMainStatus=0
Id=cron.service
Description=Regular background program processing daemon
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/lib/systemd/system/cron.service

Result=success
Id=nowhere.service
LoadState=not-found
ActiveState=inactive
SubState=dead
"""


def systemctl(tmp_path: Path, body: str) -> str:
    path = tmp_path / "systemctl"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    return str(path)


def units(tmp_path: Path, body: str, seconds: float = 5, booted: bool = True) -> LocalUnits:
    config = HostEvidence(timeout=timedelta(seconds=seconds))
    there = tmp_path if booted else tmp_path / "nothing"
    return LocalUnits(config, SystemClock(), "box", systemctl(tmp_path, body), there)


async def ask(source: LocalUnits) -> Evidence:
    return await source.ask(QUERY, WINDOW, "demo")


async def test_a_failed_unit_is_told_with_its_result_and_what_is_not_installed_is_left_out(
    tmp_path: Path,
) -> None:
    source = units(tmp_path, f"print({BLOCKS!r}, end='')")
    evidence = await check_source(source, QUERY, WINDOW, secrets=["hunter2hunter2"])
    assert [record["id"] for record in evidence.records] == ["demo.service", "cron.service"]
    failed = evidence.records[0]
    assert (failed["active_state"], failed["result"]) == ("failed", "exit-code")
    assert (failed["exec_main_code"], failed["exec_main_status"], failed["restarts"]) == (1, 3, 5)
    assert evidence.excerpt.splitlines()[0] == "demo.service: failed (failed), result exit-code, status 3"


async def test_it_is_asked_for_this_machine_only_and_only_where_systemd_runs_it(tmp_path: Path) -> None:
    source = units(tmp_path, "")
    assert source.covers(QUERY)
    assert not source.covers(TableQuery(host="other", table="systemd_units"))
    assert not source.covers(TableQuery(host="box", table="processes"))
    assert not units(tmp_path, "", booted=False).covers(QUERY)
    assert not LocalUnits(HostEvidence(enabled=False), SystemClock(), "box", booted=tmp_path).covers(QUERY)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise SystemExit(1)", "exit code 1"),
        ("while True: print('Id=x.service\\n' * 10_000)", "printed more than 8 MiB"),
        ("import time; time.sleep(60)", "no answer within 0.5 s"),
    ],
    ids=["fails", "floods", "is slow"],
)
async def test_a_systemctl_that_misbehaves_is_a_gap_and_not_an_absence(
    tmp_path: Path, body: str, reason: str
) -> None:
    source = units(tmp_path, body, seconds=0.5 if "0.5" in reason else 20)
    check_failed(await ask(source), kind="osquery.table", source="units:box", reason=reason)


async def test_a_slow_systemctl_leaves_no_process_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    await ask(units(tmp_path, body, seconds=2))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_machine_without_the_program_says_so(tmp_path: Path) -> None:
    source = LocalUnits(HostEvidence(), SystemClock(), "box", str(tmp_path / "systemctl"), tmp_path)
    check_failed(await ask(source), kind="osquery.table", source="units:box", reason="No such file")


async def test_it_is_told_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSENT_KEY", "hunter2hunter2")
    source = units(tmp_path, "import os; print('Id=a.service\\nActiveState=active\\nSubState=', *os.environ)")
    (record,) = (await ask(source)).records
    assert "ASSENT_KEY" not in str(record["sub_state"])


@pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None,
    reason="systemd does not run this machine",
)
async def test_the_real_systemd_answers() -> None:
    host = socket.gethostname()
    source = LocalUnits(HostEvidence(), SystemClock(), host)
    evidence = await source.ask(TableQuery(host=host, table="systemd_units"), WINDOW, host)
    assert evidence.status is EvidenceStatus.OK
    assert any(str(record["id"]).endswith(".service") for record in evidence.records)
