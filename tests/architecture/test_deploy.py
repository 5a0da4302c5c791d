"""The systemd unit starts a command that exists, and stays as closed as it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bot.cli.arguments import build_parser
from config.schema import Execution
from tests.architecture.source import ROOT

UNIT = ROOT / "deploy" / "assent.service"
MAX_EXPOSURE = 2.0


def settings() -> list[tuple[str, str]]:
    return re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_the_unit_starts_commands_that_exist() -> None:
    commands = [value.split()[1:] for key, value in settings() if key.startswith("ExecStart")]
    assert commands
    for command in commands:
        assert build_parser().parse_args(command).config == Path("/etc/assent/assent.yaml")


def test_stopping_waits_longer_than_an_action_may_take() -> None:
    given = dict(settings())
    assert given["TimeoutStopSec"] == "60s"
    assert Execution().timeout.total_seconds() < 60


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit_and_calls_it_closed(tmp_path: Path) -> None:
    # The user and the program exist on the target only.
    text = UNIT.read_text().replace("/opt/assent/bin/assent", "/bin/true")
    text = re.sub(r"^(User|Group)=.*\n", "", text, flags=re.MULTILINE)
    copy = tmp_path / "assent.service"
    copy.write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=30, check=False
    )
    assert "assent.service" not in verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    found = re.search(r"Overall exposure level for assent.service: ([\d.]+)", judged.stdout)
    if found is None:
        pytest.skip("this systemd cannot judge a unit offline")
    assert float(found[1]) <= MAX_EXPOSURE
