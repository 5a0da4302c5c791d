"""Containers that do not get to run their program, and volumes that they cannot use."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads import mounts, startup
from investigators.facts.workloads.startup import FAULTS, NEEDS, check
from tests.investigators.kube import (
    OLD_RS,
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
    verdict,
    waiting,
    world_of,
)

ABSENT, UNKNOWN = FactVerdict.ABSENT, FactVerdict.UNKNOWN
BACK_OFF = waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container=app pod=cart_shop(1)")
OCI = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
    "create failed: "
)
START = [
    OCI + 'unable to start container process: exec: "cart-server": executable file not found in '
          '$PATH: unknown',
    OCI + 'unable to start container process: exec: "/app/run.sh": permission denied: unknown',
    OCI + 'unable to start container process: exec: "/app/cart": stat /app/cart: no such file or '
          'directory: unknown',
    "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"cart\": "
    "executable file not found in $PATH: unknown",
    OCI + 'unable to start container process: error during container init: chdir to cwd ("/srv/nope") set in '
    "config.json failed: no such file or directory: unknown",
]  # fmt: skip


def crashed(last: Any, tpl: Any = None, **more: Any) -> Any:
    return pod(tpl, status(state=BACK_OFF, last=last, restarts=5), **more)


@pytest.mark.parametrize("message", START)
@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun", "RunContainerError"])
def test_a_program_that_cannot_be_executed_is_a_bad_command(message: str, reason: str) -> None:
    fact = found(check, "bad_command", world_of(crashed(ended(128, reason, message=message))))
    assert fact.confidence >= 0.9


@pytest.mark.parametrize(("code", "said"), [(127, "not found"), (126, "may not be executed")])
def test_the_shells_exit_codes_are_a_bad_command(code: int, said: str) -> None:
    tpl = template(container(command=["sh", "-c", "cart-serve"]))
    last = line("sh: 1: cart-serve: not found", ago=2)
    fact = found(check, "bad_command", world_of(crashed(ended(code), tpl), lines=[last]))
    assert said in fact.detail
    assert "cart-serve" in fact.detail


@pytest.mark.parametrize(
    "text",
    [
        "python: can't open file '/app/mian.py': [Errno 2] No such file or directory",
        "Error: Unable to access jarfile /app/cart.jar",
        "Error: Cannot find module '/usr/src/app/srever.js'",
        "flag provided but not defined: -prot",
        "Error: unknown flag: --prot",
        "usage: cart [-h] [--port PORT]\ncart: error: unrecognized arguments: --prot 80",
    ],
)
def test_a_wrong_argument_is_told_by_the_program_and_its_exit_code(text: str) -> None:
    tpl = template(container(args=["--prot", "80"]))
    assert (
        found(check, "bad_command", world_of(crashed(ended(1), tpl), lines=[line(text)])).confidence >= 0.75
    )
    up = healthy(tpl)
    assert verdict(check, "bad_command", world_of(up, lines=[line(text)])) is ABSENT


def test_a_command_that_the_revision_before_did_not_have_is_surer() -> None:
    top = deployment()
    tpl = template(container(command=["node", "srever.js"]))
    old = replica_set(template(container(command=["node", "server.js"])), name=OLD_RS, of=top, revision=1)
    new = replica_set(tpl, of=top)
    world = world_of(
        top, old, new, crashed(ended(1), tpl, owner=new), lines=[line("Error: Cannot find module 'x'")]
    )
    assert "another one in the revision before" in found(check, "bad_command", world).detail


def test_a_failing_post_start_hook_is_named() -> None:
    hook = ended(
        137, "PostStartHookError", message='Exec lifecycle hook ([/bin/nope]) for Container "app" failed'
    )
    assert "postStart hook" in found(check, "bad_command", world_of(crashed(hook))).detail


def test_an_old_start_error_is_over() -> None:
    up = pod(None, status(ready=True, last=ended(127, ago=60 * 24 * 3)))
    assert verdict(check, "bad_command", world_of(up)) is ABSENT


WITH_INIT = template(initContainers=[container("migrate", "registry.example/migrate:1")])


def initialising(state: Any, last: Any = None) -> Any:
    init = [status("migrate", state, last, restarts=3)]
    return pod(WITH_INIT, status(state=waiting("PodInitializing")), phase="Pending", init=init)


def test_an_init_container_that_fails_keeps_the_pod_from_starting() -> None:
    world = world_of(initialising(BACK_OFF, ended(1)), lines=[line("could not connect to db:5432")])
    fact = found(check, "init_container_failed", world)
    assert "could not connect" in fact.detail
    assert "migrate" in fact.detail


def test_an_init_container_that_waits_for_ever_is_found_after_minutes() -> None:
    assert (
        "has been running for"
        in found(check, "init_container_failed", world_of(initialising(running(20)))).detail
    )
    assert verdict(check, "init_container_failed", world_of(initialising(running(1)))) is ABSENT


def test_a_sidecar_is_no_init_container() -> None:
    tpl = template(initContainers=[container("proxy", restartPolicy="Always")])
    up = pod(tpl, status(ready=True), init=[status("proxy", running(20), ready=True)])
    up["status"]["phase"] = "Pending"
    assert verdict(check, "init_container_failed", world_of(up)) is ABSENT


READ_ONLY = template(container(securityContext={"readOnlyRootFilesystem": True}))
EROFS = [
    "OSError: [Errno 30] Read-only file system: '/app/cache'",
    "Error: EROFS: read-only file system, mkdir '/tmp/x'",
    "mkdir: cannot create directory '/var/run/nginx': Read-only file system",
]


@pytest.mark.parametrize("text", EROFS)
def test_a_write_to_a_read_only_root_is_found(text: str) -> None:
    world = world_of(crashed(ended(1), READ_ONLY), lines=[line(text)])
    assert found(check, "read_only_root_filesystem", world).confidence >= 0.9
    loose = world_of(crashed(ended(1)), lines=[line(text)])
    assert verdict(check, "read_only_root_filesystem", loose) is ABSENT
    unread = world_of(crashed(ended(1), READ_ONLY), logs="failed")
    assert verdict(check, "read_only_root_filesystem", unread) is UNKNOWN


@pytest.mark.parametrize(
    "message",
    [
        'container has runAsNonRoot and image will run as root (pod: "cart_shop(1)", container: app)',
        "container has runAsNonRoot and image has non-numeric user (cart), cannot verify user is non-root",
        "container's runAsUser breaks non-root policy",
    ],
)
def test_a_user_that_policy_refuses_is_found(message: str) -> None:
    waits = pod(None, status(state=waiting("CreateContainerConfigError", message)), phase="Pending")
    assert found(check, "run_as_user_denied", world_of(waits)).confidence >= 0.9


def test_a_user_without_rights_is_found_from_the_log() -> None:
    tpl = template(container(securityContext={"runAsUser": 1000}))
    low = world_of(crashed(ended(1), tpl), lines=[line("listen tcp :80: bind: permission denied")])
    assert "below 1024" in found(check, "run_as_user_denied", low).detail
    rooted = world_of(crashed(ended(1)), lines=[line("open /etc/shadow: permission denied")])
    assert verdict(check, "run_as_user_denied", rooted) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_healthy_pod_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy(), lines=[line("GET / 200")])) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_without_pods_every_kind_is_unknown(kind: str) -> None:
    world = world_of(failed={"Pod": "timeout after 10 s"}, lines=[line("ok")])
    assert verdict(check, kind, world) is UNKNOWN


def test_the_general_kinds_are_explained() -> None:
    assert "crashloop" in FAULTS["bad_command"].explains
    assert "container_config" in FAULTS["run_as_user_denied"].explains


MOUNTS = [
    "MountVolume.SetUp failed for volume \"pv-1\" : mount failed: exit status 32\nMounting command: "
    "mount\nOutput: "
    "mount.nfs: Connection timed out",
    "MountVolume.MountDevice failed for volume \"pvc-1\" : rpc error: code = Internal desc = wrong fs type",
    "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) cart-old",
    "AttachVolume.Attach failed for volume \"pvc-1\" : rpc error: code = NotFound desc = instance not found",
    "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data "
    "kube-api-access]: timed "
    "out waiting for the condition",
    'MountVolume.SetUp failed for volume "x" : hostPath type check failed: /data is not a directory',
]  # fmt: skip


@pytest.mark.parametrize("message", MOUNTS)
def test_a_volume_that_cannot_be_mounted_is_found(message: str) -> None:
    waits = pod(None, status(state=waiting("ContainerCreating")), phase="Pending")
    reason = "FailedAttachVolume" if "ttach" in message[:20] else "FailedMount"
    fact = found(mounts.check, "volume_mount", world_of(waits, event(waits, reason, message, count=5)))
    assert fact.confidence >= 0.9


def test_the_mount_error_that_says_more_is_the_one_shown() -> None:
    waits = pod(None, status(state=waiting("ContainerCreating")), phase="Pending")
    told = [event(waits, "FailedMount", MOUNTS[1], last=5), event(waits, "FailedMount", MOUNTS[4], last=1)]
    assert "wrong fs type" in found(mounts.check, "volume_mount", world_of(waits, *told)).detail


def test_who_holds_a_volume_is_named() -> None:
    tpl = template(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
    waits = pod(tpl, status(state=waiting("ContainerCreating")), phase="Pending")
    holder = healthy(tpl, name="cart-old", node="node-9", owner={})
    world = world_of(waits, holder, event(waits, "FailedAttachVolume", MOUNTS[2]))
    assert "pod cart-old on node node-9 holds it" in found(mounts.check, "volume_mount", world).detail


@pytest.mark.parametrize(
    "message",
    [
        'failed to prepare subPath for volumeMount "cfg" of container "app"',
        OCI + 'unable to start container process: error mounting "/var/lib/kubelet/x" to rootfs at '
        '"/etc/app.conf": '
        "mount: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?",
    ],
)
def test_a_sub_path_that_does_not_fit_is_found(message: str) -> None:
    waits = pod(None, status(state=waiting("CreateContainerConfigError", message)), phase="Pending")
    assert found(mounts.check, "volume_mount", world_of(waits)).confidence >= 0.9


@pytest.mark.parametrize(
    ("mount", "text", "said"),
    [
        ({}, "open /data/index.db: permission denied", "is not writable"),
        ({"readOnly": True}, "touch: /data/x: Read-only file system", "is mounted readOnly"),
        ({}, "write /data/wal/0001: no space left on device", "/data"),
    ],
)
def test_a_volume_that_the_program_cannot_use_is_found(mount: Any, text: str, said: str) -> None:
    tpl = template(container(volumeMounts=[{"name": "data", "mountPath": "/data", **mount}]))
    fact = found(mounts.check, "volume_mount", world_of(crashed(ended(1), tpl), lines=[line(text)]))
    assert said in fact.detail
    elsewhere = world_of(crashed(ended(1), tpl), lines=[line(text.replace("/data", "/srv"))])
    assert verdict(mounts.check, "volume_mount", elsewhere) is ABSENT


def test_mounts_of_running_pods_are_no_fault_and_unread_events_no_proof() -> None:
    up = healthy()
    assert not causes(mounts.check(world_of(up, event(up, "FailedMount", MOUNTS[0], last=19))))
    assert verdict(mounts.check, "volume_mount", world_of(up, failed={"Event": "timeout"})) is UNKNOWN


def test_rules_do_not_look_at_pods_that_are_being_deleted() -> None:
    gone = crashed(ended(127), deletionTimestamp="2026-11-25T12:00:00Z")
    assert not causes(startup.check(world_of(gone)))
