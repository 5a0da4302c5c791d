"""Names and ports that environment values point to, and whether the cluster has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from investigators.facts.workloads.scene import Scene, Unit
from investigators.world.cluster import Thing

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/@\s]*@)?(?P<host>\[[0-9a-f:]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE,
)
_PAIR = re.compile(r"(?<![\w./:@-])(?P<host>[A-Za-z][A-Za-z0-9_.-]*):(?P<port>\d{2,5})(?![\w.])")
_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")
_NAMED = re.compile(r"(?:^|_)(?:HOSTS?|HOSTNAME|ADDR|ADDRESS|ENDPOINT|BROKERS?)$|_(?:SERVICE|SERVERS?)$")
_OWN = re.compile(r"^(?:HOST|HOSTNAME|BIND|LISTEN|POD|NODE|MY)(?:_|$)|(?:BIND|LISTEN|ADVERTISED?)_")
_LOCAL = ("localhost", "0.0.0.0", "127.0.0.1", "::1", "[::1]")  # noqa: S104
_PORTS = {"http": 80, "https": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432, "mysql": 3306,
          "mongodb": 27017, "amqp": 5672}  # fmt: skip
_SHORT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A place that a value names; ``port`` None where it names none."""

    host: str
    port: int | None


def endpoints_in(name: str, value: str) -> Iterator[Endpoint]:
    """Each host, with its port, in a variable's value; its name decides whether a bare word is a host."""
    if len(value) > 2_000 or _OWN.search(name.upper()):
        return
    urls = list(_URL.finditer(value))
    for match in urls:
        port = int(match["port"]) if match["port"] else _PORTS.get(match["scheme"].lower())
        yield from _endpoint(match["host"], port)
    if urls:
        return
    pairs = list(_PAIR.finditer(value))
    for match in pairs:
        yield from _endpoint(match["host"], int(match["port"]))
    word = len(value) < _SHORT and _PLAIN.match(value) and not value.replace(".", "").isdecimal()
    if not pairs and word and _NAMED.search(name.upper()) and value not in ("true", "false", "none"):
        yield from _endpoint(value, None)


def _endpoint(host: str, port: int | None) -> Iterator[Endpoint]:
    if host.lower() not in _LOCAL and not re.fullmatch(r"[\d.]+", host):
        yield Endpoint(host=host.rstrip(".").lower(), port=port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """``service`` the Service an endpoint names; ``inside`` whether its name can only be one of the
    cluster's. ``missing`` says what is not there, empty when all is or when it cannot be told."""

    service: Thing | None
    inside: bool
    missing: str


def look_up(scene: Scene, unit: Unit, endpoint: Endpoint) -> Known:
    """Where an endpoint leads, as the cluster's DNS would say to a pod of the workload."""
    labels = endpoint.host.split(".")
    name, namespace = labels[0], unit.namespace
    inside = len(labels) == 1 or "svc" in labels[1:4]
    services = scene.cluster
    if len(labels) > 1:
        namespaces = {one.namespace for one in services.of("Service")}
        place = labels[labels.index("svc") - 1] if "svc" in labels[1:4] else labels[-1]
        if place not in namespaces and "svc" not in labels[1:4]:
            # A pod of a headless Service, or a name outside the cluster.
            service = services.get("Service", unit.namespace, place) if len(labels) == 2 else None
            return Known(service=service, inside=service is not None, missing="")
        namespace, inside = place, True
        at = labels.index("svc") - 2 if "svc" in labels[1:4] else len(labels) - 2
        name = labels[at] if at >= 0 else labels[0]
    if not services.knows("Service") or not services.of("Service", namespace):
        if services.knows("Service") and services.of("Service") and namespace != unit.namespace:
            return Known(service=None, inside=True, missing=f"namespace {namespace} has no Service")
        return Known(service=None, inside=inside, missing="")
    service = services.get("Service", namespace, name)
    if service is None:
        near = _near(scene, namespace, name)
        hint = f" (there is {near})" if near else ""
        return Known(service=None, inside=inside, missing=f"Service {namespace}/{name} does not exist{hint}")
    if service.at("spec", "type") == "ExternalName" or endpoint.port is None:
        return Known(service=service, inside=True, missing="")
    ports = [one.get("port") for one in service.items("spec", "ports")]
    headless = service.at("spec", "clusterIP") == "None"
    if ports and endpoint.port not in ports and not headless:
        shown = ", ".join(map(str, ports))
        missing = f"Service {namespace}/{name} has port {shown}, not {endpoint.port}"
        return Known(service=service, inside=True, missing=missing)
    return Known(service=service, inside=True, missing="")


def _near(scene: Scene, namespace: str, name: str) -> str:
    """The Service whose name is most like it, as after a slip of the pen."""
    best, least = "", 3
    for service in scene.cluster.of("Service", namespace):
        distance = _distance(name, service.name, least)
        if distance < least:
            best, least = service.name, distance
    if best:
        return best
    for service in scene.cluster.of("Service", namespace):
        longer, shorter = f"{service.name}-", f"{name}-"
        if _stem(service.name) == _stem(name) or longer.startswith(shorter) or shorter.startswith(longer):
            return service.name
    return ""


def _stem(name: str) -> str:
    return re.sub(r"[-_](?:service|svc|server|api|v\d+|wrong|old|new|master|primary)\Z|service\Z", "", name)


def _distance(one: str, other: str, most: int) -> int:
    """Edits between two names, ``most`` when it is that many or more."""
    if abs(len(one) - len(other)) >= most:
        return most
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
        if min(row) >= most:
            return most
    return min(row[-1], most)
