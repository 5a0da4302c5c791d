"""Sends alerts over HTTP as fast as they are answered, or at a steady rate, and times the answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.measure import ROOT

PAYLOAD = ROOT / "tests" / "data" / "payloads" / "alertmanager-0.28_firing_single.json"
FINGERPRINT = b"a52934cbf7b17321"
TOKEN = "benchmark"

CONNECTIONS = 64
MAX_REQUESTS = 200_000
MAX_SECONDS = 60.0


class Requests:
    """Request bytes with a fingerprint of their own each, made from the captured body."""

    def __init__(self, path: str) -> None:
        body = PAYLOAD.read_bytes()
        assert body.count(FINGERPRINT) == 1
        before, after = body.split(FINGERPRINT)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Alertmanager/0.28.1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        self._before, self._after = head + before, after
        self._made = 0

    def next(self) -> bytes:
        self._made += 1
        return self._before + b"%016x" % self._made + self._after


@dataclass
class Tally:
    """Answers, by what they were, and the seconds each accepted one took."""

    accepted: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)


def _do_nothing(_sender: Sender) -> None:
    """Until the benchmark says what follows an answer."""


class Sender(asyncio.Protocol):
    """One connection with one request under way at a time."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._received = b""
        self._since = 0.0
        self.when_done: Callable[[Sender], None] = _do_nothing
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def send(self, request: bytes, since: float) -> None:
        assert self.transport is not None
        self._since = since
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._received = b""
        if head.startswith(b"HTTP/1.1 202 "):
            self._tally.accepted += 1
            self._tally.seconds.append(time.perf_counter() - self._since)
        else:
            self._tally.failed += 1
        self.when_done(self)


async def connect(port: int, count: int, tally: Tally) -> list[Sender]:
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(lambda: Sender(tally), "127.0.0.1", port) for _ in range(count)]
    return [sender for _, sender in pairs]


async def closed_loop(port: int, requests: Requests, seconds: float) -> tuple[Tally, float]:
    """Every connection sends its next request as soon as it has its answer. Returns seconds, too."""
    tally = Tally()
    senders = await connect(port, CONNECTIONS, tally)
    started = time.perf_counter()
    ends = started + seconds
    over = asyncio.Event()
    under_way, sent = len(senders), len(senders)

    def again(sender: Sender) -> None:
        nonlocal under_way, sent
        now = time.perf_counter()
        if now < ends and sent < MAX_REQUESTS:
            sent += 1
            sender.send(requests.next(), now)
            return
        under_way -= 1
        if not under_way:
            over.set()

    for sender in senders:
        sender.when_done = again
        sender.send(requests.next(), time.perf_counter())
    async with asyncio.timeout(MAX_SECONDS):
        await over.wait()
    took = time.perf_counter() - started
    for sender in senders:
        sender.close()
    return tally, took


async def open_loop(port: int, requests: Requests, seconds: float, rate: int) -> Tally:
    """Requests leave on schedule whether or not earlier ones were answered; time counts from the schedule."""
    tally = Tally()
    idle = deque(await connect(port, CONNECTIONS * 2, tally))
    waiting: deque[float] = deque()
    total = min(int(seconds * rate), MAX_REQUESTS)
    answered = 0
    over = asyncio.Event()

    def free(sender: Sender) -> None:
        nonlocal answered
        answered += 1
        if waiting:
            sender.send(requests.next(), waiting.popleft())
        else:
            idle.append(sender)
        if answered == total:
            over.set()

    senders = list(idle)
    for sender in senders:
        sender.when_done = free
    started = time.perf_counter()
    async with asyncio.timeout(MAX_SECONDS):
        for number in range(total):
            due = started + number / rate
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if idle:
                idle.popleft().send(requests.next(), due)
            else:
                waiting.append(due)
        await over.wait()
    for sender in senders:
        sender.close()
    return tally
