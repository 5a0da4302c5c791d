"""A small service that does work, calls others, keeps a database and breaks on demand. Standard library:
it is copied beside its configuration and run by a plain interpreter.

``service.py CONFIG.json``: name, port, rate (operations a second of its own), spans (file), upstreams {name:
url}, ca (PEM that upstreams are trusted by), tls {cert, key}, database (environment of psql) with statement,
spool (directory that every operation writes a file to, of ``spool_bytes``), timeout (seconds). The log
goes to standard output. ``GET /work`` · ``GET /metrics`` · ``POST /do/FAULT``.
"""

from __future__ import annotations

import ctypes
import http.server
import json
import os
import random
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5)


def say(level: str, text: str) -> None:
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]  # noqa: UP017 - any Python 3 runs it
    sys.stdout.write(f"{at}Z {level} {text}\n")
    sys.stdout.flush()


class Service:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.name: str = config["name"]
        self.lock = threading.Lock()
        self.other = threading.Lock()
        self.counts: dict[str, int] = {"200": 0, "500": 0}
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0
        self.done = 0
        self.held: list[Any] = []
        self.trust: ssl.SSLContext | None = None
        if config.get("ca"):
            self.trust = ssl.create_default_context(cafile=config["ca"])

    # --- work -----------------------------------------------------------------------------------------

    def operate(self, trace: str, parent: str | None) -> bool:
        """One operation with all that it needs. Writes its spans."""
        span, began = f"{random.getrandbits(64):016x}", time.time()
        ok = True
        for peer, url in self.config.get("upstreams", {}).items():
            ok = self._call(peer, url, trace, span) and ok
        if self.config.get("database"):
            ok = self._query(trace, span) and ok
        if self.config.get("spool"):
            ok = self._spool() and ok
        took = time.time() - began
        self._record(ok, took)
        self._span(trace, span, parent, "server", f"{self.name} order", began, took, ok)
        return ok

    def _call(self, peer: str, url: str, trace: str, parent: str) -> bool:
        span, began = f"{random.getrandbits(64):016x}", time.time()
        request = urllib.request.Request(url, headers={"X-Trace": f"{trace}:{span}"})
        problem = ""
        try:
            with urllib.request.urlopen(
                request, timeout=self.config.get("timeout", 2), context=self.trust
            ) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            problem = f"{peer} answered {error.code} {error.reason} at {url}"
        except urllib.error.URLError as error:
            problem = f"{peer} at {url}: {error.reason}"
        except OSError as error:
            problem = f"{peer} at {url}: {error}"
        took = time.time() - began
        self._span(trace, span, parent, "client", f"GET {peer}/work", began, took, not problem, peer)
        if problem:
            say("ERROR", f"order failed: {problem} ({took:.2f} s)")
        return not problem

    def _query(self, trace: str, parent: str) -> bool:
        database = self.config["database"]
        span, began = f"{random.getrandbits(64):016x}", time.time()
        try:
            done = subprocess.run(
                ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *(f"-c{one}" for one in database["statements"])],
                env={**os.environ, **database["environment"]},
                capture_output=True,
                text=True,
                check=False,
                timeout=self.config.get("timeout", 2),
            )
            problem = " ".join(done.stderr.split()) if done.returncode else ""
        except subprocess.TimeoutExpired:
            problem = f"no answer from the database within {self.config.get('timeout', 2)} s"
        took = time.time() - began
        self._span(
            trace, span, parent, "client", database["operation"], began, took, not problem, database["peer"]
        )
        if problem:
            say("ERROR", f"order not stored: {problem}")
        return not problem

    def _spool(self) -> bool:
        name = Path(self.config["spool"]) / f"order-{time.time_ns()}.json"
        try:
            with name.open("wb") as file:
                file.write(os.urandom(int(self.config.get("spool_bytes", 200))))
        except OSError as error:
            say("ERROR", f"order not spooled: {error}")
            return False
        return True

    def _record(self, ok: bool, took: float) -> None:
        with self.lock:
            self.counts["200" if ok else "500"] += 1
            self.seconds += took
            place = next((i for i, limit in enumerate(_BUCKETS) if took <= limit), len(_BUCKETS))
            self.buckets[place] += 1
            self.done += 1
            if self.done % 20 == 0:
                say("INFO", f"{self.done} orders done, {self.counts['500']} failed")

    def _span(
        self,
        trace: str,
        span: str,
        parent: str | None,
        kind: str,
        operation: str,
        began: float,
        took: float,
        ok: bool,
        peer: str | None = None,
    ) -> None:
        if not self.config.get("spans"):
            return
        record = {
            "trace_id": trace,
            "span_id": span,
            "parent_id": parent,
            "service": self.name,
            "operation": operation,
            "kind": kind,
            "start": round(began, 6),
            "duration_ms": round(took * 1000, 3),
            "status": "ok" if ok else "error",
            "peer": peer,
        }
        line = json.dumps({key: value for key, value in record.items() if value is not None})
        with Path(self.config["spans"]).open("a") as file:
            file.write(line + "\n")

    def work(self) -> None:
        """Orders of its own, one after the other, at the configured rate."""
        pause = 1 / self.config["rate"]
        while True:
            began = time.monotonic()
            self.operate(f"{random.getrandbits(128):032x}", None)
            time.sleep(max(0.0, pause - (time.monotonic() - began)))

    def metrics(self) -> str:
        with self.lock:
            counts, buckets, seconds = dict(self.counts), list(self.buckets), self.seconds
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        booted = next(
            float(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime")
        )
        limits = {
            line[:26].strip(): line[26:].split()[0]
            for line in Path("/proc/self/limits").read_text().splitlines()[1:]
        }
        lines = [
            f"process_cpu_seconds_total {(int(stat[11]) + int(stat[12])) / ticks}",
            f"process_resident_memory_bytes {int(stat[21]) * page}",
            f"process_virtual_memory_bytes {stat[20]}",
            f"process_start_time_seconds {booted + int(stat[19]) / ticks}",
            f"process_threads {stat[17]}",
            f"process_open_fds {len(os.listdir('/proc/self/fd'))}",
            f"process_max_fds {limits['Max open files']}",
            *(f'http_requests_total{{code="{code}"}} {count}' for code, count in counts.items()),
        ]
        below = 0
        for limit, count in zip((*_BUCKETS, "+Inf"), buckets, strict=True):
            below += count
            lines.append(f'http_request_duration_seconds_bucket{{le="{limit}"}} {below}')
        lines += [
            f"http_request_duration_seconds_sum {seconds}",
            f"http_request_duration_seconds_count {below}",
        ]
        return "\n".join(lines) + "\n"

    # --- ways to break --------------------------------------------------------------------------------

    def segfault(self) -> None:
        ctypes.string_at(0)

    def leak(self) -> None:
        """4 MB a second, every page touched, up to 200 MB."""
        for turn in range(250):
            self.held.append(bytearray(os.urandom(1) * 800_000))
            if turn % 10 == 0:
                say("WARN", f"session cache holds {len(self.held)} entries, nothing evicted")
            time.sleep(0.2)

    def warm(self) -> None:
        """Takes memory once, as a cache does that is loaded, and keeps it."""
        say("INFO", "loading the price list into memory")
        for _ in range(60):
            self.held.append(bytearray(os.urandom(1) * 1_000_000))
        say("INFO", "price list loaded")

    def burn(self) -> None:
        say("INFO", "rebuilding the search index")
        while True:
            sum(range(5_000))

    def files(self) -> None:
        """Opens files and never closes them, twelve a second, until no more can be opened."""
        while True:
            try:
                self.held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError as error:
                say("ERROR", f"cannot open the receipt template: {error}")
                time.sleep(1)
            time.sleep(0.08)

    def threads(self) -> None:
        """Starts threads that never end, until no more can be started."""
        while True:
            try:
                thread = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
                thread.start()
                self.held.append(thread)
            except RuntimeError as error:
                say("ERROR", f"cannot start a worker: {error}")
                time.sleep(1)
            time.sleep(0.02)

    def deadlock(self) -> None:
        """Two threads take two locks in opposite order; the metrics need one of them."""

        def other_way() -> None:
            with self.other:
                time.sleep(0.5)
                with self.lock:
                    pass

        threading.Thread(target=other_way, daemon=True).start()
        with self.lock:
            time.sleep(0.5)
            with self.other:
                pass

    def fail(self) -> None:
        """Ends with a traceback and 1, as a program does whose main thread fails."""
        try:
            price = {"currency": "EUR"}["amount"]
            say("INFO", price)
        except KeyError:
            say("CRITICAL", "unhandled error in the main loop")
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)


