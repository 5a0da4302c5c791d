"""A small filesystem in memory that is really filled. Needs root, to mount it."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from pathlib import Path

from benchmarks.scenarios.box import Box, Scenario, rule
from benchmarks.scenarios.monitoring import HOST
from benchmarks.scenarios.truth import Cause, Truth

_BELOW = Path("/mnt")


async def mounted(box: Box, name: str, options: str) -> Path:
    """A tmpfs of its own; in the snapshot it is /srv/``name``."""
    path = _BELOW / f"box{secrets.token_hex(4)}-{name}"
    path.mkdir()
    box.stack.callback(path.rmdir)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, name, str(path)], check=True)
    box.stack.callback(subprocess.run, ["umount", "-l", str(path)], check=True)
    path.chmod(0o777)
    box.mounts[path] = name
    await box.node(path, "filesystem")
    return path


def _truth(mount: str, *more: Cause, tags: tuple[str, ...] = ()) -> Truth:
    full = Cause(object=f"{HOST}:/srv/{mount}", kind="", fault="disk_filling")
    return Truth(causes=[full, *more], tags=("disk", "recorded", *tags))


def _almost_full(free: str = "0.05") -> dict[str, object]:
    expr = f'node_filesystem_avail_bytes{{job="node"}} / node_filesystem_size_bytes < {free}'
    return rule("DiskAlmostFull", expr, "a filesystem is almost full", wait="1s")


async def full(box: Box) -> Truth:
    """The orders that a service spools fill the disk until no more can be written."""
    path = await mounted(box, "spool", "size=6m,nr_inodes=10k")
    spooler = await box.service("spooler", spool=str(path), spool_bytes=2_000)
    await box.watch(_almost_full())
    spooler.configure(spool_bytes=400_000)
    await spooler.restart(spool_bytes=400_000)
    await box.alerted("DiskAlmostFull", linger=8)
    return _truth("spool", Cause(object="spooler", fault="disk_full", kind=""))


async def filling(box: Box) -> Truth:
    """Space falls in a line; a third is left when the alert predicts the end."""
    path = await mounted(box, "archive", "size=60m,nr_inodes=10k")
    await box.service("archiver", spool=str(path), spool_bytes=200_000)
    expr = 'predict_linear(node_filesystem_avail_bytes{job="node"}[20s], 60) < 0'
    await box.watch(rule("DiskWillFill", expr, "a filesystem will be full soon", severity="warning"))
    await box.alerted("DiskWillFill", linger=12)
    return _truth("archive")


async def inodes(box: Box) -> Truth:
    """Hundreds of tiny files: bytes are free, inodes are not."""
    path = await mounted(box, "mail", "size=20m,nr_inodes=400")
    await box.service("mailer", spool=str(path), spool_bytes=20, rate=20)
    expr = 'node_filesystem_files_free{job="node"} / node_filesystem_files < 0.05'
    await box.watch(rule("InodesAlmostGone", expr, "a filesystem is short of inodes", wait="1s"), healthy=5)
    await box.alerted("InodesAlmostGone", linger=8)
    return _truth("mail", Cause(object="mailer", fault="disk_full"))


async def filled_and_killed(box: Box) -> Truth:
    """Two faults: the disk runs full while somebody kills another service; the alert is the disk's."""
    path = await mounted(box, "spool", "size=6m,nr_inodes=10k")
    spooler = await box.service("spooler", spool=str(path), spool_bytes=2_000)
    ledger = await box.service("ledger")
    await box.watch(_almost_full())
    ledger.send(9)
    await asyncio.sleep(3)
    await spooler.restart(spool_bytes=400_000)
    await box.alerted("DiskAlmostFull", linger=8)
    return _truth("spool", Cause(object="spooler", fault="disk_full", kind=""), tags=("two_faults",))


async def cleaned(box: Box) -> Truth:
    """A nightly export took the space for some seconds and gave it back: the alert is over."""
    path = await mounted(box, "export", "size=20m,nr_inodes=10k")
    await box.service("exporter", spool=str(path), spool_bytes=500)
    await box.watch(_almost_full("0.2"))
    big = path / "export.tar"
    big.write_bytes(b"\x01" * 17_000_000)
    await box.alerted("DiskAlmostFull", linger=2)
    big.unlink()
    await box.alerted("DiskAlmostFull", status="resolved", linger=30)
    return Truth(healthy=True, tags=("disk", "recorded", "healthy"))


SCENARIOS: dict[str, Scenario] = {
    "disk-full": full,
    "disk-filling": filling,
    "disk-inodes-gone": inodes,
    "disk-full-and-killed": filled_and_killed,
    "healthy-disk-cleaned": cleaned,
}
