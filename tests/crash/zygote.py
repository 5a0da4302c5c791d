"""A process that has everything imported and forks a service when told to.

Starting an interpreter costs over a second, a fork a few milliseconds. Reads one JSON object per line:
``{"id", "order"}`` starts a life, ``{"id", "signal"}`` sends it a signal; answers ``{"id", "pid"}`` and, when
it has ended, ``{"id", "exit"}`` with its code (negative: the signal). Ends its children and itself when
its input ends.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import traceback

from tests.crash.service import Order, live

_IMPORTED_LATE = ("alembic.command", "apscheduler.executors.asyncio", "apscheduler.triggers.interval")
"""What the service imports only when it needs it: once here instead of in every fork."""


def main() -> None:
    """Serve until the input ends."""
    for name in _IMPORTED_LATE:
        importlib.import_module(name)
    ids: dict[int, int] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    unread = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(ids)
        if 0 not in ready:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, unread = (unread + chunk).split(b"\n")
        for line in lines:
            _obey(json.loads(line), ids)
    for pid in ids:
        os.kill(pid, signal.SIGKILL)


def _obey(told: dict[str, object], ids: dict[int, int]) -> None:
    number = int(str(told["id"]))
    if "signal" in told:
        for pid, known in ids.items():
            if known == number:
                os.kill(pid, int(str(told["signal"])))
        return
    order = Order(**told["order"])  # type: ignore[arg-type]
    pid = os.fork()
    if pid == 0:
        _become(order)
    ids[pid] = number
    _say({"id": number, "pid": pid})


def _become(order: Order) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    code = 0
    try:
        live(order)
    except BaseException:  # noqa: BLE001 - the fork must end here and never return into the zygote's loop
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _reap(ids: dict[int, int]) -> None:
    for pid in list(ids):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _say({"id": ids.pop(pid), "exit": os.waitstatus_to_exitcode(status)})


def _say(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
