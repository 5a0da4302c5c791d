"""Probes that fail and why, in kubelet's words; hangs that probes show."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.evidence import FactVerdict
from investigators.facts.workloads import ports
from investigators.facts.workloads.probes import FAULTS, NEEDS, check
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
    service,
    status,
    template,
    verdict,
    waiting,
    world_of,
)

ABSENT, FOUND, UNKNOWN = FactVerdict.ABSENT, FactVerdict.FOUND, FactVerdict.UNKNOWN
KILLED = "Container app failed liveness probe, will be restarted"
OLD_KILLED = (
    "Killing container with id docker://app:Container failed liveness probe.. Container will "
    "be killed and recreated."
)
PORT = [{"containerPort": 8080}]


def get(port: Any = 8080, path: str = "/healthz", **more: Any) -> dict[str, Any]:
    scheme = {"scheme": more.pop("scheme")} if "scheme" in more else {}
    return {"httpGet": {"path": path, "port": port, **scheme}, **more}


def probing(kind: str = "readinessProbe", probe: Any = None, **more: Any) -> Any:
    return template(container(ports=PORT, **{kind: get() if probe is None else probe}, **more))


def unready(tpl: Any, message: str, *, count: int = 30, **more: Any) -> list[Any]:
    up = pod(tpl, status(state=running(15)), **more)
    return [up, event(up, "Unhealthy", message, count=count, first=14, container="app")]


REFUSED = 'Get "http://10.1.2.3:{port}/healthz": dial tcp 10.1.2.3:{port}: connect: connection refused'
TIMEOUT = (
    'Get "http://10.1.2.3:8080/healthz": context deadline exceeded (Client.Timeout exceeded '
    "while awaiting headers)"
)

SPECIFIC = [
    ("probe_path_wrong", get(path="/healthzz"), "HTTP probe failed with statuscode: 404"),
    ("probe_path_wrong", get(path="/admin"), "HTTP probe failed with statuscode: 403"),
    ("probe_scheme_wrong", get(), "HTTP probe failed with statuscode: 400: Client sent an HTTP "
                                  "request to an HTTPS server."),
    ("probe_scheme_wrong", get(scheme="HTTPS"), 'Get "https://10.1.2.3:8080/healthz": http: server '
                                                'gave HTTP response to HTTPS client'),
    ("probe_scheme_wrong", get(), 'Get "http://10.1.2.3:8080/healthz": net/http: HTTP/1.x transport '
                                  'connection broken: malformed HTTP response "\\x15\\x03\\x01"'),
    ("probe_port_mismatch", get(9090), REFUSED.format(port=9090)),
    ("probe_port_mismatch", {"tcpSocket": {"port": 9090}}, "dial tcp 10.1.2.3:9090: connect: "
                                                           "connection refused"),
    ("probe_port_mismatch", {"grpc": {"port": 9090}}, 'timeout: failed to connect service '
                                                      '"10.1.2.3:9090" within 1s'),
    ("probe_port_mismatch", get("htpp"), 'strconv.Atoi: parsing "htpp": invalid syntax'),
    ("probe_command_wrong", {"exec": {"command": ["pg_isredy"]}}, "OCI runtime exec failed: exec "
                                                                  "failed: unable to start container "
                                                                  "process: "
     'exec: "pg_isredy": executable file not found in $PATH: unknown'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "probe", "why"), SPECIFIC)
@pytest.mark.parametrize("which", ["Readiness", "Liveness", "Startup"])
def test_why_a_probe_fails_is_named(kind: str, probe: Any, why: str, which: str) -> None:
    tpl = probing(f"{which.lower()}Probe", probe)
    verb = "errored" if "strconv" in why else "failed"
    objects = unready(tpl, f"{which} probe {verb}: {why}")
    if which != "Readiness":
        objects.append(event(objects[0], "Killing", KILLED.replace("liveness", which.lower()), kind="Normal",
                             container="app", count=5, first=13))  # fmt: skip
        objects[0]["status"]["containerStatuses"] = [status(state=running(1), last=ended(137), restarts=5)]
    world = world_of(*objects)
    fact = found(check, kind, world)
    assert fact.confidence >= 0.75
    general = found(check, "probe_failing", world)
    assert general.detail.startswith(which.lower())
    assert {one.kind for one in causes(check(world))} == {kind, "probe_failing"}
    assert "probe_failing" in FAULTS[kind].explains


def test_a_probe_of_a_port_that_the_log_names_is_right() -> None:
    tpl = probing(probe=get(9090))
    world = world_of(*unready(tpl, f"Readiness probe failed: {REFUSED.format(port=9090)}"),
                     lines=[line("listening on :8080", ago=15)])  # fmt: skip
    fact = found(check, "probe_port_mismatch", world)
    assert "the program listens on 8080" in fact.detail


def test_an_app_that_is_down_is_no_wrong_port() -> None:
    world = world_of(*unready(probing(), f"Readiness probe failed: {REFUSED.format(port=8080)}"))
    assert verdict(check, "probe_port_mismatch", world) is ABSENT
    assert verdict(check, "probe_failing", world) is FOUND


@pytest.mark.parametrize("why", [" cat: can't open '/tmp/healthy': No such file or directory", "", " exit 1"])
def test_a_command_that_finds_the_program_unwell_is_no_wrong_command(why: str) -> None:
    tpl = probing(probe={"exec": {"command": ["cat", "/tmp/healthy"]}})
    world = world_of(*unready(tpl, f"Readiness probe failed:{why}"))
    assert {one.kind for one in causes(check(world))} == {"probe_failing"}


@pytest.mark.parametrize("verb", ["errored", "errored and resulted in unknown state"])
def test_a_port_name_that_nobody_has_is_named_in_old_and_new_words(verb: str) -> None:
    told = unready(
        probing(probe=get("htpp")), f'Readiness probe {verb}: strconv.Atoi: parsing "htpp": invalid syntax'
    )
    assert "called htpp" in found(check, "probe_port_mismatch", world_of(*told)).detail


def test_an_error_of_the_app_is_no_wrong_probe() -> None:
    world = world_of(*unready(probing(), "Readiness probe failed: HTTP probe failed with statuscode: 503"))
    assert {one.kind for one in causes(check(world))} == {"probe_failing"}


@pytest.mark.parametrize("message", [KILLED, OLD_KILLED])
def test_a_liveness_kill_explains_the_restarts(message: str) -> None:
    tpl = probing("livenessProbe")
    dead = pod(tpl, status(state=waiting("CrashLoopBackOff"), last=ended(137), restarts=6))
    told = [
        event(dead, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: "
                                 "500", count=9, container="app"),
        event(dead, "Killing", message, kind="Normal", count=6, first=14, container="app"),
    ]  # fmt: skip
    detail = found(check, "probe_failing", world_of(dead, *told)).detail
    assert "kubelet restarts it" in detail
    assert "not an OOM kill" in detail


def test_a_probe_that_failed_while_it_started_is_no_fault() -> None:
    up = healthy(probing())
    told = event(up, "Unhealthy", f"Readiness probe failed: {REFUSED.format(port=8080)}", count=2, last=19)
    assert not causes(check(world_of(up, told)))
    assert verdict(check, "probe_failing", world_of(up, told)) is ABSENT


def test_a_container_that_is_not_ready_for_long_fails_its_probe_without_events_too() -> None:
    up = pod(probing(), status(state=running(15)))
    world = world_of(up)
    assert found(check, "probe_failing", world).confidence == 0.7
    assert verdict(check, "probe_path_wrong", world) is UNKNOWN
    young = pod(probing(), status(state=running(0.3)))
    assert verdict(check, "probe_failing", world_of(young)) is ABSENT


def killed_early(tpl: Any, *lines: Any, **more: Any) -> Any:
    dead = pod(tpl, status(state=running(0.2), last=ended(137, ago=0.3, ran=0.5), restarts=6), **more)
    return world_of(
        dead,
        event(
            dead, "Unhealthy", f"Liveness probe failed: {REFUSED.format(port=8080)}", count=9, container="app"
        ),
        event(dead, "Killing", KILLED, kind="Normal", count=6, first=14, container="app"),
        lines=lines,
    )


TIGHT = get(initialDelaySeconds=5, periodSeconds=5, failureThreshold=3)


@pytest.mark.parametrize(
    "text",
    [
        "Started CartApplication in 48.213 seconds (JVM running for 50.1)",
        "server ready in 48s",
        "Initialization completed in 48213 ms",
    ],
)
def test_a_probe_that_kills_before_the_start_is_done_is_too_tight(text: str) -> None:
    world = killed_early(probing("livenessProbe", TIGHT), line(text, ago=40))
    assert "it allows 20 s, and the program needs 48 s" in found(check, "probe_too_tight", world).detail


def test_a_run_that_was_killed_while_it_loaded_is_too_tight() -> None:
    world = killed_early(probing("livenessProbe", TIGHT), line("Loading model weights (40%)", previous=True))
    assert "still starting" in found(check, "probe_too_tight", world).detail


def test_time_enough_is_not_too_tight() -> None:
    roomy = probing("livenessProbe", get(initialDelaySeconds=60))
    assert verdict(check, "probe_too_tight", killed_early(roomy, line("server ready in 48s"))) is ABSENT
    saved = probing("livenessProbe", TIGHT, startupProbe=get(failureThreshold=30))
    assert verdict(check, "probe_too_tight", killed_early(saved, line("server ready in 48s"))) is ABSENT


def test_a_timeout_of_a_second_on_a_working_program_may_be_too_tight() -> None:
    objects = unready(probing(probe=get(timeoutSeconds=1)), f"Readiness probe failed: {TIMEOUT}")
    assert (
        found(check, "probe_too_tight", world_of(*objects, lines=[line("served /cart in 900 ms")])).confidence
        == 0.6
    )
    assert verdict(check, "probe_too_tight", world_of(*objects)) is ABSENT


def test_timings_that_the_last_revision_shortened_are_too_tight() -> None:
    top = deployment()
    tpl = probing(probe=get(timeoutSeconds=1))
    old = replica_set(probing(probe=get(timeoutSeconds=10)), name=OLD_RS, of=top, revision=1)
    new = replica_set(tpl, of=top)
    world = world_of(top, old, new, *unready(tpl, f"Readiness probe failed: {TIMEOUT}", owner=new))
    assert "timeoutSeconds 10 (now 1)" in found(check, "probe_too_tight", world).detail


def test_a_path_that_the_last_revision_changed_is_named() -> None:
    top = deployment()
    tpl = probing(probe=get(path="/helth"))
    old = replica_set(probing(probe=get(path="/health")), name=OLD_RS, of=top, revision=1)
    new = replica_set(tpl, of=top)
    told = unready(tpl, "Readiness probe failed: HTTP probe failed with statuscode: 404", owner=new)
    assert (
        "the path was /health before"
        in found(check, "probe_path_wrong", world_of(top, old, new, *told)).detail
    )


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_healthy_pod_has_none(kind: str) -> None:
    assert verdict(check, kind, world_of(healthy(probing()))) is ABSENT


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_without_pods_every_kind_is_unknown(kind: str) -> None:
    assert verdict(check, kind, world_of(failed={"Pod": "timeout"})) is UNKNOWN


def test_the_sidecars_probe_is_not_the_apps() -> None:
    tpl = template(
        container(ports=PORT), container("proxy", ports=[{"containerPort": 15020}], readinessProbe=get(15021))
    )
    up = pod(tpl, status(ready=True), status("proxy", running(15)))
    told = event(
        up, "Unhealthy", f"Readiness probe failed: {REFUSED.format(port=15021)}", count=9, container="proxy"
    )
    assert "container proxy" in found(check, "probe_failing", world_of(up, told)).detail


LISTENING = [
    "listening on :3000",
    "Listening on http://0.0.0.0:3000",
    "Server listening at http://127.0.0.1:3000",
    "Tomcat started on port(s): 3000 (http) with context path ''",
    "Tomcat started on port 3000 (http)",
    " * Running on http://10.244.0.7:3000",
    "Uvicorn running on http://0.0.0.0:3000 (Press CTRL+C to quit)",
    "[INFO] Listening at: http://0.0.0.0:3000 (1)",
    "Now listening on: http://[::]:3000",
    "Netty started on port 3000",
    "* Ready to accept connections; Running mode=standalone, port=3000.",
    'listening on IPv4 address "0.0.0.0", port 3000',
    '{"level":"info","msg":"starting to listen on tcp: ":3000""}',
    "starting gRPC server; listening on port 3000",
]


@pytest.mark.parametrize("text", LISTENING)
def test_a_program_on_another_port_than_declared_is_found_from_its_log(text: str) -> None:
    tpl = probing()
    told = unready(tpl, f"Readiness probe failed: {REFUSED.format(port=8080)}")
    world = world_of(*told, service(), lines=[line(text, ago=300)])
    fact = found(ports.check, "wrong_port", world)
    assert "declares port 8080, but its log says it listens on 3000" in fact.detail
    assert fact.confidence >= 0.85
    assert verdict(check, "probe_port_mismatch", world) is ABSENT
    right = world_of(healthy(tpl), service(), lines=[line(text.replace("3000", "8080"))])
    assert verdict(ports.check, "wrong_port", right) is ABSENT


@pytest.mark.parametrize(
    "text",
    [
        "connecting to upstream listening on db:5432",
        "2026-11-25 11:59:58 server started",
        "failed to listen on :9999",
        "served 1200 requests on 2026-11-25",
    ],
)
def test_other_numbers_in_a_log_are_no_port(text: str) -> None:
    world = world_of(healthy(probing()), service(), lines=[line(text)])
    assert verdict(ports.check, "wrong_port", world) is ABSENT


def test_a_port_that_it_is_told_to_use_and_nobody_declares_is_wrong() -> None:
    tpl = probing(env=[{"name": "PORT", "value": "3000"}])
    told = unready(tpl, f"Readiness probe failed: {REFUSED.format(port=8080)}")
    assert "env PORT=3000" in found(ports.check, "wrong_port", world_of(*told)).detail
    assert found(ports.check, "wrong_port", world_of(healthy(tpl))).confidence <= 0.5
    database = probing(env=[{"name": "DB_PORT", "value": "5432"}])
    assert verdict(ports.check, "wrong_port", world_of(healthy(database), lines=[line("ok")])) is ABSENT
    flag = probing(args=["--port=3000"])
    told = unready(flag, f"Readiness probe failed: {REFUSED.format(port=8080)}")
    assert "--port=3000" in found(ports.check, "wrong_port", world_of(*told)).detail


def test_a_declared_port_that_alone_changed_is_wrong() -> None:
    tpl = template(container(ports=[{"containerPort": 9999}]))
    top = deployment(tpl)
    old = replica_set(template(container(ports=PORT)), name=OLD_RS, of=top, revision=1)
    new = replica_set(tpl, of=top)
    waits = pod(tpl, status(state=running(15)), owner=new)
    assert "declared 8080" in found(ports.check, "wrong_port", world_of(top, old, new, waits)).detail


def test_without_a_log_the_port_is_unknown() -> None:
    for gap in ({"logs": "failed"}, {}, {"failed": {"Service": "403 Forbidden"}, "lines": [line("ok")]}):
        assert verdict(ports.check, "wrong_port", world_of(healthy(probing()), **gap)) is UNKNOWN
