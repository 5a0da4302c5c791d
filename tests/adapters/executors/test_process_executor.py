"""Restarting real processes."""

from __future__ import annotations

import asyncio
import errno
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from adapters.executors.process.marker import Markers
from bot.domain.errors import ConfigError
from bot.domain.proposal import Action, Target
from tests.adapters.executors.processes import RESTART, Bench, alive, pid_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def with_habit(tmp_path: Path, habit: str) -> Bench:
    return Bench(tmp_path, habit)


@pytest.fixture
def health() -> Iterator[tuple[str, list[int]]]:
    """A health URL that answers with the last status of the list."""
    status = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[-1])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/healthz", status
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_restart_ends_the_old_process_and_brings_up_a_new_one(bench: Bench) -> None:
    old = await bench.first_start()
    inspector = bench.inspector()
    before = await inspector.locate(RESTART)
    assert pid_of(before) == old
    result = await bench.executor().run(RESTART, before, "key-1")
    assert result.ok, result
    after = await inspector.locate(RESTART)
    new = pid_of(after)
    assert new != old
    assert not alive(old)
    assert alive(new)
    assert after.uid == result.new_uid
    assert bench.pid_file.read_text().strip() == str(new)
    assert f"pid {old} → {new}" in result.summary
    assert f"SIGTERM to pid {old}" in result.output
    await bench.up(new)
    assert f"up {new}" in bench.log_file.read_text()
    assert os.getsid(new) == new, "it must outlive our terminal"


async def test_verification_sees_the_new_process(bench: Bench, health: tuple[str, list[int]]) -> None:
    await bench.first_start()
    inspector = bench.inspector(health_url=health[0])
    before = await inspector.locate(RESTART)
    result = await bench.executor(health_url=health[0]).run(RESTART, before, "key-1")
    assert "healthy" in result.summary
    checks = {check.name: check.ok for check in await inspector.check(RESTART, before, result)}
    assert checks == {"running": True, "identity": True, "stable": True, "health": True}


async def test_verification_tells_an_unhealthy_process_from_a_healthy_one(
    bench: Bench, health: tuple[str, list[int]]
) -> None:
    await bench.first_start()
    inspector = bench.inspector(health_url=health[0])
    before = await inspector.locate(RESTART)
    health[1].append(503)
    result = await bench.executor(timeout=5.5, health_url=health[0]).run(RESTART, before, "key-1")
    assert result.ok
    assert "not healthy yet (HTTP 503)" in result.summary
    checks = {check.name: check for check in await inspector.check(RESTART, before, result)}
    assert checks["health"].ok is False
    assert "503" in checks["health"].detail
    assert checks["running"].ok is True


async def test_verification_notices_that_nothing_happened(bench: Bench) -> None:
    await bench.first_start()
    inspector = bench.inspector()
    before = await inspector.locate(RESTART)
    result = await bench.executor().run(RESTART, replace(before, uid="1@1+another-boot"), "key-1")
    checks = {check.name: check.ok for check in await inspector.check(RESTART, before, result)}
    assert checks == {"running": True, "identity": False, "stable": None}


async def test_verification_notices_a_process_that_died_after_the_restart(bench: Bench) -> None:
    await bench.first_start()
    inspector = bench.inspector()
    before = await inspector.locate(RESTART)
    result = await bench.executor().run(RESTART, before, "key-1")
    started = psutil.Process(bench.starts()[-1])
    started.kill()
    psutil.wait_procs([started], timeout=5)
    checks = {check.name: check.ok for check in await inspector.check(RESTART, before, result)}
    assert checks == {"running": False, "identity": False, "stable": False}


async def test_a_process_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "stubborn")
    try:
        old = await bench.first_start()
        short = {"stop_timeout": timedelta(milliseconds=300)}
        before = await bench.inspector(**short).locate(RESTART)
        result = await bench.executor(**short).run(RESTART, before, "key-1")
        assert result.ok, result
        assert "SIGKILL" in result.summary
        assert not alive(old)
        assert len(bench.starts()) == 2
    finally:
        bench.close()


