"""osquery's tables: what they show, what they rule out, and what they cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from adapters.evidence.build import answered, nothing
from bot.domain.evidence import Evidence, EvidenceStatus, FactVerdict, LogLine, Window
from investigators.entities import Entity
from investigators.facts import osquery
from investigators.gathering import Answer
from investigators.pack import Pack
from investigators.queries import LogQuery, Query, Sources, TableQuery
from investigators.registry import DeterministicInvestigator
from investigators.wide import WideAsk
from tests.fakes.evidence import NOW, FixedClock, WorldHost
from tests.investigators.world import alert, case

FOUND, ABSENT, UNKNOWN = FactVerdict.FOUND, FactVerdict.ABSENT, FactVerdict.UNKNOWN
GIB = 2**30
WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)
ONSET = NOW - timedelta(minutes=2)
ASK = WideAsk(choices=(), window=WINDOW, subject="box")
Rows = Sequence[Mapping[str, Any]]


def mount(path: str = "/data", *, left: float, inodes_left: float = 0.5, **more: str) -> dict[str, Any]:
    # As text, as osquery itself prints numbers.
    return {
        "path": path, "type": "ext4", "flags": "rw,relatime", "blocks_size": "4096", "blocks": "1000000",
        "blocks_free": str(int(1_000_000 * left)), "blocks_available": str(int(1_000_000 * left)),
        "inodes": "1000", "inodes_free": str(int(1000 * inodes_left)), **more,
    }  # fmt: skip


def process(name: str, pid: int = 10, **more: object) -> dict[str, Any]:
    return {"pid": pid, "parent": 1, "name": name, "path": f"/usr/bin/{name}", "cmdline": name, "state": "S",
            **more}  # fmt: skip


def unit(name: str, active: str = "failed", sub: str = "failed", **more: object) -> dict[str, Any]:
    return {"id": name, "active_state": active, "sub_state": sub, **more}


def port(number: int, name: str, pid: int = 77) -> dict[str, Any]:
    return {"pid": pid, "port": number, "name": name, "address": "0.0.0.0"}


def memory(**gib: float) -> dict[str, Any]:
    return {f"memory_{key}" if key in ("total", "free", "available") else key: int(value * GIB)
            for key, value in gib.items()}  # fmt: skip


MACHINE = {"alertname": "Disk", "instance": "box:9100", "mountpoint": "/data"}
DEMO = {"alertname": "Demo", "job": "demo", "instance": "box:8000", "service": "demo"}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is asked, and what must come of it for one kind."""

    name: str
    tables: Mapping[str, Rows | str | None]
    """None: the table failed; a text: it is cut, with the rows under ``rows``."""
    kind: str
    verdict: FactVerdict | None
    subject: str = "demo"
    labels: Mapping[str, str] = field(default_factory=lambda: DEMO)
    says: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    cut: bool = False


