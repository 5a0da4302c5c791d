"""`assent demo` as a newcomer runs it: a process in a terminal, that does what it says and leaves nothing."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from time import monotonic

import psutil
import pytest

from tests.servers.fixtures import require_synapse

REPOSITORY = Path(__file__).parents[2]
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SECONDS = 60.0
"""What an unattended demo may take."""


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """The demo's directory for temporary files; whatever ran there must have ended and be cleared away."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    yield directory
    assert [process.cmdline() for process in alive(tmp_path)] == []
    assert list(directory.iterdir()) == []


def alive(directory: Path) -> list[psutil.Process]:
    """Processes that were started with, or stand in, something below the directory."""
    found = []
    for process in psutil.process_iter():
        try:
            about = [*process.cmdline(), process.cwd(), process.environ().get("TMPDIR", "")]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(directory) in text for text in about):
            found.append(process)
    return found


def environment(scratch: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}


def demo(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without a terminal."""
    return subprocess.run(
        (sys.executable, "-m", "bot", "demo", *arguments),
        env=environment(scratch),
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_the_unattended_demo_restarts_the_process_for_real(scratch: Path) -> None:
    ran = demo(scratch, "--unattended")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (pids,) = re.findall(r"▸ The process was really restarted: pid (\d+) → (\d+)\.", ran.stdout)
    assert f"restarted (SIGTERM): pid {pids[0]} → {pids[1]}, healthy" in ran.stdout
    steps = (
        "Diagnosis of",
        "✋ Approval needed",
        "you ▸ ✅",
        "⚙️ Done",
        "It helped: verified",
        "resolved after",
    )
    positions = [ran.stdout.index(step) for step in steps]
    assert positions == sorted(positions)
    assert re.search(r"▸ Incident \w{4} ended resolved\.", ran.stdout)
    assert re.search(r"▸ Ledger: \d+ entries, [1-9]\d* signed checkpoints, [1-9]\d* anchors\.", ran.stdout)
    assert "\x1b" not in ran.stdout
    assert ran.stderr == ""


def test_a_rejecting_human_leaves_the_process_alone(scratch: Path) -> None:
    ran = demo(scratch, "--unattended", "--reject")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "you ▸ ❌" in ran.stdout
    assert re.search(r"▸ Incident \w{4} ended rejected\.", ran.stdout)
    assert re.search(r"▸ Nothing was executed: pid \d+ still runs\.", ran.stdout)
    assert "really restarted" not in ran.stdout


@pytest.mark.real
def test_the_demo_in_a_matrix_room_tells_how_to_join_and_what_was_said(scratch: Path) -> None:
    require_synapse()
    ran = demo(scratch, "--unattended", "--matrix")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"incident room is !\S+ on the homeserver http://127\.0\.0\.1:\d+\n", ran.stdout)
    assert re.search(r"user @you:\S+, password \w{8}\n", ran.stdout)
    conversation = ran.stdout.split("webhook fires.")[1]
    assert "@assent:assent.test, edited ×" in conversation
    assert "  │   ✔ Approved, run, verified" in conversation
    assert "✅ you by reaction on matrix" in conversation
    assert "  │   [✅ @you:assent.test]" in conversation
    assert "▸ The process was really restarted" in ran.stdout


def test_a_story_that_goes_wrong_ends_with_an_error(scratch: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with in_terminal(scratch, "--unattended", "--keep", str(kept)) as terminal:
        terminal.until("The service holds")
        # The instance that runs goes on writing to its open log; the next one cannot open it.
        log = kept / "service" / "shop.log"
        log.rename(kept / "service" / "moved.log")
        log.mkdir()
        assert terminal.ended() == 1, terminal.shown
    assert "ended failed" in terminal.shown
    assert "The story did not end as it should." in terminal.shown
    assert "really restarted" not in terminal.shown
    assert (kept / "data" / "assent.db").exists()
    again = demo(scratch, "--unattended", "--keep", str(kept))
    assert (again.returncode, again.stdout) == (2, "")
    assert "is not empty" in again.stderr


def test_without_synapse_the_matrix_demo_says_what_to_install(scratch: Path) -> None:
    without = "import sys; sys.modules['synapse'] = None; from bot.__main__ import main; sys.exit(main())"
    ran = subprocess.run(
        (sys.executable, "-c", without, "demo", "--matrix", "--unattended"),
        env=environment(scratch),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 2
    assert "pip install 'assent[test]'" in ran.stderr


def test_without_a_terminal_somebody_must_play_the_human(scratch: Path) -> None:
    ran = demo(scratch)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--unattended" in ran.stderr


# -- in a terminal ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Terminal:
    """A demo in a pseudo-terminal, and the person before it."""

    descriptor: int
    process: subprocess.Popen[bytes]
    shown: str = ""
    _rest: bytes = field(default=b"")

    def types(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def until(self, text: str) -> None:
        while text not in self.shown:
            assert self._read(), f"no “{text}” in:\n{self.shown}"

    def ended(self) -> int:
        """The exit code, once nobody can write to the terminal any more."""
        while self._read():
            pass
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        try:
            self._rest += os.read(self.descriptor, 65536)
        except OSError:
            # How Linux says that the other side is closed.
            return False
        text = self._rest.decode(errors="ignore").replace("\r\n", "\n")
        self.shown = _COLOUR.sub("", text)
        return True


@contextmanager
def in_terminal(scratch: Path, *arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (sys.executable, "-m", "bot", "demo", *arguments),
        env=environment(scratch),
        cwd=scratch,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # The terminal's keys (Ctrl-C) reach who has it as controlling terminal.
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    os.close(theirs)
    # Reading has no limit of its own: when the time is over, the demo is ended, which closes the other side.
    deadline = Timer(SECONDS, process.terminate)
    deadline.start()
    try:
        yield Terminal(ours, process)
    finally:
        deadline.cancel()
        deadline.join()
        if process.poll() is None:
            process.terminate()
            process.wait(SECONDS)
        os.close(ours)


def test_a_person_at_a_terminal_approves_with_an_emoji(scratch: Path) -> None:
    with in_terminal(scratch) as terminal:
        terminal.until("✋ waiting for approval")
        assert "Running since" not in terminal.shown
        terminal.types("✅\n")
        assert terminal.ended() == 0, terminal.shown
    assert "✅ you by reaction on console" in terminal.shown
    assert "▸ The process was really restarted" in terminal.shown


@pytest.mark.parametrize("moment", ["Alertmanager's webhook fires", "type ✅ to approve"])
def test_ctrl_c_ends_the_demo_and_everything_it_started(scratch: Path, moment: str) -> None:
    with in_terminal(scratch) as terminal:
        terminal.until(moment)
        terminal.types("\x03")
        before = monotonic()
        assert terminal.ended() == 130, terminal.shown
        assert monotonic() - before < 10
    assert "Stopped." in terminal.shown
    assert "Traceback" not in terminal.shown


def test_sigterm_ends_the_demo_and_everything_it_started(scratch: Path) -> None:
    with in_terminal(scratch) as terminal:
        terminal.until("The bot listens on")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 143, terminal.shown
    assert "Traceback" not in terminal.shown