async def test_without_pidfd_a_restart_works_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", unknown)
    old = await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    result = await bench.executor().run(RESTART, before, "key-1")
    assert result.ok, result
    assert not alive(old)


async def test_another_process_than_the_approved_one_is_not_touched(bench: Bench) -> None:
    await bench.first_start()
    approved = await bench.inspector().locate(RESTART)
    bench.others[0].kill()
    bench.others[0].wait()
    replacement = await bench.first_start()
    result = await bench.executor().run(RESTART, approved, "key-1")
    assert not result.ok
    assert "target changed" in result.summary
    assert alive(replacement)
    assert bench.starts()[-1] == replacement, "nothing was started either"


async def test_a_process_that_ended_since_the_approval_is_not_started(bench: Bench) -> None:
    await bench.first_start()
    approved = await bench.inspector().locate(RESTART)
    bench.others[0].kill()
    bench.others[0].wait()
    result = await bench.executor().run(RESTART, approved, "key-1")
    assert not result.ok
    assert "target changed: absent now" in result.summary
    assert len(bench.starts()) == 1


async def test_a_service_that_is_down_can_be_approved_and_started(bench: Bench) -> None:
    target = await bench.inspector().locate(RESTART)
    assert target.uid == "absent"
    result = await bench.executor().run(RESTART, target, "key-1")
    assert result.ok, result
    assert (await bench.inspector().locate(RESTART)).uid == result.new_uid


async def test_one_key_restarts_once(bench: Bench) -> None:
    await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    first = await bench.executor().run(RESTART, before, "key-1")
    now = await bench.inspector().locate(RESTART)
    second = await bench.executor().run(RESTART, now, "key-1")
    assert second == first, "the recorded result, from another executor with the same state"
    assert len(bench.starts()) == 2


async def test_two_keys_for_one_process_at_once_restart_it_once(bench: Bench) -> None:
    await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    results = await asyncio.gather(
        *(bench.executor().run(RESTART, before, f"key-{number}") for number in range(4))
    )
    assert [result.ok for result in results].count(True) == 1
    assert len(bench.starts()) == 2


async def test_the_same_key_from_many_processes_restarts_once(bench: Bench) -> None:
    await bench.first_start()
    target = await bench.inspector().locate(RESTART)
    runners = [bench.popen(*runner(bench, target, "key-1", stop="3s")) for _ in range(3)]
    for process in runners:
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert len(bench.starts()) == 2


async def test_a_run_that_was_killed_halfway_is_never_run_again(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "stubborn")
    try:
        old = await bench.first_start()
        target = await bench.inspector().locate(RESTART)
        process = bench.popen(*runner(bench, target, "key-1", stop="20s"))
        async with asyncio.timeout(20):
            while not list((tmp_path / "state").glob("*.json")):
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        result = await bench.executor().run(RESTART, target, "key-1")
        assert not result.ok
        assert "never reported its end" in result.summary
        assert alive(old)
        assert len(bench.starts()) == 1
    finally:
        bench.close()


def runner(bench: Bench, target: Target, key: str, stop: str) -> tuple[str, ...]:
    """A Python of its own that runs the executor."""
    code = f"""
import asyncio, os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from adapters.executors.process import ProcessExecutor
from bot.domain.proposal import Action, Target
from config.schema import ManagedProcess

class Clock:
    def now(self):
        return datetime.now(UTC)

async def main():
    entry = ManagedProcess(name="shop", pid_file=Path({str(bench.pid_file)!r}), start={bench.argv!r},
                           log_file=Path({str(bench.log_file)!r}), stop_timeout={stop!r})
    action = Action(name="process.restart", executor="process", params={{"process": "shop"}})
    target = Target(kind="process", name="shop", uid={target.uid!r})
    state = Path({str(bench.directory / "state")!r})
    executor = ProcessExecutor([entry], clock=Clock(), environment=os.environ, state_dir=state,
                               timeout=timedelta(seconds=30))
    await executor.run(action, target, {key!r})

asyncio.run(main())
"""
    return sys.executable, "-c", code


