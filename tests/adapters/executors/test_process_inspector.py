"""Finding the right process, trying without effect, telling a person."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.errors import InputError, Unavailable
from bot.domain.proposal import Action
from tests.adapters.executors.processes import RESTART, Bench, alive, pid_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


async def test_the_target_names_process_service_and_configured_labels(bench: Bench) -> None:
    await bench.first_start()
    target = await bench.inspector(labels={"criticality": "low"}).locate(RESTART)
    assert (target.kind, target.name) == ("process", "shop")
    assert target.labels == {"service": "shop", "criticality": "low"}
    assert target.uid == (await bench.inspector().locate(RESTART)).uid, "the identity does not drift"


async def test_an_action_that_names_nothing_managed_is_refused(bench: Bench) -> None:
    action = Action(name="process.restart", executor="process", params={"process": "bank"})
    with pytest.raises(InputError, match="known: shop"):
        await bench.inspector().locate(action)


async def test_a_missing_or_empty_pid_file_means_absent(bench: Bench) -> None:
    assert (await bench.inspector().locate(RESTART)).uid == "absent"
    bench.pid_file.write_text("\n")
    assert (await bench.inspector().locate(RESTART)).uid == "absent"


@pytest.mark.parametrize("content", ["-1", "0", "1", "12x", "twelve", "99999999999", "1 2"])
async def test_a_pid_file_with_anything_but_a_pid_is_not_believed(bench: Bench, content: str) -> None:
    bench.pid_file.write_text(content)
    with pytest.raises(Unavailable, match="does not hold a pid"):
        await bench.inspector().locate(RESTART)


async def test_a_pid_file_that_is_a_pipe_does_not_hang_us(bench: Bench) -> None:
    os.mkfifo(bench.pid_file)
    with pytest.raises(Unavailable, match="does not hold a pid"):
        await bench.inspector().locate(RESTART)


async def test_a_pid_that_was_reused_by_a_younger_program_means_absent(bench: Bench) -> None:
    stranger = bench.popen("/bin/sleep", "600")
    bench.pid_file.write_text(str(stranger.pid))
    yesterday = time.time() - 86_400
    os.utime(bench.pid_file, (yesterday, yesterday))
    target = await bench.inspector().locate(RESTART)
    assert target.uid == "absent"
    result = await bench.executor().run(RESTART, target, "key-1")
    assert result.ok, result
    assert alive(stranger.pid), "the stranger is not signalled"


async def test_an_older_process_that_runs_something_else_is_not_believed(bench: Bench) -> None:
    stranger = bench.popen("/bin/sh", "-c", "sleep 600; :", "--password=hunter2hunter2")
    bench.pid_file.write_text(str(stranger.pid))
    with pytest.raises(Unavailable, match="not the configured start command") as caught:
        await bench.inspector().locate(RESTART)
    assert "hunter2" not in str(caught.value)


async def test_the_same_program_with_other_arguments_is_not_believed(bench: Bench) -> None:
    other = bench.popen(sys.executable, "-c", "import time; time.sleep(600)")
    bench.pid_file.write_text(str(other.pid))
    with pytest.raises(Unavailable, match="not the configured start command"):
        await bench.inspector().locate(RESTART)


async def test_with_a_restart_command_a_younger_process_than_the_pid_file_means_absent(bench: Bench) -> None:
    stranger = bench.popen("/bin/sleep", "600")
    bench.pid_file.write_text(str(stranger.pid))
    way = {"start": (), "restart": ("/bin/true",)}
    assert pid_of(await bench.inspector(**way).locate(RESTART)) == stranger.pid
    os.utime(bench.pid_file, (time.time() - 60, time.time() - 60))
    assert (await bench.inspector(**way).locate(RESTART)).uid == "absent"


async def test_a_second_instance_is_not_started_beside_one_the_pid_file_lost(bench: Bench) -> None:
    pid = await bench.first_start()
    bench.pid_file.unlink()
    with pytest.raises(Unavailable, match=f"pid {pid} runs the start command"):
        await bench.inspector().locate(RESTART)


async def test_assent_itself_is_never_a_target(bench: Bench) -> None:
    for pid in (os.getpid(), os.getppid()):
        bench.pid_file.write_text(str(pid))
        with pytest.raises(Unavailable, match="Assent itself or one of its parents"):
            await bench.inspector(start=(), restart=("/bin/true",)).locate(RESTART)


async def test_a_zombie_is_not_running(bench: Bench) -> None:
    pid = await bench.first_start()
    bench.others[0].kill()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (await bench.inspector().locate(RESTART)).uid == "absent"


async def test_a_script_is_known_behind_its_interpreter_and_env_behind_itself(bench: Bench) -> None:
    script = bench.directory / "serve"
    script.write_text("#!/bin/sh\nwhile :; do sleep 600; done\n")
    script.chmod(0o755)
    running = bench.popen("/usr/bin/env", "SHOP=1", str(script), "--port", "1")
    bench.pid_file.write_text(str(running.pid))
    start = ("/usr/bin/env", "SHOP=1", str(script), "--port", "1")
    deadline = time.monotonic() + 5
    while "serve" not in " ".join(_argv(running)[:2]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pid_of(await bench.inspector(start=start).locate(RESTART)) == running.pid


def _argv(process: subprocess.Popen[bytes]) -> list[str]:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")


async def test_a_dry_run_says_what_would_happen_and_what_it_cannot_know(bench: Bench) -> None:
    pid = await bench.first_start()
    target = await bench.inspector().locate(RESTART)
    dry_run = await bench.inspector().dry_run(RESTART, target)
    assert dry_run.ok
    assert f"would stop pid {pid} (SIGTERM, SIGKILL after 3 s) and start" in dry_run.summary
    assert dry_run.uncovered is not None
    assert "nothing was stopped or started" in dry_run.uncovered
    assert alive(pid)
    assert bench.starts() == [pid]


async def test_a_dry_run_lists_every_obstacle(bench: Bench) -> None:
    changes = {
        "start": ("/no/such/program", "x"),
        "cwd": bench.directory / "nowhere",
        "log_file": bench.directory / "missing" / "log",
        "pid_file": bench.directory / "gone" / "pid",
    }
    target = await bench.inspector(**changes).locate(RESTART)
    dry_run = await bench.inspector(**changes).dry_run(RESTART, target)
    assert not dry_run.ok
    for part in ("/no/such/program", "nowhere", "log_file", "pid_file"):
        assert part in dry_run.summary


async def test_a_log_file_that_is_a_link_elsewhere_is_an_obstacle(bench: Bench) -> None:
    bench.log_file.symlink_to("/dev/null")
    target = await bench.inspector().locate(RESTART)
    dry_run = await bench.inspector().dry_run(RESTART, target)
    assert not dry_run.ok
    assert "not a regular file" in dry_run.summary


async def test_a_dry_run_on_another_identity_is_refused(bench: Bench) -> None:
    await bench.first_start()
    target = await bench.inspector().locate(RESTART)
    dry_run = await bench.inspector().dry_run(RESTART, replace(target, uid="7@7+boot"))
    assert not dry_run.ok
    assert "not the process it was" in dry_run.summary


@pytest.mark.skipif(os.getuid() != 0, reason="only root can look at its process as somebody else")
async def test_a_process_of_another_user_is_an_obstacle(bench: Bench) -> None:
    pid = await bench.first_start()
    code = f"""
