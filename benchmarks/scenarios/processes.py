"""Processes that crash, hang, leak and starve."""

from __future__ import annotations

import asyncio
import signal
import socket

from benchmarks.scenarios.box import Box, Scenario, down, rule
from benchmarks.scenarios.truth import Cause, Truth


def _truth(service: str, *faults: str, tags: tuple[str, ...] = (), **more: object) -> Truth:
    causes = [Cause(object=service, fault=fault, kind="") for fault in faults]
    return Truth(causes=causes, tags=("process", "recorded", *tags), **more)  # type: ignore[arg-type]


async def segfault(box: Box) -> Truth:
    checkout = await box.service("checkout")
    await box.watch(down("checkout"))
    await checkout.do("segfault")
    await checkout.ended.wait()
    await box.alerted("ServiceDown")
    return _truth("checkout", "process_crash")


async def killed(box: Box) -> Truth:
    ledger = await box.service("ledger")
    await box.watch(down("ledger"))
    ledger.send(signal.SIGKILL)
    await box.alerted("ServiceDown")
    return _truth("ledger", "process_crash")


async def unhandled_error(box: Box) -> Truth:
    pricing = await box.service("pricing")
    await box.watch(down("pricing"))
    await pricing.do("fail")
    await box.alerted("ServiceDown")
    return _truth("pricing", "process_crash")


async def stopped_by_hand(box: Box) -> Truth:
    invoices = await box.service("invoices")
    await box.watch(down("invoices"))
    invoices.send(signal.SIGTERM)
    await box.alerted("ServiceDown")
    return _truth("invoices", "process_stopped", "process_not_running")


async def suspended(box: Box) -> Truth:
    checkout = await box.service("checkout")
    await box.watch(down("checkout"))
    checkout.send(signal.SIGSTOP)
    await box.alerted("ServiceDown")
    return _truth("checkout", "process_hang")


async def threads_deadlocked(box: Box) -> Truth:
    stock = await box.service("stock")
    await box.watch(down("stock"))
    await stock.do("deadlock")
    await box.alerted("ServiceDown")
    return _truth("stock", "process_hang", "deadlock")


async def memory_leak(box: Box) -> Truth:
    sessions = await box.service("sessions")
    limit = 'process_resident_memory_bytes{job="sessions"} > 90e6'
    await box.watch(rule("MemoryHigh", limit, "sessions uses more than 90 MB", severity="warning"))
    await sessions.do("leak")
    await box.alerted("MemoryHigh")
    return _truth("sessions", "memory_growth")


async def processor_burnt(box: Box) -> Truth:
    # It shall have the core that it wants, whoever else works on the machine.
    search = await box.service("search", under=("chrt", "--rr", "1"))
    expr = 'rate(process_cpu_seconds_total{job="search"}[10s]) > 0.85'
    await box.watch(rule("CpuHigh", expr, "search uses most of a core", severity="warning"))
    await search.do("burn")
    await box.alerted("CpuHigh", linger=8)
    return _truth("search", "cpu_saturation")


async def files_exhausted(box: Box) -> Truth:
    receipts = await box.service("receipts", under=("prlimit", "--nofile=200:200"))
    expr = 'process_open_fds{job="receipts"} / process_max_fds > 0.9'
    await box.watch(rule("FilesNearLimit", expr, "receipts has used most of its file handles", wait="1s"))
    await receipts.do("files")
    await box.alerted("FilesNearLimit", linger=2)
    return _truth("receipts", "fd_exhaustion", "file_handle_exhaustion")


async def threads_exhausted(box: Box) -> Truth:
    mailer = await box.service("mailer", under=("prlimit", "--nproc=60:60"))
    await box.watch(down("mailer"))
    await mailer.do("threads")
    await box.alerted("ServiceDown")
    return _truth("mailer", "thread_exhaustion")


async def port_taken(box: Box) -> Truth:
    """It is restarted while another program has its port."""
    catalog = await box.service("catalog")
    await box.watch(down("catalog"))
    await catalog.stop(signal.SIGTERM)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", catalog.port))
        other.listen()
        await catalog.start()
        await catalog.ended.wait()
        await box.alerted("ServiceDown")
        await box.capture()
    return _truth("catalog", "process_crash", "process_not_running", "host_port_conflict")


async def leak_and_crash(box: Box) -> Truth:
    """Two faults at once: the alert is about the one that is gone, the other merely grows."""
    sessions = await box.service("sessions")
    payments = await box.service("payments")
    await box.watch(down("payments"))
    await sessions.do("leak")
    await asyncio.sleep(12)
    payments.send(signal.SIGKILL)
    await box.alerted("ServiceDown")
    return Truth(
        causes=[
            Cause(object="payments", fault="process_crash", kind=""),
            Cause(object="sessions", fault="memory_growth", kind=""),
        ],
        tags=("process", "recorded", "two_faults"),
    )


