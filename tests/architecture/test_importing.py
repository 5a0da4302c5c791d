"""Importing a module does nothing but define things."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT, dotted, modules

# Runs in a process of its own: an audit hook cannot be taken away again.
_WATCHER = """
import importlib, json, os, signal, sys, threading

noticed = []
here = sys.argv[1]

def watch(event, arguments):
    writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    acts = event.split(".")[0] in ("socket", "subprocess", "shutil", "sqlite3", "signal") or event in (
        "os.system", "os.fork", "os.exec", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
        "os.putenv", "os.unsetenv", "os.chdir", "os.kill", "os.truncate", "os.link", "os.symlink", "os.chmod",
    )
    if writes or acts and event not in ("socket.gethostname", "socket.__new__"):
        frame, ours = sys._getframe(1), None
        while frame is not None and ours is None:
            if frame.f_code.co_filename.startswith(here) and "/.venv/" not in frame.f_code.co_filename:
                ours = f"{frame.f_code.co_filename[len(here):]}:{frame.f_lineno}"
            frame = frame.f_back
        noticed.append(f"{event} {arguments!r:.80} from {ours}")

handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
threads = threading.active_count()
before = dict(os.environ)
sys.addaudithook(watch)
for module in json.loads(sys.stdin.read()):
    importlib.import_module(module)
if {number: signal.getsignal(number) for number in signal.valid_signals()} != handlers:
    noticed.append("a signal handler")
if threading.active_count() != threads:
    noticed.append("a thread")
if dict(os.environ) != before:
    noticed.append("the environment")
print(json.dumps(noticed))
"""

# Alembic runs this file; it is never imported.
_RUN_BY_ALEMBIC = "adapters.storage.migrations.env"


def imports_of(root: Path, names: list[str]) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", _WATCHER, str(root)],
        input=json.dumps(names),
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    noticed = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(noticed, list)
    return noticed


def test_importing_any_module_has_no_side_effect() -> None:
    names = [dotted(path) for path in modules()]
    assert len(names) > 100
    assert imports_of(ROOT, [each for each in names if each != _RUN_BY_ALEMBIC]) == []


def test_a_module_that_acts_when_imported_is_noticed(tmp_path: Path) -> None:
    planted = {
        "writes.py": "open('left-behind', 'w').close()\n",
        "listens.py": "import socket\nsocket.socket().bind(('127.0.0.1', 0))\n",
        "starts.py": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n",
        "threads.py": "import threading as t\nt.Thread(target=t.Event().wait, daemon=True).start()\n",
        "traps.py": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    }
    for file, text in planted.items():
        (tmp_path / file).write_text(text)
        assert imports_of(tmp_path, [file.removesuffix(".py")]) != [], file