import os
from pathlib import Path
from adapters.executors.process.identity import observe
from adapters.executors.process.inventory import Inventory
from adapters.executors.process.preflight import obstacles
from config.schema import ManagedProcess
process = observe({pid})
entry = ManagedProcess(name="shop", pid_file=Path("/dev/null"), start=("/bin/true",))
os.setgid(65534)
os.setuid(65534)
print(obstacles(Inventory([entry], {{}}), entry, process))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"no permission to signal pid {pid}: it belongs to another user" in shown


async def test_the_hints_for_people_are_commands_that_work(bench: Bench) -> None:
    pid = await bench.first_start()
    inspector = bench.inspector()
    target = await inspector.locate(RESTART)
    hint = inspector.inspect_hint(RESTART, target)
    look = hint.partition(";")[0]
    shown = subprocess.run(["/bin/sh", "-c", look], capture_output=True, text=True, check=True).stdout
    assert str(pid) in shown
    assert f"it was pid {pid}" in hint
    command = inspector.human_command(RESTART)
    subprocess.run(["/bin/sh", "-c", command], check=True, stdin=subprocess.DEVNULL)
    bench.others[0].wait(10)
    async with asyncio.timeout(10):
        while len(bench.starts()) < 2:
            await asyncio.sleep(0.01)
    after = await inspector.locate(RESTART)
    assert pid_of(after) == bench.starts()[-1] != pid