LOOKS = [
    Look(
        name="a full filesystem",
        tables={"mounts": [mount(left=0.03)]},
        kind="disk_filling",
        verdict=FOUND,
        subject="box:/data",
        says=("97.0% used",),
    ),
    Look(
        name="a filesystem without any free block",
        tables={"mounts": [mount(left=0.0)]},
        kind="disk_filling",
        verdict=FOUND,
        subject="box:/data",
    ),
    Look(
        name="inodes run out",
        tables={"mounts": [mount(left=0.6, inodes_left=0.01)]},
        kind="disk_filling",
        verdict=FOUND,
        subject="box:/data",
        says=("inodes",),
    ),
    Look(
        name="one look shows no pace",
        tables={"mounts": [mount(left=0.6)]},
        kind="disk_filling",
        verdict=UNKNOWN,
        subject="box:/data",
    ),
    Look(
        name="a read-only image is always full",
        tables={"mounts": [mount(left=0.0, flags="ro,relatime")]},
        kind="disk_filling",
        verdict=UNKNOWN,
        subject="box",
    ),
    Look(
        name="a squashfs is always full",
        tables={"mounts": [mount(left=0.0, type="squashfs")]},
        kind="disk_filling",
        verdict=UNKNOWN,
        subject="box",
    ),
    Look(
        name="mounts that failed",
        tables={"mounts": None},
        kind="disk_filling",
        verdict=UNKNOWN,
        subject="box",
    ),
    Look(
        name="memory is short",
        tables={"memory_info": [memory(total=16, available=0.5)]},
        kind="memory_pressure",
        verdict=FOUND,
        subject="box",
    ),
    Look(
        name="memory is short for an old agent",
        tables={"memory_info": [memory(total=16, free=0.2, cached=0.3)]},
        kind="memory_pressure",
        verdict=FOUND,
        subject="box",
    ),
    Look(
        name="memory is plenty",
        tables={"memory_info": [memory(total=16, available=9)]},
        kind="memory_pressure",
        verdict=ABSENT,
        subject="box",
    ),
    Look(
        name="caches may not be given back",
        tables={"memory_info": [memory(total=16, free=0.2, cached=9)]},
        kind="memory_pressure",
        verdict=UNKNOWN,
        subject="box",
    ),
    Look(
        name="its unit failed",
        tables={"systemd_units": [unit("demo.service")]},
        kind="unit_failed",
        verdict=FOUND,
        says=("demo.service has failed",),
    ),
    Look(
        name="its unit failed, with result and code",
        kind="unit_failed",
        verdict=FOUND,
        tables={
            "systemd_units": [unit("demo.service", result="exit-code", exec_main_code=1, exec_main_status=3)]
        },
        says=("result exit-code", "exit code 3"),
    ),
    Look(
        name="its journal says why the unit failed",
        kind="unit_failed",
        verdict=FOUND,
        tables={"systemd_units": [unit("demo.service")]},
        lines=(
            "demo.service: Main process exited, code=killed, status=9/KILL",
            "demo.service: Failed with result 'oom-kill'.",
        ),
        says=("oom-kill", "SIGKILL"),
    ),
    Look(
        name="the journal of another unit",
        kind="unit_failed",
        verdict=FOUND,
        tables={"systemd_units": [unit("demo.service")]},
        lines=("other.service: Failed with result 'oom-kill'.",),
        says=("demo.service has failed",),
    ),
    Look(
        name="its unit is started again and again",
        kind="unit_failed",
        verdict=FOUND,
        tables={"systemd_units": [unit("demo.service", "activating", "auto-restart")]},
        says=("again and again",),
    ),
    Look(
        name="its unit is well",
        tables={"systemd_units": [unit("demo.service", "active", "running")]},
        kind="unit_failed",
        verdict=ABSENT,
    ),
    Look(
        name="another unit failed",
        tables={"systemd_units": [unit("backup.service"), unit("demo.service", "active")]},
        kind="unit_failed",
        verdict=FOUND,
        subject="box:backup.service",
    ),
    Look(
        name="no unit carries its name",
        tables={"systemd_units": [unit("ssh.service", "active", "running")]},
        kind="unit_failed",
        verdict=UNKNOWN,
    ),
    Look(
        name="no unit of the machine failed",
        tables={"systemd_units": [unit("ssh.service", "active", "running")]},
        kind="unit_failed",
        verdict=ABSENT,
        subject="box",
        labels=MACHINE,
    ),
    Look(
        name="a cut list of units proves nothing",
        cut=True,
        kind="unit_failed",
        verdict=UNKNOWN,
        subject="box",
        tables={"systemd_units": [unit("ssh.service", "active", "running")]},
        labels=MACHINE,
    ),
    Look(
        name="its log says the port is taken",
        kind="port_taken",
        verdict=FOUND,
        tables={"listening_ports": [port(8000, "nginx")]},
        lines=("listen tcp 0.0.0.0:8000: bind: address already in use",),
        says=("nginx (pid 77)",),
    ),
    Look(
        name="its unit failed and another listens",
        kind="port_taken",
        verdict=FOUND,
        tables={"listening_ports": [port(8000, "nginx")], "systemd_units": [unit("demo.service")]},
        says=("demo.service is failed",),
    ),
    Look(
        name="it runs but another listens",
        kind="port_taken",
        verdict=FOUND,
        tables={
            "listening_ports": [port(8000, "nginx")],
            "processes": [process("demo"), process("nginx", 77)],
        },
    ),
    Look(
        name="its own child listens",
        kind="port_taken",
        verdict=UNKNOWN,
        tables={
            "listening_ports": [port(8000, "worker")],
            "processes": [process("demo"), process("worker", 77, parent=10)],
        },
    ),
    Look(
        name="a runtime's name accuses nobody",
        kind="port_taken",
        verdict=UNKNOWN,
        tables={"listening_ports": [port(8000, "java")]},
    ),
    Look(
        name="it listens itself",
        tables={"listening_ports": [port(8000, "demo")]},
        kind="port_taken",
        verdict=ABSENT,
    ),
    Look(
        name="its program listens under the runtime's name",
        kind="port_taken",
        verdict=ABSENT,
        tables={
            "listening_ports": [port(8000, "python3", 5)],
            "processes": [process("python3", 5, cmdline="python3 /srv/demo.py")],
        },
    ),
    Look(
        name="nobody listens",
        tables={"listening_ports": [port(22, "sshd")]},
        kind="port_taken",
        verdict=ABSENT,
    ),
    Look(name="ports that failed", tables={"listening_ports": None}, kind="port_taken", verdict=UNKNOWN),
    Look(
        name="a zombie",
        tables={"processes": [process("demo", state="Z")]},
        kind="process_not_running",
        verdict=FOUND,
        says=("zombie",),
    ),
    Look(
        name="no process and a dead unit",
        kind="process_not_running",
        verdict=FOUND,
        tables={"processes": [process("sshd")], "systemd_units": [unit("demo.service", "inactive", "dead")]},
    ),
    Look(
        name="no process of that name",
        tables={"processes": [process("java")]},
        kind="process_not_running",
        verdict=UNKNOWN,
    ),
    Look(name="it runs", tables={"processes": [process("demo")]}, kind="process_not_running", verdict=ABSENT),
    Look(
        name="an editor with its file open is not it",
        kind="process_not_running",
        verdict=UNKNOWN,
        tables={"processes": [process("vim", cmdline="vim /etc/demo.conf")]},
    ),
    Look(
        name="a suspended process",
        tables={"processes": [process("demo", state="T")]},
        kind="process_hang",
        verdict=FOUND,
    ),
    Look(
        name="one of its workers is suspended",
        kind="process_hang",
        verdict=None,
        tables={"processes": [process("demo", state="T"), process("demo", 11)]},
    ),
    Look(
        name="a young process uses two cores",
        kind="process_high_cpu",
        verdict=FOUND,
        subject="box:miner",
        tables={
            "processes": [
                process("miner", start_time=int(NOW.timestamp()) - 100, user_time=200_000, system_time=1_000)
            ]
        },
    ),
    Look(
        name="a lazy process",
        kind="process_high_cpu",
        verdict=None,
        subject="box:cron",
        tables={
            "processes": [
                process("cron", start_time=int(NOW.timestamp()) - 100, user_time=500, system_time=100)
            ]
        },
    ),
    Look(
        name="a large process on a machine short of memory",
        kind="process_high_memory",
        verdict=FOUND,
        subject="box:java",
        tables={
            "processes": [process("java", resident_size=12 * GIB)],
            "memory_info": [memory(total=16, available=0.5)],
        },
    ),
    Look(
        name="a large process on a machine with memory to spare",
        kind="process_high_memory",
        verdict=None,
        subject="box:java",
        tables={
            "processes": [process("java", resident_size=12 * GIB)],
            "memory_info": [memory(total=16, available=4)],
        },
    ),
    Look(
        name="a crowd of one program",
        kind="too_many_processes",
        verdict=FOUND,
        subject="box",
        tables={"processes": [process("sh", pid) for pid in range(100, 600)]},
    ),
    Look(
        name="many kernel threads",
        kind="too_many_processes",
        verdict=None,
        subject="box",
        tables={"processes": [process("kworker", pid, parent=2) for pid in range(100, 600)]},
    ),
    Look(
        name="children nobody waits for",
        kind="zombie_processes",
        verdict=FOUND,
        subject="box",
        says=("demo (pid 10)",),
        tables={
            "processes": [
                process("demo"),
                *(process("sh", pid, parent=10, state="Z") for pid in range(100, 180)),
            ]
        },
    ),
    Look(
        name="somebody logged in before the onset",
        kind="user_logged_in",
        verdict=FOUND,
        subject="box",
        says=("alice", "10.0.0.9"),
        tables={
            "logged_in_users": [
                {"type": "user", "user": "alice", "host": "10.0.0.9", "time": int(ONSET.timestamp()) - 240}
            ]
        },
    ),
    Look(
        name="somebody logged in days ago",
        kind="user_logged_in",
        verdict=None,
        subject="box",
        tables={
            "logged_in_users": [{"type": "user", "user": "alice", "time": int(ONSET.timestamp()) - 200_000}]
        },
    ),
]


