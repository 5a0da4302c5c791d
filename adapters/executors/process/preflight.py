"""Everything about a restart that can be looked at without doing it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from adapters.executors.process.identity import RunningProcess
from adapters.executors.process.inventory import Inventory
from config.schema import ManagedProcess


def obstacles(inventory: Inventory, entry: ManagedProcess, process: RunningProcess | None) -> list[str]:
    """Return one sentence for each reason why a restart would fail; empty when none is to be seen."""
    found: list[str] = []
    if process is not None and entry.start:
        try:
            os.kill(process.pid, 0)
        except PermissionError:
            found.append(f"no permission to signal pid {process.pid}: it belongs to another user")
        except ProcessLookupError:
            found.append(f"pid {process.pid} has just ended")
    argv = entry.start or entry.restart
    if inventory.program(argv, entry.cwd) is None:
        found.append(f"{argv[0]}: no such executable program")
    if entry.cwd is not None and not (entry.cwd.is_dir() and os.access(entry.cwd, os.X_OK)):
        found.append(f"cwd {entry.cwd}: not a directory that can be entered")
    if entry.start:
        found.extend(_unwritable("log_file", entry.log_file))
        found.extend(_unwritable("pid_file", entry.pid_file))
    return found


def _unwritable(what: str, path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            return [f"{what} {path}: its directory does not exist"]
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return [f"{what} {path}: its directory cannot be written"]
        return []
    except OSError as error:
        return [f"{what} {path}: {error.strerror}"]
    if not stat.S_ISREG(mode):
        return [f"{what} {path}: not a regular file"]
    return [] if os.access(path, os.W_OK) else [f"{what} {path}: cannot be written"]
