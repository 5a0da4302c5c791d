"""The end of every benchmark: one table, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Measure, machine, machine_line, table


def finish(measures: Sequence[Measure], *, as_json: bool, before: Mapping[str, Any] | None = None) -> int:
    """Print what was found. ``before`` is the machine as it was when the run began. Always 0: a goal that
    is missed is a finding, not a failure of the benchmark."""
    found = before or machine()
    if as_json:
        print(json.dumps({"machine": found, "measures": [measure.as_json() for measure in measures]}))
        return 0
    missed = [measure.name for measure in measures if measure.met is False]
    print(f"\n{machine_line(found)}\n\n{table(measures)}\n")
    print(f"goals missed: {'; '.join(missed)}" if missed else "every goal is met")
    return 0
