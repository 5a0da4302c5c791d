"""The real process: how long until it is ready, what it holds when idle, how soon it is gone.

    python -m benchmarks.process [--rounds 5] [--idle 10] [--no-matrix] [--json]

Matrix is a real Synapse on loopback, started for this. Modules that only the test tools bring are hidden
from the service, see benchmarks.installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from benchmarks import installed
from benchmarks.measure import ROOT, Measure
from benchmarks.output import finish

_LIBRARIES = "import aiohttp, sqlalchemy, pydantic"
_READY_SECONDS = 60.0
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process from start to end. Memory in MB (2**20 bytes); ``private_mb`` leaves out the pages of
    programs and libraries that processes share."""

    start_s: float
    start_cpu_s: float
    rss_mb: float
    private_mb: float
    threads: int
    idle_cpu_percent: float
    stop_s: float


async def live(folder: Path, idle: float) -> Life:
    """Start `assent run` in ``folder`` as a service manager would, wait, stop it with SIGTERM."""
    port = int((folder / "port").read_text())
    with open_input() as standard_input, (folder / "log").open("ab") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            installed.command("run", "-c", str(folder / "assent.yaml")),
            cwd=ROOT,
            stdin=standard_input,
            stdout=log,
            stderr=log,
        )
        try:
            await _ready(port, process, folder / "log")
            start_s = time.perf_counter() - started
            seen = psutil.Process(process.pid)
            start_cpu_s = _cpu(seen)
            await asyncio.sleep(idle)
            idle_cpu = _cpu(seen) - start_cpu_s
            memory, threads = seen.memory_full_info(), seen.num_threads()
            told = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, 60)
            stop_s = time.perf_counter() - told
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        raise SystemExit(f"the service ended with {code}:\n{(folder / 'log').read_text()[-2000:]}")
    return Life(
        start_s=start_s,
        start_cpu_s=start_cpu_s,
        rss_mb=memory.rss / 2**20,
        private_mb=memory.uss / 2**20,
        threads=threads,
        idle_cpu_percent=idle_cpu / idle * 100 if idle else 0.0,
        stop_s=stop_s,
    )


@contextlib.contextmanager
def open_input() -> Iterator[int]:
    """A pipe that nobody writes to: a terminal at which nobody types."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


async def _ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(_READY_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            if process.poll() is not None:
                raise SystemExit(f"the service did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(_LOOK_SECONDS)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def bare(code: str, *, wait: bool = False) -> tuple[float, float, float]:
    """A bare interpreter that runs ``code``: seconds until done, its RSS in MB, seconds from SIGTERM on."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{code}\nprint(flush=True)\n" + ("import time; time.sleep(60)" if wait else ""),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    took, rss, stop = time.perf_counter() - started, 0.0, 0.0
    if wait:
        rss = psutil.Process(process.pid).memory_info().rss / 2**20
        told = time.perf_counter()
        process.terminate()
        process.wait()
        stop = time.perf_counter() - told
    process.communicate()
    return took, rss, stop


def write_configuration(folder: Path, chat: str, port: int) -> None:
    """A folder to run in: the configuration that an operator of one host would write."""
    subprocess.run(
        [sys.executable, "-m", "bot", "keys", "generate", "--out", str(folder / "signing.pem")],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder / "port").write_text(str(port))
    (folder / "assent.yaml").write_text(
        f"""
version: 1
data_dir: data
listen: {{host: 127.0.0.1, port: {port}}}
sources:
  - {{name: alertmanager, kind: alertmanager, auth: {{bearer: a-token-of-no-secrecy}}}}
evidence:
  host: {{names: [localhost]}}
  prometheus:
    - {{url: "http://127.0.0.1:9"}}
chat:
{chat}
  default_rooms: [incidents]
people:
  - {{id: ana, matrix: "@ana:example.org", roles: [viewer, "approver:*"]}}
keys: {{signing_key_file: signing.pem}}
ledger: {{anchor_file: anchors.txt}}
execution:
  enabled: true
  processes:
    - {{name: cart, pid_file: cart.pid, start: ["true"]}}
""",
        encoding="utf-8",
    )


CONSOLE = "  console: {}\n  rooms: [{name: incidents, console: true}]"


async def lives(folder: Path, rounds: int, idle: float) -> list[Life]:
    """Several lives on one store; the first, which makes the store, is not counted."""
    await live(folder, 0.0)
    found = [await live(folder, 0.0) for _ in range(rounds - 1)]
    return [*found, await live(folder, idle)]


async def matrix_lives(rounds: int, idle: float) -> list[Life]:
    from tests.servers.synapse import Synapse, free_port

    async with Synapse() as server:
        bot = await server.register("assent")
        async with await server.person("ana") as person:
            room = await person.create_room()
            with tempfile.TemporaryDirectory() as place:
                write_configuration(
                    Path(place),
                    f"""  matrix:
    homeserver: {server.url}
    user_id: "{bot.user_id}"
    password: {bot.password}
    invite_from: ["{person.user_id}"]
  rooms: [{{name: incidents, matrix: "{room}"}}]""",
                    free_port(),
                )
                await person.invite(room, bot.user_id)
                return await lives(Path(place), rounds, idle)


def judge(kind: str, found: list[Life], baseline: tuple[float, float, float], rss: float) -> list[Measure]:
    idle = found[-1]
    imports_s, _, stop_s = baseline
    start = statistics.median(life.start_s for life in found)
    cpu = statistics.median(life.start_cpu_s for life in found)
    return [
        Measure(
            name=f"cold start to /readyz, {kind}",
            value=start,
            unit="s",
            baseline_name=_LIBRARIES,
            baseline=imports_s,
            goal=1.5,
            note=f"median of {len(found)}, {cpu:.2f} s CPU",
        ),
        Measure(
            name=f"idle RSS, {kind}",
            value=idle.rss_mb,
            unit="MB",
            baseline_name="bare Python with matrix-nio imported",
            baseline=rss,
            goal=100,
            note=f"{idle.private_mb:.0f} MB private, {idle.threads} threads",
        ),
        Measure(
            name=f"SIGTERM to exit when idle, {kind}",
            value=statistics.median(life.stop_s for life in found),
            unit="s",
            baseline_name="bare Python with those imports",
            baseline=stop_s,
            goal=2,
            note=f"worst {max(life.stop_s for life in found):.2f} s",
        ),
    ]


def measure(rounds: int = 3, idle: float = 10.0, *, matrix: bool = True) -> list[Measure]:
    """Cold start, idle memory and stop, with the console and with Matrix."""
    from tests.servers.synapse import free_port, synapse_missing

    _, nio_rss, _ = bare("import nio", wait=True)
    runs = sorted(bare(_LIBRARIES, wait=True) for _ in range(rounds))
    baseline = runs[len(runs) // 2]
    with tempfile.TemporaryDirectory() as place:
        write_configuration(Path(place), CONSOLE, free_port())
        measures = judge("console", asyncio.run(lives(Path(place), rounds, idle)), baseline, nio_rss)
    if matrix and (missing := synapse_missing()) is not None:
        print(f"without Matrix: {missing}")
    elif matrix:
        measures += judge("Matrix", asyncio.run(matrix_lives(rounds, idle)), baseline, nio_rss)
    return measures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds before memory is looked at")
    parser.add_argument("--no-matrix", action="store_true", help="leave out what needs Synapse")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    return finish(measure(given.rounds, given.idle, matrix=not given.no_matrix), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
