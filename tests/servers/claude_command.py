"""A stand-in for the ``claude`` command: an executable that answers as ``--output-format json`` does.

It reads its next turn from a folder and writes there what it was given: argv, environment, stdin.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python} -ISs
import json, os, subprocess, sys, time
folder = {folder!r}
if sys.argv[1:] == ["--version"]:
    print("2.4.0 (Claude Code)")
    sys.exit(0)
prompt = sys.stdin.read()
number = len([name for name in os.listdir(folder) if name.startswith("asked-")])
with open(os.path.join(folder, "asked-%03d.part" % number), "w") as file:
    json.dump({{"argv": sys.argv[1:], "environment": dict(os.environ), "stdin": prompt,
               "cwd": os.getcwd(), "files": os.listdir(".")}}, file)
os.rename(file.name, file.name.replace(".part", ".json"))
with open(os.path.join(folder, "turn-%03d.json" % number)) as file:
    turn = json.load(file)
if turn["kind"] == "slow":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open(os.path.join(folder, "child.part"), "w") as file:
        file.write(str(child.pid))
    os.rename(file.name, os.path.join(folder, "child"))
    time.sleep(60)
elif turn["kind"] == "flood":
    while True:
        sys.stdout.write("x" * 65536)
else:
    sys.stdout.write(turn["stdout"])
sys.exit(turn.get("code", 0))
"""


@dataclass(slots=True)
class ClaudeStandIn:
    """``program`` is the executable. Turns are used up in order."""

    folder: Path
    turns: int = 0

    @property
    def program(self) -> Path:
        return self.folder / "claude"

    @classmethod
    def install(cls, folder: Path) -> ClaudeStandIn:
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder)
        made.program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
        made.program.chmod(made.program.stat().st_mode | stat.S_IXUSR)
        return made

    def will_say(self, text: str, *, stop: str = "end_turn", usd: float = 0.0123) -> None:
        self._add(stdout=json.dumps(result(text, stop=stop, usd=usd)))

    def will_fail(self, text: str, *, subtype: str = "success", code: int = 1) -> None:
        """As it does where the API refuses: an answer in the usual form, ``is_error``, and a code."""
        self._add(stdout=json.dumps({**result(text), "subtype": subtype, "is_error": True}), code=code)

    def will_write(self, stdout: str, *, code: int = 0) -> None:
        self._add(stdout=stdout, code=code)

    def will_be_slow(self) -> None:
        """It has a child of its own, which must die with it."""
        self._add(kind="slow")

    def will_flood(self) -> None:
        self._add(kind="flood")

    def _add(self, *, kind: str = "stdout", **rest: Any) -> None:
        (self.folder / f"turn-{self.turns:03d}.json").write_text(json.dumps({"kind": kind, **rest}))
        self.turns += 1

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("asked-*.json"))]

    def child(self) -> int | None:
        path = self.folder / "child"
        return int(path.read_text()) if path.exists() else None


def result(text: str, *, stop: str = "end_turn", usd: float = 0.0123) -> dict[str, Any]:
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 2600,
        "duration_api_ms": 2400,
        "num_turns": 1,
        "result": text,
        "stop_reason": stop,
        "session_id": "00000000-0000-4000-8000-000000000000",
        "total_cost_usd": usd,
        "usage": {
            "input_tokens": 900,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 100,
            "output_tokens": 50,
            "server_tool_use": {"web_search_requests": 0},
            "service_tier": "standard",
        },
        "permission_denials": [],
        "uuid": "00000000-0000-4000-8000-000000000001",
    }


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
