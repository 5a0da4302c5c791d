"""How containers end, and what only looks like it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads.runtime import FAULTS, NEEDS, check
from tests.investigators.kube import (
    OLD_RS,
    ONSET,
    causes,
    container,
    deployment,
    ended,
    event,
    found,
    healthy,
    line,
    pod,
    replica_set,
    running,
    status,
    template,
    track,
    verdict,
    waiting,
    world_of,
)

ABSENT, FOUND, UNKNOWN = FactVerdict.ABSENT, FactVerdict.FOUND, FactVerdict.UNKNOWN
BACK_OFF = waiting("CrashLoopBackOff", "back-off 2m40s restarting failed container=app pod=cart_shop(1)")
LIMITED = template(container(resources={"limits": {"memory": "256Mi"}}))
LIVENESS = "Container app failed liveness probe, will be restarted"
MIB = 2**20


def crashed(last: Any, tpl: Any = None, state: Any = BACK_OFF, **more: Any) -> Any:
    return pod(tpl, status(state=state, last=last, restarts=5), **more)


def test_an_oom_kill_names_the_limit_that_caused_it() -> None:
    fact = found(check, "oom_killed", world_of(crashed(ended(137, "OOMKilled"), LIMITED)))
    assert "256Mi" in fact.detail
    assert fact.values["limit_bytes"] == 256 * MIB
    assert fact.confidence >= 0.9
    assert "crashloop" in FAULTS["oom_killed"].explains


def test_an_oom_kill_after_the_limit_was_lowered_says_so() -> None:
    top = deployment()
    old = replica_set(
        template(container(resources={"limits": {"memory": "1Gi"}})), name=OLD_RS, of=top, revision=1
    )
    new = replica_set(LIMITED, of=top)
    world = world_of(top, old, new, crashed(ended(137, "OOMKilled"), LIMITED, owner=new))
    assert "1Gi in the revision before" in found(check, "oom_killed", world).detail


def test_a_container_killed_in_its_present_state_counts_too() -> None:
    dead = pod(LIMITED, status(state=ended(137, "OOMKilled")), phase="Failed")
    assert found(check, "oom_killed", world_of(dead))


def test_a_log_that_says_oom_is_no_oom_kill() -> None:
    """The last exit code is 1: structured data beats text."""
    text = line("java.lang.OutOfMemoryError: Java heap space; process was OOMKilled", previous=True)
    world = world_of(crashed(ended(1), LIMITED), lines=[text])
    assert verdict(check, "oom_killed", world) is ABSENT
    assert "exit code 1" in found(check, "process_crash", world).detail


def test_an_oom_kill_of_three_days_ago_is_not_todays_fault() -> None:
    up = pod(LIMITED, status(ready=True, last=ended(137, "OOMKilled", ago=60 * 72), restarts=1))
    assert verdict(check, "oom_killed", world_of(up)) is ABSENT


def test_an_oom_kill_well_before_the_alert_with_a_steady_run_since_counts_less() -> None:
    last = ended(137, "OOMKilled", ago=50)
    up = pod(LIMITED, status(state=running(49), ready=True, last=last, restarts=1))
    assert found(check, "oom_killed", world_of(up)).confidence < 0.6


def test_exit_137_at_the_memory_limit_is_an_oom_kill() -> None:
    dead = crashed(ended(137), LIMITED)
    full = track("container_memory_working_set_bytes", [(9, 100 * MIB), (3, 250 * MIB), (2, 255 * MIB)])
    assert "100% of the limit" in found(check, "oom_killed", world_of(dead, tracks=[full])).detail
    calm = track("container_memory_working_set_bytes", [(9, 100 * MIB), (2, 101 * MIB)])
    world = world_of(dead, tracks=[calm])
    assert verdict(check, "oom_killed", world) is ABSENT
    assert found(check, "process_crash", world).confidence <= 0.5


def test_exit_137_without_memory_data_is_unknown() -> None:
    assert verdict(check, "oom_killed", world_of(crashed(ended(137), LIMITED))) is UNKNOWN


def test_exit_137_while_the_node_was_out_of_memory_is_an_oom_kill() -> None:
    oom = event(("Node", "node-1"), "SystemOOM", "System OOM encountered, victim process: cart, "
                                                 "pid: 7", ns="default",
                last=2)  # fmt: skip
    oom["involvedObject"]["namespace"] = ""
    assert "node-1 was out of memory" in found(check, "oom_killed", world_of(crashed(ended(137)), oom)).detail


@pytest.mark.parametrize("code", [137, 143])
def test_a_liveness_kill_is_neither_an_oom_kill_nor_a_crash(code: int) -> None:
    dead = crashed(ended(code), LIMITED)
    told = event(dead, "Killing", LIVENESS, kind="Normal", container="app", count=4, first=14, last=2)
    world = world_of(dead, told)
    assert verdict(check, "oom_killed", world) is ABSENT
    assert verdict(check, "process_crash", world) is ABSENT
    assert verdict(check, "crashloop", world) is FOUND


def test_a_liveness_kill_is_told_from_its_failures_where_kills_are_not_kept() -> None:
    dead = crashed(ended(137), LIMITED)
    why = "Liveness probe failed: HTTP probe failed with statuscode: 500"
    told = event(dead, "Unhealthy", why, container="app", count=9, first=14, last=2)
    assert verdict(check, "process_crash", world_of(dead, told)) is ABSENT
    once = event(dead, "Unhealthy", why, container="app", count=1, first=14, last=2)
    assert verdict(check, "process_crash", world_of(dead, once)) is FOUND
    failed = crashed(ended(1), LIMITED)
    assert verdict(check, "process_crash", world_of(failed, told)) is FOUND
    oom = crashed(ended(137, "OOMKilled"), LIMITED)
    assert verdict(check, "oom_killed", world_of(oom, told)) is FOUND


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "an error exit"), (2, "an error exit"), (255, "an error exit"), (132, "SIGILL"), (133, "SIGTRAP"),
        (134, "SIGABRT"), (135, "SIGBUS"), (136, "SIGFPE"), (139, "SIGSEGV"), (159, "SIGSYS"),
    ],
)  # fmt: skip
def test_a_crash_is_named_by_its_exit_code(code: int, said: str) -> None:
    words = line("panic: nil map", previous=True)
    fact = found(check, "process_crash", world_of(crashed(ended(code)), lines=[words]))
    assert said in fact.detail
    assert "panic: nil map" in fact.detail
    assert fact.values["exit_code"] == code
    assert verdict(check, "oom_killed", world_of(crashed(ended(code)))) is ABSENT


@pytest.mark.parametrize("code", [126, 127, 128, 143])
def test_codes_of_other_faults_are_no_crash(code: int) -> None:
    assert verdict(check, "process_crash", world_of(crashed(ended(code)))) is ABSENT


def test_a_program_that_ends_by_itself_is_no_crash() -> None:
    world = world_of(crashed(ended(0, "Completed")))
    assert found(check, "process_stopped", world).confidence >= 0.75
    assert verdict(check, "process_crash", world) is ABSENT
    once = pod(template(restartPolicy="Never"), status(state=ended(0, "Completed")), phase="Succeeded")
    assert not causes(check(world_of(once)))


def test_a_pod_that_is_being_deleted_did_not_crash() -> None:
    assert not causes(check(world_of(crashed(ended(137), deletionTimestamp="2026-11-25T12:00:00Z"))))


def test_the_back_off_is_a_crash_loop_with_its_delay() -> None:
    assert "2m40s" in found(check, "crashloop", world_of(crashed(ended(1)))).detail


def test_between_two_back_offs_the_event_tells() -> None:
    up = crashed(ended(1, ago=1), state=running(0.5))
    said = "Back-off restarting failed container app in pod cart_shop(1)"
    assert found(check, "crashloop", world_of(up, event(up, "BackOff", said, count=9, first=15)))
    older = "Back-off restarting failed container"
    assert found(check, "crashloop", world_of(up, event(up, "BackOff", older, count=9, first=15)))


def test_fifty_restarts_of_a_pod_that_has_run_for_days_are_no_crash_loop() -> None:
    last = ended(1, ago=60 * 72)
    up = pod(None, status(state=running(60 * 72), ready=True, last=last, restarts=50), age=60 * 24 * 30)
    assert not causes(check(world_of(up)))
    assert verdict(check, "crashloop", world_of(up)) is ABSENT


def test_an_old_back_off_and_that_of_an_image_are_no_crash_loop() -> None:
    up = healthy()
    old = event(up, "BackOff", "Back-off restarting failed container app in pod cart_shop(1)", last=40)
    image = event(up, "BackOff", 'Back-off pulling image "cart:1"', last=1)
    assert verdict(check, "crashloop", world_of(up, old, image)) is ABSENT


def test_another_container_of_the_pod_is_not_the_one_that_backs_off() -> None:
    tpl = template(container(), container("proxy"))
    up = pod(tpl, status(ready=True), status("proxy", BACK_OFF, ended(1)))
    said = event(up, "BackOff", "Back-off restarting failed container proxy in pod cart_shop(1)")
    fact = found(check, "crashloop", world_of(up, said))
    assert "container proxy" in fact.detail
    assert "more" not in fact.detail


def test_another_workloads_crash_is_charged_to_itself() -> None:
    other = crashed(ended(139), name="mail-0", owner={})
    world = world_of(healthy(), other)
    assert found(check, "process_crash", world, "mail-0")
    assert verdict(check, "process_crash", world) is ABSENT
    assert verdict(check, "oom_killed", world, "mail-0") is None


def test_the_same_end_at_several_pods_is_one_fact() -> None:
    pods = [crashed(ended(137, "OOMKilled"), LIMITED, name=f"cart-7d9f8c6b5d-aaaa{n}") for n in "bcd"]
    assert "(and at 2 more)" in found(check, "oom_killed", world_of(*pods)).detail


def test_when_it_began_is_given() -> None:
    world = world_of(crashed(ended(139, ago=12)))
    assert found(check, "process_crash", world).values["onset"] == (ONSET - timedelta(minutes=2)).timestamp()


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_healthy_pod_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy())) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_without_pods_every_kind_is_unknown(kind: str) -> None:
    for gap in ({"failed": {"Pod": "timeout"}}, {"cut": ("Pod",)}):
        assert verdict(check, kind, world_of(**gap)) is UNKNOWN
