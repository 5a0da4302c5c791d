"""Which ports a workload declares, which its program says it listens on, and who asks for which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from investigators.facts.workloads.boxes import Json, mapping, objects, words
from investigators.facts.workloads.scene import Scene, Unit
from investigators.world.cluster import Thing
from investigators.world.world import Line

_LISTEN = re.compile(
    r"(?:listen(?:ing|s|er)?\b|serving|running (?:on|at|mode)|started on|initialized with port|bound to"
    r"|binding to|available (?:at|on)|accepting connections|server (?:is )?(?:started|running|ready))"
    r"[^\n]{0,80}?(?:\bport\(?s?\)?[\"'=: ]{1,4}|[:\]](?=\d)|\bon )(?P<port>\d{2,5})\b(?![.:]\d|-)",
    re.IGNORECASE,
)
_NEEDLES = (
    "listen",
    "serving",
    "running on",
    "running at",
    "running mode",
    "started on",
    "initialized with port",
    "bound to",
    "binding to",
    "available at",
    "available on",
    "accepting connections",
    "server started",
    "server running",
    "server is running",
    "server ready",
)
_NOT = re.compile(r"connect(?:ing|ion to|ed to)|upstream|dial|proxy_pass|\bfail|\berror", re.IGNORECASE)
_ASIDE = re.compile(r"metric|pprof|debug|\badmin|management|prometheus|profil", re.IGNORECASE)
"""Beside its own port a program may open others that nobody declares."""
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\]):(\d{2,5})\b")
_PORT_NAMES = re.compile(
    r"(?:SERVER_|HTTP_|APP_|GRPC_|LISTEN_|SERVICE_|CONTAINER_|WEB_|FLASK_RUN_|UVICORN_|NODE_)?PORT"
    r"|(?:LISTEN|BIND|HTTP_LISTEN)(?:_ADDR(?:ESS)?)?|ASPNETCORE_(?:URLS|HTTP_PORTS)"
)
_PORT_FLAG = re.compile(
    r"--(?:http[-_.]?|server[-_.]|listen[-_.]?)?(?:port|addr|address|bind)[= ](?:\S*:)?(\d{2,5})\b"
)
_LEAST = 80
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Ports that the program says it listens on, each with the latest line that says so; ``loopback`` are
    those that only the pod itself can reach."""

    ports: Mapping[int, Line]
    loopback: frozenset[int]


def heard(scene: Scene, unit: Unit) -> Heard:
    """From the log, of the present containers: a program says so once, at its start, however long ago."""
    ports: dict[int, Line] = {}
    loopback: set[int] = set()
    for line in scene.grep(unit, _NEEDLES, _LISTEN, old=True):
        if _NOT.search(line.text) or _ASIDE.search(line.text):
            continue
        for match in _LISTEN.finditer(line.text):
            port = int(match["port"])
            if _LEAST <= port <= 65_535:
                ports[port] = line
                loop = {int(one) for one in _LOOPBACK.findall(line.text)}
                loopback = loopback | {port} if port in loop else loopback - {port}
    return Heard(ports=ports, loopback=frozenset(loopback))


def container_ports(spec: Json) -> dict[int, str]:
    """The declared ports of every container, with their names."""
    return {
        one["containerPort"]: str(one.get("name") or "")
        for container in [*objects(spec.get("containers")), *objects(spec.get("initContainers"))]
        for one in objects(container.get("ports"))
        if isinstance(one.get("containerPort"), int)
    }


def resolve(port: Any, ports: Mapping[int, str]) -> int | None:
    """A port by number or by its name among the declared ones."""
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isdecimal():
        return int(port)
    return next((number for number, name in ports.items() if name == port and name), None)


def services_of(scene: Scene, unit: Unit) -> tuple[Thing, ...]:
    """The Services that select the workload's pods."""
    thing = unit.top or next(iter(unit.pods), None)
    return () if thing is None else scene.cluster.services_of(thing)


def target_ports(scene: Scene, unit: Unit) -> dict[int, Thing]:
    """The container ports that Services send traffic to."""
    declared, targets = container_ports(unit.spec), {}
    for service in services_of(scene, unit):
        for port in service.items("spec", "ports"):
            number = resolve(port.get("targetPort", port.get("port")), declared)
            if number is not None:
                targets[number] = service
    return targets


def probe_port(probe: Json) -> Any:
    """The port that a probe asks, as it is written; None for a command."""
    for way in ("httpGet", "tcpSocket", "grpc"):
        if isinstance(probe.get(way), Mapping):
            return mapping(probe[way]).get("port")
    return None


def told_ports(container: Json) -> dict[int, str]:
    """Ports that the program is told to listen on, by an environment variable or an argument, with where."""
    told: dict[int, str] = {}
    for variable in objects(container.get("env")):
        name, value = str(variable.get("name")), variable.get("value")
        if isinstance(value, str) and _PORT_NAMES.fullmatch(name):
            match = re.search(r"(?:\A|:)(\d{2,5})/?\Z", value.strip())
            if match:
                told[int(match[1])] = f"env {name}={value}"
    command = [*words(container.get("command")), *words(container.get("args"))]
    for match in _PORT_FLAG.finditer(" ".join(command)):
        told[int(match[1])] = f"argument {match[0]}"
    return told