async def test_a_claim_that_was_cut_off_while_it_was_written_still_counts(bench: Bench) -> None:
    await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    state = bench.directory / "state"
    assert Markers(state).claim("key-1", {}) is None
    for path in state.glob("*.json"):
        path.write_bytes(b"")
    result = await bench.executor().run(RESTART, before, "key-1")
    assert not result.ok
    assert len(bench.starts()) == 1


async def test_nothing_is_done_when_the_claim_cannot_be_written(bench: Bench) -> None:
    old = await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    (bench.directory / "state").write_text("a file where a directory is needed")
    result = await bench.executor().run(RESTART, before, "key-1")
    assert not result.ok
    assert "nothing was done" in result.summary
    assert alive(old)


async def test_a_command_that_cannot_be_started_leaves_the_old_process_alone(bench: Bench) -> None:
    old = await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    script = bench.directory / "wrapper"
    script.write_text("#!/nonexistent/interpreter\n")
    gone = (str(bench.directory / "no-such-program"), *bench.argv[1:])
    result = await bench.executor(start=gone).run(RESTART, before, "key-1")
    assert not result.ok
    assert alive(old)


async def test_a_program_that_vanishes_is_noticed_before_anything_is_stopped(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "plain")
    program = tmp_path / "python-copy"
    program.symlink_to(sys.executable)
    bench.argv = (str(program), *bench.argv[1:])
    try:
        old = await bench.first_start()
        before = await bench.inspector().locate(RESTART)
        program.unlink()
        dry_run = await bench.inspector().dry_run(RESTART, before)
        assert not dry_run.ok
        assert "no such executable program" in dry_run.summary
        result = await bench.executor().run(RESTART, before, "key-1")
        assert not result.ok
        assert "nothing was touched" in result.summary
        assert alive(old)
    finally:
        bench.close()


async def test_a_new_process_that_dies_at_once_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "dies-when-restarted")
    try:
        await bench.first_start()
        before = await bench.inspector().locate(RESTART)
        result = await bench.executor().run(RESTART, before, "key-1")
        assert not result.ok
        assert "exit code 3" in result.summary
        assert "is down" in result.summary
        assert "rejected" in result.output
        assert "hunter2" not in result.output, "secrets of the log stay out of the record"
    finally:
        bench.close()


async def test_a_service_that_writes_its_own_pid_file_keeps_it(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "own-pid-file")
    try:
        await bench.first_start()
        before = await bench.inspector().locate(RESTART)
        result = await bench.executor().run(RESTART, before, "key-1")
        assert result.ok, result
        assert bench.pid_file.read_text() == f"{bench.starts()[-1]}\nsecond line\n"
    finally:
        bench.close()


async def test_a_service_that_goes_into_the_background_is_followed_by_its_pid_file(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "background")
    try:
        target = await bench.inspector().locate(RESTART)
        result = await bench.executor().run(RESTART, target, "key-1")
        assert result.ok, result
        new = int(bench.pid_file.read_text())
        assert new != bench.starts()[-1]
        assert pid_of(await bench.inspector().locate(RESTART)) == new
    finally:
        bench.close()


async def test_our_secrets_are_not_handed_to_the_new_process(tmp_path: Path) -> None:
    bench = with_habit(tmp_path, "environment")
    try:
        target = await bench.inspector().locate(RESTART)
        result = await bench.executor().run(RESTART, target, "key-1")
        assert result.ok, result
        environment = psutil.Process(bench.starts()[-1]).environ()
        assert "PATH" in environment
        assert "canary" not in environment.values()
    finally:
        bench.close()