def make_handler(service: Service) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, service.metrics())
            elif self.path == "/work":
                trace, _, parent = self.headers.get("X-Trace", "").partition(":")
                ok = service.operate(trace or f"{random.getrandbits(128):032x}", parent or None)
                self._answer(200 if ok else 500, "ok\n" if ok else "failed\n")
            else:
                self._answer(404, "not found\n")

        def do_POST(self) -> None:
            fault = getattr(service, self.path.removeprefix("/do/"))
            self._answer(202, "")
            threading.Thread(target=fault, daemon=True).start()

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        kind, error, _ = sys.exc_info()
        if not isinstance(error, ConnectionError):
            say("ERROR", f"request from {client_address[0]} failed: {kind.__name__ if kind else ''}: {error}")

    def server_bind(self) -> None:
        # HTTPServer's own looks up the machine's full name, which can take long.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


def main() -> None:
    config = json.loads(Path(sys.argv[1]).read_text())
    Path("/proc/self/comm").write_text(config["name"])
    say("INFO", f"{config['name']} starting")
    service = Service(config)
    try:
        server = Server(("127.0.0.1", config["port"]), make_handler(service))
    except OSError as error:
        say("CRITICAL", f"cannot listen on port {config['port']}: {error}")
        raise SystemExit(1) from None
    if config.get("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config["tls"]["cert"], config["tls"]["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    say("INFO", f"{config['name']} listening on 127.0.0.1:{config['port']}")
    if config.get("rate"):
        threading.Thread(target=service.work, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
