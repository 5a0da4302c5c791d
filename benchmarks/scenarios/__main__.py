"""Record worlds that are really broken, and write clusters that cannot be run here.

    python -m benchmarks.scenarios [--only NAME] [--list] [--kind recorded|kubernetes] [--jobs 2] OUT

Recording needs Prometheus, Alertmanager, node_exporter and PostgreSQL (Debian packages), Synapse (the test
extra), and root for the disks, for limits of other users and for PostgreSQL's own user. Each case takes about
a minute; what is in OUT under the same name is replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import traceback
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.scenarios import recorded
from benchmarks.scenarios.box import record
from benchmarks.scenarios.kubernetes import write


async def record_all(names: list[str], out: Path, jobs: int) -> int:
    """The number of scenarios that could not be recorded. Each is tried twice."""
    gate = asyncio.Semaphore(jobs)
    scenarios = recorded.scenarios()

    async def one(name: str) -> bool:
        async with gate:
            for attempt in (1, 2):
                began = time.perf_counter()
                try:
                    await record(name, scenarios[name], out)
                except Exception:  # noqa: BLE001 - one world that fails shall not end the others
                    print(f"{name}: attempt {attempt} failed\n{traceback.format_exc()}", file=sys.stderr)
                    continue
                print(f"{name}: recorded in {time.perf_counter() - began:.0f} s", flush=True)
                return True
            return False

    return (await asyncio.gather(*(one(name) for name in names))).count(False)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT", nargs="?")
    parser.add_argument("--only", default="*", metavar="NAME", help="a name, or a pattern such as 'disk-*'")
    parser.add_argument("--kind", choices=("recorded", "kubernetes"))
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--jobs", type=int, default=2, help="worlds recorded at a time")
    given = parser.parse_args()
    real = [name for name in recorded.scenarios() if fnmatchcase(name, given.only)]
    made = [name for name in write.names() if fnmatchcase(name, given.only)]
    if given.kind == "recorded":
        made = []
    if given.kind == "kubernetes":
        real = []
    if given.list:
        print("\n".join([*real, *made]))
        return 0
    if given.out is None or not (real or made):
        parser.error("OUT is missing" if given.out is None else f"no scenario is named {given.only}")
    for name in made:
        write.case(name, given.out)
    failed = asyncio.run(record_all(real, given.out, given.jobs)) if real else 0
    print(f"{len(made)} written, {len(real) - failed} recorded, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
