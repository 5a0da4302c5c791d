"""Addresses that a caller was given by mistake, where no Kubernetes object says what would be right: what the
change that set them took away, and what answers where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.evidence import Change, Evidence, Fact
from investigators.facts.charge import service
from investigators.facts.platform.names import hosts_in
from investigators.facts.platform.scene import Scene, cite, clip
from investigators.facts.platform.similar import nearest
from investigators.facts.platform.symptoms import Symptom

NAME, PORT = "service_name_wrong", "service_port_wrong"
_RULE = "call.address"
_UNREACHED = ("connection_refused", "connect_timeout")
_WITHIN = timedelta(minutes=30)
"""A wrong address fails at the first call; what fails long after it was set went well with it."""
_SKEW = timedelta(minutes=1)
_VALUE = re.compile(r"[^\s\"'`=,;<>()]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """A change that put one address in the place of another; ``instead`` is (host, port) before it."""

    change: Change
    instead: tuple[str, int | None]


def check(scene: Scene) -> list[Fact]:
    if scene.cluster.knows("Service"):
        return []
    facts = [*_unknown_names(scene), *_dead_ports(scene)]
    return [*facts, *scene.silent_logs((NAME, PORT), _RULE, facts)]


def _unknown_names(scene: Scene) -> Iterator[Fact]:
    """One caller looks up a name that nobody knows, and that a change gave it or that is nearly another's."""
    for caller, host, _, told in _by_place(scene, ("dns_unknown_name",)):
        if len(scene.callers(one for one in scene.symptoms.of("dns_unknown_name") if one.host == host)) > 1:
            continue
        label = host.partition(".")[0].lower()
        if label in scene.world.graph.kinds or host.lower() in scene.world.graph.kinds:
            continue
        said = f"{caller} looks up {host}, a name that nobody knows"
        was = _set_by(scene, told, caller, host, None)
        near = nearest(label, [name for name in scene.world.graph.kinds if name != caller])
        if was is not None:
            detail = f"{said}: {_words(was)}"
            yield service(caller).found(NAME, 0.92, _cited(scene, told, was), _RULE, detail)
        elif near is not None:
            detail = f"{said}; there is {near}: {clip(told[-1].line.text)}"
            yield service(caller).found(NAME, 0.8, cite(told), _RULE, detail)


def _dead_ports(scene: Scene) -> Iterator[Fact]:
    """One caller is refused where nobody is known to listen, and a change gave it that address."""
    for caller, host, port, told in _by_place(scene, _UNREACHED):
        if port is None or scene.names.listening(host, port, caller) is not None:
            continue
        if any(one.callee is not None and one.callee.known for one in told):
            continue
        others = [one for one in scene.symptoms.of(*_UNREACHED) if (one.host, one.port) == (host, port)]
        was = _set_by(scene, told, caller, host, port) if len(scene.callers(others)) == 1 else None
        if was is None:
            continue
        right = scene.names.listening(*was.instead, caller)
        better = f"; {right.name} answers at {_place(was.instead)}" if right is not None else ""
        detail = f"nobody answers {caller} at {_place((host, port))}: {_words(was)}{better}"
        kind = PORT if was.instead[0] == host else NAME
        confidence = 0.92 if right is not None else 0.8
        yield service(caller).found(kind, confidence, _cited(scene, told, was), _RULE, detail)


def _by_place(scene: Scene, kinds: Sequence[str]) -> Iterator[tuple[str, str, int | None, Sequence[Symptom]]]:
    places: dict[tuple[str, str, int | None], list[Symptom]] = {}
    for one in scene.symptoms.of(*kinds):
        if one.caller and one.host:
            places.setdefault((one.caller, one.host, one.port), []).append(one)
    for (caller, host, port), told in places.items():
        yield caller, host, port, told


def _set_by(scene: Scene, told: Sequence[Symptom], caller: str, host: str, port: int | None) -> _Set | None:
    """The last change before the first of these complaints that put this very address in another's place."""
    first = min((one.line.at for one in told if one.line.at is not None), default=None)
    for change in reversed(scene.world.changes):
        if change.service not in ("", caller) or not change.diff or host not in change.diff:
            continue
        if first is not None and not -_SKEW <= first - change.at <= _WITHIN:
            continue
        added, taken = _addresses(change.diff, "+"), _addresses(change.diff, "-")
        new = [one for one in added if one not in taken and one[0] == host and port in (None, one[1])]
        gone = [one for one in taken if one not in added and (one[0] != host or one[1] != port)]
        if new and gone:
            same = [one for one in gone if one[0] == host]
            return _Set(change=change, instead=(same or gone)[0])
    return None


def _addresses(diff: str, sign: str) -> list[tuple[str, int | None]]:
    found: dict[tuple[str, int | None], None] = {}
    for line in diff.splitlines():
        if line.startswith(sign) and not line.startswith(sign * 3):
            for value in _VALUE.findall(line[1:]):
                for host, port in hosts_in("", value):
                    found.setdefault((host.lower(), port), None)
    return list(found)


def _words(was: _Set) -> str:
    title = was.change.title or was.change.id
    return f"the change “{title}” put it in the place of {_place(was.instead)}"


def _place(address: tuple[str, int | None]) -> str:
    host, port = address
    return host if port is None else f"{host}:{port}"


def _cited(scene: Scene, told: Sequence[Symptom], was: _Set) -> tuple[Evidence, ...]:
    listed = [
        one
        for one in scene.world.looked("change.list")
        if any(item.id == was.change.id for item in one.changes)
    ]
    return (*cite(told), *listed)
