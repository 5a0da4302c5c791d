"""Hangs, deadlocks, used-up handles and threads, evictions."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads.exhaustion import NEEDS, check
from tests.investigators.kube import (
    causes,
    container,
    ended,
    event,
    found,
    healthy,
    line,
    pod,
    running,
    status,
    template,
    track,
    verdict,
    waiting,
    world_of,
)

ABSENT, FOUND, UNKNOWN = FactVerdict.ABSENT, FactVerdict.FOUND, FactVerdict.UNKNOWN
TIMEOUT = (
    'Liveness probe failed: Get "http://10.1.2.3:8080/healthz": context deadline exceeded '
    "(Client.Timeout exceeded)"
)
CPU = "container_cpu_usage_seconds_total"


def crashing() -> Any:
    return pod(None, status(state=waiting("CrashLoopBackOff"), last=ended(1), restarts=4))


SAID = [
    ("deadlock", "Found one Java-level deadlock:"),
    ("deadlock", "fatal error: all goroutines are asleep - deadlock!"),
    ("file_handle_exhaustion", "accept tcp [::]:8080: accept4: too many open files"),
    ("file_handle_exhaustion", "Error: EMFILE: too many open files, open '/app/x'"),
    ("file_handle_exhaustion", "java.io.IOException: Too many open files"),
    (
        "thread_exhaustion",
        "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory",
    ),
    ("thread_exhaustion", "RuntimeError: can't start new thread"),
    ("thread_exhaustion", "runtime: failed to create new OS thread (have 2 already; errno=11)"),
    ("thread_exhaustion", "sh: fork: retry: Resource temporarily unavailable"),
]


@pytest.mark.parametrize(("kind", "text"), SAID)
def test_what_the_program_says_is_found(kind: str, text: str) -> None:
    lines = [line(text, ago=ago) for ago in (3, 2, 1)]
    fact = found(check, kind, world_of(crashing(), lines=lines))
    assert fact.confidence >= 0.85
    assert {one.kind for one in causes(check(world_of(crashing(), lines=lines)))} == {kind}
    assert found(check, kind, world_of(healthy(), lines=lines[:1])).confidence <= 0.6


@pytest.mark.parametrize(("kind", "text"), SAID)
def test_what_it_said_hours_before_the_alert_is_not_it(kind: str, text: str) -> None:
    assert verdict(check, kind, world_of(healthy(), lines=[line(text, ago=300), line("ok")])) is not FOUND


THREADS = "ERROR cannot start a worker: can't start new thread"


def test_a_plain_process_says_it_in_its_own_log() -> None:
    lines = [line(THREADS, ago=ago, pod="", service="mailer") for ago in (3, 2, 1)]
    down = track("up", [(3, 1.0), (1, 0.0)], pod="", service="mailer")
    fact = found(
        check, "thread_exhaustion", world_of(lines=lines, subjects=["mailer"], tracks=[down]), "mailer"
    )
    assert (fact.subject, fact.confidence) == ("mailer", 0.88)
    still_up = track("up", [(3, 1.0), (1, 1.0)], pod="", service="mailer")
    fact = found(
        check, "thread_exhaustion", world_of(lines=lines, subjects=["mailer"], tracks=[still_up]), "mailer"
    )
    assert fact.confidence == 0.72


def test_a_plain_process_that_the_incident_does_not_reach_is_left_out() -> None:
    lines = [line(THREADS, ago=ago, pod="", service="mailer") for ago in (3, 2, 1)]
    assert not causes(check(world_of(lines=lines, subjects=["orders"])))
    calm = [line("INFO mail sent", pod="", service="mailer")]
    assert not causes(check(world_of(lines=calm, subjects=["mailer"])))
    assert not causes(check(world_of(subjects=["mailer"], logs="failed")))


def test_a_deadlock_of_database_transactions_is_none_of_threads() -> None:
    text = "ERROR:  deadlock detected DETAIL: Process 12 waits for ShareLock on transaction 7"
    assert verdict(check, "deadlock", world_of(crashing(), lines=[line(text)])) is ABSENT


def hung(*, lines: Any = (), tracks: Any = (), count: int = 9, message: str = TIMEOUT) -> Any:
    up = pod(None, status(state=running(30)), age=60)
    told = event(up, "Unhealthy", message, count=count, first=8, last=1, container="app")
    return world_of(up, told, lines=lines, tracks=tracks)


IDLE = track(CPU, [(7, 100.0), (4, 100.5), (1, 101.0)])
BUSY = track(CPU, [(7, 100.0), (4, 260.0), (1, 420.0)])


def test_a_program_that_times_out_silently_and_idly_hangs() -> None:
    fact = found(check, "process_hang", hung(lines=[line("served", ago=12)], tracks=[IDLE]))
    assert fact.confidence >= 0.85
    assert "uses no CPU and writes no log" in fact.detail
    assert found(check, "process_hang", hung(tracks=[IDLE])).confidence == 0.65
    assert found(check, "process_hang", hung(lines=[line("served", ago=12)])).confidence == 0.65


def test_a_busy_or_talking_program_does_not_hang() -> None:
    assert verdict(check, "process_hang", hung(tracks=[BUSY])) is ABSENT
    talking = [line("served", ago=12), line("served", ago=3)]
    assert verdict(check, "process_hang", hung(lines=talking, tracks=[IDLE])) is ABSENT
    refused = TIMEOUT.replace("context deadline exceeded", "connection refused")
    assert verdict(check, "process_hang", hung(tracks=[IDLE], message=refused)) is ABSENT
    assert verdict(check, "process_hang", hung(tracks=[IDLE], count=1)) is ABSENT


def test_timeouts_alone_do_not_tell_a_hang() -> None:
    assert verdict(check, "process_hang", hung()) is UNKNOWN


EVICTIONS = [
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Mi. Container app "
    "was using "
    "900Mi, request is 100Mi, has larger consumption of memory. ",
    "The node was low on resource: ephemeral-storage. Container app was using 9Gi, which exceeds its "
    "request of 0. ",
    "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
    'Container app exceeded its local ephemeral storage limit "1Gi". ',
    'Usage of EmptyDir volume "cache" exceeds the limit "500Mi". ',
]


@pytest.mark.parametrize("message", EVICTIONS)
def test_an_eviction_is_found_with_its_reason(message: str) -> None:
    gone = pod(None, phase="Failed", status={"reason": "Evicted", "message": message})
    world = world_of(gone, event(gone, "Evicted", message, last=4))
    assert message.strip()[:60] in found(check, "evicted", world).detail
    charged = {(one.subject, one.subject_kind) for one in causes(check(world))}
    low = "low on resource" in message
    assert charged == {("cart", "service"), *([("node-1", "node")] if low else [])}


def test_an_eviction_is_found_when_its_pod_is_gone() -> None:
    gone = event(("Pod", "cart-7d9f8c6b5d-zzzzz"), "Evicted", EVICTIONS[0], last=4, host="node-7")
    world = world_of(healthy(template(container())), gone)
    assert found(check, "evicted", world, "node-7")
    assert found(check, "evicted", world)


def test_evicted_pods_that_lie_about_for_days_are_no_fault() -> None:
    old = pod(None, phase="Failed", age=60 * 72, status={"reason": "Evicted", "message": EVICTIONS[0]})
    assert verdict(check, "evicted", world_of(old, healthy(name="cart-7d9f8c6b5d-bbbbb"))) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_healthy_pod_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy(), lines=[line("ok")])) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_what_could_not_be_read_is_unknown(kind: str) -> None:
    assert verdict(check, kind, world_of(failed={"Pod": "timeout"})) is UNKNOWN
    gap = {"logs": "failed"} if "log" in NEEDS[kind] else {"failed": {"Event": "timeout"}}
    assert verdict(check, kind, world_of(healthy(), **gap)) is UNKNOWN
