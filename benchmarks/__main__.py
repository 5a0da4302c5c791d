"""Every benchmark, one table at the end; some four minutes, of which the part with a model takes
half a one.

python -m benchmarks [--no-matrix] [--json]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import engine, ingest, investigation, model, process, reaction
from benchmarks.measure import Measure, machine
from benchmarks.output import finish


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-matrix", action="store_true", help="leave out what needs Synapse")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    parts: list[tuple[str, Callable[[], list[Measure]]]] = [
        ("ingest", ingest.measure),
        ("reaction to executor", reaction.measure),
        ("intake, ledger, investigation", engine.measure),
        ("investigation of 50 pods", investigation.measure),
        ("asking a model", model.measure),
        ("start, memory, stop", lambda: process.measure(matrix=not given.no_matrix)),
    ]
    before = machine()
    measures: list[Measure] = []
    for name, measure in parts:
        started = time.perf_counter()
        measures += measure()
        print(f"{name}: measured in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return finish(measures, as_json=given.json, before=before)


if __name__ == "__main__":
    sys.exit(main())