async def test_a_run_that_is_cancelled_still_brings_the_service_back(bench: Bench) -> None:
    old = await bench.first_start()
    before = await bench.inspector().locate(RESTART)
    executor = bench.executor()
    run = asyncio.create_task(executor.run(RESTART, before, "key-1"))
    await asyncio.to_thread(bench.others[0].wait, 10)
    run.cancel()
    await asyncio.wait({run})
    assert run.cancelled()
    async with asyncio.timeout(10):
        while len(bench.starts()) < 2 or not alive(bench.starts()[-1]):
            await asyncio.sleep(0.01)
        while (recorded := await bench.executor().run(RESTART, before, "key-1")).new_uid is None:
            await asyncio.sleep(0.05)
    assert recorded.ok
    assert not alive(old)


async def test_a_restart_command_of_a_service_manager_is_run_as_arguments(bench: Bench) -> None:
    old = await bench.first_start()
    manager = bench.directory / "manager"
    manager.write_text(
        f"#!/bin/sh\necho \"asked to $1 '$2'\"\nkill {old}\n"
        f"setsid {' '.join(bench.argv)} >/dev/null 2>&1 </dev/null &\necho $! > {bench.pid_file}\n"
    )
    manager.chmod(0o755)
    way = {"start": (), "restart": (str(manager), "restart", "shop; touch injected")}
    before = await bench.inspector(**way).locate(RESTART)
    result = await bench.executor(**way).run(RESTART, before, "key-1")
    assert result.ok, result
    assert "asked to restart 'shop; touch injected'" in result.output
    assert not (bench.directory / "injected").exists()
    after = await bench.inspector(**way).locate(RESTART)
    assert after.uid == result.new_uid != before.uid


async def test_a_restart_command_that_fails_is_reported_with_its_output(bench: Bench) -> None:
    way = {"start": (), "restart": ("/bin/sh", "-c", "echo unit not found; exit 5")}
    target = await bench.inspector(**way).locate(RESTART)
    result = await bench.executor(**way).run(RESTART, target, "key-1")
    assert not result.ok
    assert "exit code 5" in result.summary
    assert "unit not found" in result.output


async def test_a_restart_command_that_hangs_is_killed_with_what_it_started(bench: Bench) -> None:
    note = bench.directory / "child"
    way = {"start": (), "restart": ("/bin/sh", "-c", f"sleep 600 & echo $! > {note}; wait")}
    target = await bench.inspector(**way).locate(RESTART)
    result = await bench.executor(timeout=1, **way).run(RESTART, target, "key-1")
    assert not result.ok
    assert "did not end in" in result.summary
    child = int(note.read_text())
    async with asyncio.timeout(5):
        while alive(child):
            await asyncio.sleep(0.01)


async def test_endless_output_is_kept_to_64_kib(bench: Bench) -> None:
    way = {"start": (), "restart": ("/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' 'ä'; exit 1")}
    target = await bench.inspector(**way).locate(RESTART)
    result = await bench.executor(**way).run(RESTART, target, "key-1")
    assert "exit code 1" in result.summary
    assert 30_000 < len(result.output.encode()) <= 64 * 1024


async def test_an_action_of_another_kind_or_name_is_refused(bench: Bench) -> None:
    await bench.first_start()
    target = await bench.inspector().locate(RESTART)
    other = Action(name="process.kill", executor="process", params={"process": "shop"})
    assert not (await bench.executor().run(other, target, "k")).ok
    unknown = Action(name="process.restart", executor="process", params={"process": "bank"})
    result = await bench.executor().run(unknown, target, "k")
    assert not result.ok
    assert "'bank' is not a managed process; known: shop" in result.summary
    assert not (await bench.executor().run(RESTART, replace(target, name="bank"), "k")).ok
    assert len(bench.starts()) == 1


async def test_a_stop_timeout_that_leaves_no_time_to_start_is_refused_at_once(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="shop: stop_timeout must be at least 2 s shorter"):
        bench.executor(timeout=4)


async def test_an_ended_service_of_ours_leaves_no_zombie(bench: Bench) -> None:
    target = await bench.inspector().locate(RESTART)
    result = await bench.executor().run(RESTART, target, "key-1")
    assert result.ok, result
    pid = bench.starts()[-1]
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.01)
    assert subprocess.run(["ps", "-p", str(pid)], capture_output=True, check=False).returncode == 1
