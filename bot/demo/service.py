"""A small HTTP service with a memory leak, to have something real to mend.

``python -m bot.demo.service --port 8000 --log app.log --pid-file app.pid --leak-state leaked``

``GET /`` answers a request, ``/healthz`` 200 or 503 when resident memory is over the limit, ``/metrics``
in Prometheus text format (https://prometheus.io/docs/instrumenting/exposition_formats/). The leak is real
(every page is touched) and begins only when ``--leak-state`` does not exist yet, which the service then
creates: a restarted instance is healthy, so that a restart really is the cure. It never grows beyond
``CAP_MB``.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TextIO

import psutil

CAP_MB = 300
MEBIBYTE = 1024 * 1024
_STEP_SECONDS = 0.1
_STEPS_PER_LINE = 5
_PAGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line. ``exit_file`` gets one JSON line {name, pid, exit_code, signal, at} at the end."""

    name: str
    host: str
    port: int
    log: Path
    pid_file: Path
    exit_file: Path | None
    leak_mb_per_second: float
    leak_after: float
    leak_state: Path | None
    memory_limit_mb: float


def parse_options(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="bot.demo.service", description="A service that leaks memory.")
    parser.add_argument("--name", default="shop")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one; see the log")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--pid-file", type=Path, required=True)
    parser.add_argument("--exit-file", type=Path)
    parser.add_argument("--leak-mb-per-second", type=float, default=8.0)
    parser.add_argument("--leak-after", type=float, default=1.0, help="seconds of health before the leak")
    parser.add_argument("--leak-state", type=Path, help="exists once an instance has leaked")
    parser.add_argument("--memory-limit-mb", type=float, default=120.0)
    found = parser.parse_args(argv)
    if not 0 < found.leak_mb_per_second <= CAP_MB:
        parser.error(f"--leak-mb-per-second must be more than 0 and at most {CAP_MB}")
    return Options(**vars(found))


@dataclass(slots=True)
class Service:
    """The running instance."""

    options: Options
    log: TextIO
    resident_at_start: int = 0
    requests: int = 0
    hoard: list[bytearray] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    process: psutil.Process = field(default_factory=psutil.Process)

    def say(self, level: str, text: str) -> None:
        """Write one line ``<RFC 3339 time> <LEVEL> <text>`` to the log."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self.lock:
            self.log.write(f"{at} {level} {text}\n")
            self.log.flush()

    def resident(self) -> int:
        return int(self.process.memory_info().rss)

    def healthy(self) -> bool:
        return self.resident() < self.options.memory_limit_mb * MEBIBYTE

    def metrics(self) -> str:
        info, cpu = self.process.memory_info(), self.process.cpu_times()
        samples = (
            ("process_resident_memory_bytes", "gauge", info.rss),
            ("process_virtual_memory_bytes", "gauge", info.vms),
            ("process_start_time_seconds", "gauge", self.process.create_time()),
            ("process_cpu_seconds_total", "counter", cpu.user + cpu.system),
            ("process_open_fds", "gauge", self.process.num_fds()),
            ("requests_total", "counter", self.requests),
            ("memory_limit_bytes", "gauge", self.options.memory_limit_mb * MEBIBYTE),
            ("up", "gauge", 1),
        )
        return "".join(f"# TYPE {name} {kind}\n{name} {value}\n" for name, kind, value in samples)

    def leak(self) -> None:
        """Hold on to more and more memory until stopped or at the cap."""
        if self.stopping.wait(self.options.leak_after):
            return
        step = max(int(self.options.leak_mb_per_second * _STEP_SECONDS * MEBIBYTE), _PAGE)
        room = max(CAP_MB * MEBIBYTE - self.resident_at_start, 0) // step
        for turn in range(room):
            if self.stopping.wait(_STEP_SECONDS):
                return
            block = bytearray(step)
            # An untouched page is only promised, not resident.
            block[::_PAGE] = b"\x01" * len(range(0, step, _PAGE))
            self.hoard.append(block)
            if turn % _STEPS_PER_LINE == 0:
                held = len(self.hoard) * step // MEBIBYTE
                self.say("ERROR", f"cache eviction failed: entry {turn} is still referenced, {held} MiB held")


def make_handler(service: Service) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        server_version = "demo-service"
        timeout = 5

        def do_GET(self) -> None:
            service.requests += 1
            match self.path:
                case "/metrics":
                    self._answer(200, service.metrics(), "text/plain; version=0.0.4; charset=utf-8")
                case "/healthz":
                    ok = service.healthy()
                    self._answer(200 if ok else 503, "ok\n" if ok else "over the memory limit\n")
                case "/":
                    self._answer(200, "hello\n")
                case _:
                    self._answer(404, "not found\n")

        def _answer(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            if self.path == "/":
                service.say("INFO", format % args)

    return Handler


def serve(options: Options) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code."""
    with options.log.open("a", encoding="utf-8") as log:
        service = Service(options=options, log=log)
        service.resident_at_start = service.resident()
        server = http.server.ThreadingHTTPServer((options.host, options.port), make_handler(service))
        server.daemon_threads = True
        received: list[int] = []

        def stop(number: int, _frame: FrameType | None) -> None:
            received.append(number)
            service.stopping.set()
            # shutdown() waits for the serving loop, which this handler has interrupted.
            threading.Thread(target=server.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        _write_atomically(options.pid_file, f"{os.getpid()}\n")
        service.say(
            "INFO", f"{options.name} listening on {options.host}:{server.server_port} pid {os.getpid()}"
        )
        leaker = _start_leak(service)
        try:
            server.serve_forever(poll_interval=0.1)
        finally:
            server.server_close()
            service.stopping.set()
            if leaker is not None:
                leaker.join(2)
            service.say("INFO", f"{options.name} stopping")
            _note_exit(options, received[0] if received else None)
    return 0


def _start_leak(service: Service) -> threading.Thread | None:
    state = service.options.leak_state
    if state is not None:
        try:
            state.touch(exist_ok=False)
        except FileExistsError:
            service.say("INFO", "cache disabled after an earlier leak")
            return None
    thread = threading.Thread(target=service.leak, name="cache", daemon=True)
    thread.start()
    return thread


def _note_exit(options: Options, number: int | None) -> None:
    if options.exit_file is None:
        return
    record = {
        "name": options.name,
        "pid": os.getpid(),
        "exit_code": 0,
        "signal": number,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    with options.exit_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _write_atomically(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text, encoding="ascii")
    os.replace(scratch, path)


if __name__ == "__main__":
    sys.exit(serve(parse_options(sys.argv[1:])))