def table(name: str, rows: Rows | str | None, *, cut: bool = False) -> Evidence:
    query = TableQuery(host="box", table=name)
    parts: dict[str, Any] = {
        "source": "fleet",
        "kind": query.kind,
        "query": name,
        "window": WINDOW,
        "taken_at": NOW,
        "subject": "box",
    }
    if rows is None:
        return nothing(**parts, reason="host is offline", status=EvidenceStatus.FAILED)
    return answered(
        **parts, summary=name, excerpt=name, records=[dict(row) for row in rows if isinstance(row, Mapping)],
        reason="showing the first rows of more" if cut else None,
    )  # fmt: skip


def pack_of(look: Look) -> tuple[Pack, Entity]:
    one = alert("Demo", labels=look.labels)
    asked = case(one)
    entity = Entity(
        subject="box" if "mountpoint" in look.labels else "demo",
        host="box",
        machine="mountpoint" in look.labels,
        instance=look.labels["instance"],
        job=None,
        selectors=(),
        peers=(),
        alerts=(one,),
        onset=ONSET,
        host_queries={},
    )
    answers = [
        Answer(ask=ASK, query=TableQuery(host="box", table=name), evidence=table(name, rows, cut=look.cut))
        for name, rows in look.tables.items()
    ]
    if look.lines:
        text = answered(
            source="loki",
            kind="log.lines",
            query="",
            window=WINDOW,
            taken_at=NOW,
            summary="",
            subject="demo",
            excerpt="",
            lines=[LogLine(at=ONSET, text=one, labels={"service": "demo"}) for one in look.lines],
        )
        answers.append(Answer(ask=ASK, query=LogQuery(), evidence=text))
    return Pack(case=asked, entities=(entity,), answers=tuple(answers)), entity


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_tables_are_judged(look: Look) -> None:
    facts = [f for f in osquery.check(*pack_of(look)) if (f.kind, f.subject) == (look.kind, look.subject)]
    assert {fact.verdict for fact in facts} == ({look.verdict} if look.verdict else set())
    for text in look.says:
        assert text in facts[0].detail
    assert all(fact.evidence_ids for fact in facts)