async def hang_after_scary_lines(box: Box) -> Truth:
    """The log was full of old trouble long before; what happens now is that it is suspended."""
    stock = await box.service("stock")
    with stock.log.open("a") as log:
        for _ in range(3):
            log.write("2026-01-12T03:14:07.101Z CRITICAL java.lang.OutOfMemoryError while importing\n")
            log.write("2026-01-12T03:14:07.350Z ERROR segmentation fault in worker 3, restarting\n")
    await box.watch(down("stock"))
    stock.send(signal.SIGSTOP)
    await box.alerted("ServiceDown")
    return _truth("stock", "process_hang", tags=("red_herring",), forbidden=({"fault": "oom_killed"},))


async def innocent_deploy_before_kill(box: Box) -> Truth:
    """A comment in a document is deployed a moment before somebody kills another service."""
    await box.service("frontend")
    ledger = await box.service("ledger")
    await box.watch(down("ledger"))
    box.changed(
        "b81f02c9",
        "frontend",
        "Correct a typing error on the help page",
        kind="deploy",
        files=["docs/help.md"],
        diff="-Oders arrive within two days.\n+Orders arrive within two days.\n",
    )
    await asyncio.sleep(5)
    ledger.send(signal.SIGKILL)
    await box.alerted("ServiceDown")
    return _truth(
        "ledger",
        "process_crash",
        tags=("red_herring",),
        culprit="none",
        forbidden=({"fault": "recent_deploy"}, {"culprit_change": "b81f02c9"}),
    )


async def bad_release(box: Box) -> Truth:
    """A release really does it: the new build ends with an error once it works."""
    pricing = await box.service("pricing")
    await box.watch(down("pricing"))
    box.changed(
        "4fd0a7e1",
        "frontend",
        "Wider margins on the basket page",
        kind="deploy",
        files=["frontend/basket.css"],
        diff="-  margin: 4px;\n+  margin: 8px;\n",
    )
    await asyncio.sleep(3)
    await pricing.stop(signal.SIGTERM)
    await pricing.start()
    box.changed(
        "9c3e55d2",
        "pricing",
        "Read the amount from the price record",
        kind="deploy",
        files=["pricing/loop.py"],
        version="2.4.0",
        diff='-    price = record["price"]\n+    price = {"currency": "EUR"}["amount"]\n',
    )
    await pricing.ready()
    await pricing.do("fail")
    await box.alerted("ServiceDown")
    return _truth("pricing", "process_crash", tags=("change",), culprit="9c3e55d2")


async def over_again(box: Box) -> Truth:
    """It was down for a few seconds and is back: the alert is over when somebody looks."""
    checkout = await box.service("checkout")
    await box.watch(down("checkout"))
    await checkout.stop(signal.SIGTERM)
    await asyncio.sleep(5)
    await checkout.start()
    await box.alerted("ServiceDown")
    await box.alerted("ServiceDown", status="resolved", linger=20)
    return Truth(healthy=True, tags=("process", "recorded", "healthy"))


async def flapping(box: Box) -> Truth:
    """Its scrapes time out now and then for a second, and it does its work."""
    checkout = await box.service("checkout")
    await box.watch(
        rule("ServiceFlapping", 'changes(up{job="checkout"}[30s]) >= 4', "checkout comes and goes", wait="0s")
    )
    for _ in range(3):
        checkout.send(signal.SIGSTOP)
        await box.metrics.until('up{job="checkout"} == 0')
        checkout.send(signal.SIGCONT)
        await box.metrics.until('up{job="checkout"} == 1')
        await asyncio.sleep(2)
    await box.alerted("ServiceFlapping", linger=15)
    return Truth(healthy=True, tags=("process", "recorded", "healthy", "flapping"))


async def cache_loaded(box: Box) -> Truth:
    """Memory takes one step, as at every start, and stays level: the alert's limit is too low."""
    prices = await box.service("prices")
    limit = 'process_resident_memory_bytes{job="prices"} > 60e6'
    await box.watch(rule("MemoryHigh", limit, "prices uses more than 60 MB", severity="warning", wait="20s"))
    await prices.do("warm")
    await box.alerted("MemoryHigh", linger=50)
    return Truth(healthy=True, tags=("process", "recorded", "healthy"))


SCENARIOS: dict[str, Scenario] = {
    "process-segfault": segfault,
    "process-killed": killed,
    "process-unhandled-error": unhandled_error,
    "process-stopped-by-hand": stopped_by_hand,
    "process-suspended": suspended,
    "process-threads-deadlocked": threads_deadlocked,
    "process-memory-leak": memory_leak,
    "process-processor-burnt": processor_burnt,
    "process-files-exhausted": files_exhausted,
    "process-threads-exhausted": threads_exhausted,
    "process-port-taken": port_taken,
    "process-leak-and-crash": leak_and_crash,
    "process-hang-after-scary-lines": hang_after_scary_lines,
    "process-innocent-deploy": innocent_deploy_before_kill,
    "process-bad-release": bad_release,
    "healthy-over-again": over_again,
    "healthy-flapping": flapping,
    "healthy-cache-loaded": cache_loaded,
}
