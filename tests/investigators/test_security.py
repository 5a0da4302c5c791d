"""Lines of file integrity monitors and intrusion detection, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.domain.evidence import Fact, LogLine
from investigators.facts.security import FILE, TRAFFIC, check
from investigators.ports import Matcher, MatchOp
from investigators.queries import SECURITY_MARKS, LogQuery
from investigators.world.building import build_world
from investigators.world.graph import Edge, Graph
from investigators.world.world import World
from tests.investigators.platform.build import evidence, line, world
from tests.investigators.platform.objects import NOW

PATH = "/etc/cart/cart.yaml"


def wazuh(path: str = PATH, *, host: str = "web-1", event: str = "modified", **more: Any) -> str:
    syscheck = {"path": path, "event": event, "uname_after": "root", **more}
    rule = {"level": 7, "description": "Integrity checksum changed.", "groups": ["ossec", "syscheck"]}
    return json.dumps({"rule": rule, "agent": {"id": "001", "name": host}, "syscheck": syscheck})


def suricata(severity: int = 1, *, wrapped: bool = False) -> str:
    alert = {"signature": "ET SCAN Nmap", "severity": severity, "category": "scan"}
    event = {
        "event_type": "alert",
        "src_ip": "203.0.113.9",
        "dest_ip": "10.0.0.5",
        "host": "web-1",
        "alert": alert,
    }
    return json.dumps({"agent": {"name": "web-1"}, "data": event} if wrapped else event)


def of(
    *texts: str, minutes: float = 14, node: str = "", runs_on: str = "", subjects: Sequence[str] = ("cart",)
) -> World:
    """Told ``minutes`` ago; the trouble began ten minutes ago."""
    made = world(lines=[line(text, minutes=minutes, node=node) for text in texts], subjects=subjects)
    if not runs_on:
        return made
    edges = [Edge(source="cart", target=runs_on, kind="runs_on", origin="Pod", seen_at=NOW)]
    return replace(made, graph=Graph.build({runs_on: "node", "cart": "service"}, edges))


@dataclass(frozen=True, kw_only=True)
class Look:
    name: str
    world: World
    kind: str
    subject: tuple[str, str] | None
    least: float = 0.0
    most: float = 1.0


LOOKS = [
    Look(
        name="the service's own configuration right before",
        world=of(wazuh()),
        kind=FILE,
        subject=("service", "cart"),
        least=0.7,
    ),
    Look(
        name="configuration of the machine it runs on",
        world=of(wazuh("/etc/hosts"), runs_on="web-1"),
        kind=FILE,
        subject=("node", "web-1"),
        least=0.7,
    ),
    Look(
        name="configuration of some other machine",
        world=of(wazuh("/etc/hosts")),
        kind=FILE,
        subject=("host", "web-1"),
        most=0.3,
    ),
    Look(
        name="hours before", world=of(wazuh(), minutes=58), kind=FILE, subject=("service", "cart"), most=0.3
    ),
    Look(name="after the onset", world=of(wazuh(), minutes=5), kind=FILE, subject=None),
    Look(
        name="a program rather than configuration",
        world=of(wazuh("/usr/lib/cart/cart.bin")),
        kind=FILE,
        subject=("service", "cart"),
        most=0.3,
    ),
    Look(
        name="a file that always changes",
        world=of(wazuh("/etc/mtab"), runs_on="web-1"),
        kind=FILE,
        subject=None,
    ),
    Look(name="a line that is cut", world=of(wazuh()[:-5]), kind=FILE, subject=None),
    Look(name="a word in a message", world=of('user says "syscheck" is off'), kind=FILE, subject=None),
    Look(name="a list for an object", world=of('{"syscheck": ["path"]}'), kind=FILE, subject=None),
    Look(name="no monitor", world=of("served"), kind=FILE, subject=None),
    Look(name="a severe alert", world=of(suricata()), kind=TRAFFIC, subject=("host", "web-1"), least=0.6),
    Look(name="a mild alert", world=of(suricata(3)), kind=TRAFFIC, subject=("host", "web-1"), most=0.4),
    Look(
        name="one that came through Wazuh",
        world=of(suricata(wrapped=True)),
        kind=TRAFFIC,
        subject=("host", "web-1"),
        least=0.6,
    ),
    Look(name="an alert of long ago", world=of(suricata(), minutes=55), kind=TRAFFIC, subject=None),
    Look(
        name="a flow that is no alert",
        world=of('{"event_type":"flow","alert":{},"host":"web-1"}'),
        kind=TRAFFIC,
        subject=None,
    ),
]


def facts(made: World, kind: str) -> list[Fact]:
    return [fact for fact in check(made) if fact.kind == kind]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_security_events_are_judged(look: Look) -> None:
    seen = facts(look.world, look.kind)
    if look.subject is None:
        assert seen == []
        return
    (fact,) = seen
    assert (fact.subject_kind, fact.subject) == look.subject
    assert look.least <= fact.confidence <= look.most
    assert fact.evidence_ids


def test_a_change_says_what_where_and_how_long_before() -> None:
    (fact,) = facts(of(wazuh()), FILE)
    for text in (PATH, "modified", "web-1", "4 min before the onset", "root"):
        assert text in fact.detail


def test_many_alerts_about_one_machine_are_one_fact() -> None:
    (fact,) = facts(of(*[suricata(3)] * 40, suricata(1)), TRAFFIC)
    assert fact.values == {"alerts": 41.0, "severity": 1.0}


def test_lines_that_two_questions_bring_count_once_and_prove_nothing_absent() -> None:
    text = wazuh()
    base = evidence("log.lines", "a")
    answer = replace(base, lines=(LogLine(at=NOW, text=text, labels={"node": "web-1"}),))
    watched = LogQuery(
        matchers=(Matcher(label="node", op=MatchOp.EQUAL, value="web-1"),), contains=SECURITY_MARKS
    )
    made = build_world(NOW, NOW, (), ["cart"], [(LogQuery(), answer), (watched, replace(answer, id=base.id))])
    assert [one.text for one in made.lines] == [text]
    alone = build_world(NOW, NOW, (), ["cart"], [(watched, answer)])
    assert [one.text for one in alone.lines] == [text]
    assert alone.looked("log.lines") == ()