def test_no_table_no_word() -> None:
    pack, entity = pack_of(Look(name="", tables={}, kind="", verdict=None))
    assert osquery.check(pack, entity) == []


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Answers tables from memory; what it does not hold it does not cover."""

    tables: Mapping[str, Rows]
    name: str = "fleet"
    answers: frozenset[type[Query]] = frozenset({TableQuery})

    def command(self, query: Query, window: Window) -> str | None:
        return None

    def covers(self, query: Query) -> bool:
        return isinstance(query, TableQuery) and query.host == "box" and query.table in self.tables

    async def ask(self, query: Query, window: Window, subject: str) -> Evidence:
        assert isinstance(query, TableQuery)
        return table(query.table, self.tables[query.table])


async def diagnose(
    tables: Mapping[str, Rows],
    labels: Mapping[str, str] = DEMO,
    hosts: tuple[WorldHost, ...] = (),
    name: str = "Demo",
) -> Any:
    sources = Sources(hosts=hosts, wide=(Fleet(tables=tables),))
    investigator = DeterministicInvestigator(sources, FixedClock(), timedelta(seconds=5), timedelta(hours=1))
    return (await investigator.investigate(case(alert(name, labels=labels)))).diagnosis


async def test_a_taken_port_is_the_cause_and_the_failed_unit_its_symptom() -> None:
    diagnosis = await diagnose(
        {"listening_ports": [port(8000, "nginx")], "systemd_units": [unit("demo.service")]}
    )
    top = diagnosis.hypotheses[0]
    assert (top.object, top.fault) == ("demo", "port_taken")
    assert "nginx" in diagnosis.summary
    assert [one.fault for one in diagnosis.hypotheses[1:]] == ["unit_failed"]


async def test_a_failed_unit_is_named_with_its_kind() -> None:
    diagnosis = await diagnose(
        {"systemd_units": [unit("backup.service")]}, MACHINE | {"mountpoint": "/"}, name="SystemdUnitFailed"
    )
    top = diagnosis.hypotheses[0]
    assert (top.object, top.object_kind, top.fault) == ("box:backup.service", "process", "unit_failed")


async def test_an_unrelated_failed_unit_is_shown_but_is_no_cause() -> None:
    diagnosis = await diagnose({"systemd_units": [unit("backup.service"), unit("demo.service", "active")]})
    assert diagnosis.root_cause is None
    assert any("backup.service" in one.finding for one in diagnosis.citations)


async def test_the_table_and_the_host_are_two_witnesses_of_a_full_disk() -> None:
    host = WorldHost(
        process=None,
        disk_records=[
            {"mount": "/data", "used_percent": 97.0, "free_bytes": 30_000_000, "total_bytes": 10**9}
        ],
    )
    alone = await diagnose({"mounts": [mount(left=0.03)]}, MACHINE)
    both = await diagnose({"mounts": [mount(left=0.03)]}, MACHINE, (host,))
    assert both.hypotheses[0].fault == alone.hypotheses[0].fault == "disk_filling"
    assert (alone.band.value, both.band.value) == ("medium", "high")
