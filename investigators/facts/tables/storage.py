"""disk_filling and memory_pressure as a machine's own tables show them."""

from __future__ import annotations

from bot.domain.evidence import Evidence, Fact
from investigators.facts.disk import FULL
from investigators.facts.disk import KIND as DISK
from investigators.facts.pressure import MEMORY, MEMORY_FINE, judge_memory
from investigators.facts.tables.reading import Machine, Row, number, text
from investigators.pack import found, unknown, why_nothing
from investigators.ranking import human_bytes

_NOT_DISKS = frozenset({
    "tmpfs", "ramfs", "overlay", "squashfs", "devtmpfs", "nsfs", "iso9660", "autofs", "proc", "sysfs",
    "cgroup", "cgroup2", "devpts", "mqueue", "tracefs", "debugfs", "securityfs", "pstore", "bpf", "fusectl",
    "configfs", "hugetlbfs", "binfmt_misc", "rpc_pipefs", "efivarfs", "udf",
})  # fmt: skip


def mounts(machine: Machine) -> list[Fact]:
    """One fact per filesystem; how fast it fills cannot be seen in one look, so never absent."""
    rule = f"{DISK}.mounts"
    facts: dict[str, Fact] = {}
    for evidence, row in machine.rows("mounts"):
        fact = _mount(machine, evidence, row, rule)
        if fact is not None:
            facts.setdefault(fact.subject, fact)
    looked = machine.looked("mounts")
    if not facts and looked:
        return [unknown(DISK, machine.name, looked, rule, why_nothing(looked, "it shows no filesystem"))]
    return list(facts.values())


def _mount(machine: Machine, evidence: Evidence, row: Row, rule: str) -> Fact | None:
    kind, path = text(row, "type"), text(row, "path")
    read_only = "ro" in text(row, "flags").split(",")
    if not path or kind in _NOT_DISKS or kind.startswith("fuse") or read_only:
        return None
    subject = f"{machine.name}:{path}"
    size, blocks = number(row, "blocks_size"), number(row, "blocks")
    available, free = number(row, "blocks_available"), number(row, "blocks_free")
    inodes, inodes_free = number(row, "inodes"), number(row, "inodes_free")
    if not blocks or available is None:
        return None
    # As df counts it: what is reserved for root is neither used nor free.
    used = blocks - (free if free is not None else available)
    share = available / max(used + available, 1)
    left = f"{human_bytes(available * size)} free" if size else f"{share:.1%} free"
    if inodes and inodes_free is not None and inodes_free <= FULL * inodes:
        detail = f"{subject}: {1 - inodes_free / inodes:.1%} of the inodes are used, {left}"
        return found(
            DISK, subject, 0.9, (evidence,), rule, detail, inodes_used=100 * (1 - inodes_free / inodes)
        )
    if share <= FULL:
        detail = f"{subject} is full: {1 - share:.1%} used, {left}"
        return found(DISK, subject, 0.9, (evidence,), rule, detail, share_free=share)
    return unknown(DISK, subject, (evidence,), rule, f"{subject}: {1 - share:.1%} used, pace not known")


def memory(machine: Machine) -> list[Fact]:
    rule = "table"
    for evidence, row in machine.rows("memory_info"):
        total = number(row, "memory_total")
        if not total:
            continue
        said = number(row, "memory_available")
        bare = number(row, "memory_free")
        if said is not None:
            return [judge_memory(machine.name, (evidence,), said, said / total, 0.0, rule)]
        if bare is None:
            continue
        # Older agents do not say what is available: it lies between what is free and that with the caches.
        most = bare + (number(row, "buffers") or 0.0) + (number(row, "cached") or 0.0)
        if bare / total >= MEMORY_FINE:
            return [judge_memory(machine.name, (evidence,), bare, bare / total, 0.0, rule)]
        fact = judge_memory(machine.name, (evidence,), most, most / total, 0.0, rule)
        if most / total < MEMORY_FINE:
            return [fact]
        detail = f"{machine.name} has at most {human_bytes(most)} of memory available, caches included"
        return [unknown(MEMORY, machine.name, (evidence,), f"{MEMORY}.{rule}", detail)]
    looked = machine.looked("memory_info")
    if not looked:
        return []
    return [
        unknown(
            MEMORY, machine.name, looked, f"{MEMORY}.{rule}", why_nothing(looked, "no memory in the table")
        )
    ]
