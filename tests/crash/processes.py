"""The test's side of the zygote: start a service, signal it, wait for its end."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.crash.service import Order

_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Life:
    """One process. ``exited`` becomes its exit code, negative for a signal."""

    order: Order
    number: int
    exited: asyncio.Future[int]
    zygote: Zygote

    def send(self, what: signal.Signals) -> None:
        """Signal it; nothing happens when it has ended."""
        if not self.exited.done():
            self.zygote.tell({"id": self.number, "signal": int(what)})

    def crossings(self) -> list[str]:
        """Every boundary it crossed, in order; the last one is where it was killed."""
        file = self.order.file("crossings")
        return file.read_text().splitlines() if file.exists() else []

    def ready(self) -> dict[str, str | int | None] | None:
        """Port, what it thinks of the ledger, and since when; None while it is starting."""
        try:
            return dict(json.loads(self.order.file("ready").read_text()))
        except FileNotFoundError:
            return None


class Zygote:
    """Made by :func:`zygote`; used inside :meth:`attached`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self._numbers = itertools.count()
        self._lives: dict[int, Life] = {}
        self._unread = b""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Listen on the running event loop; what still lives at the end is killed."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._out, self._hear)
        try:
            yield
        finally:
            loop.remove_reader(self._out)
            for life in self._lives.values():
                life.send(signal.SIGKILL)
            self._lives.clear()

    def start(self, order: Order) -> Life:
        number = next(self._numbers)
        life = Life(order, number, asyncio.get_running_loop().create_future(), self)
        self._lives[number] = life
        self.tell({"id": number, "order": asdict(order)})
        return life

    def tell(self, what: dict[str, object]) -> None:
        os.write(self._in, json.dumps(what).encode() + b"\n")

    def _hear(self) -> None:
        chunk = os.read(self._out, 65536)
        if not chunk:
            raise RuntimeError("the zygote has ended")
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "exit" in said and (life := self._lives.pop(said["id"], None)) is not None:
                life.exited.set_result(said["exit"])


@contextmanager
def zygote() -> Iterator[Zygote]:
    """Start one, and end it with everything it started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.zygote"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield Zygote(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
