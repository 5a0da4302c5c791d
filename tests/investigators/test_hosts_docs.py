"""The documentation has a row for every kind these rules find."""

from __future__ import annotations

import re
from pathlib import Path

from investigators.facts import cluster, onset, scope, security, spread
from investigators.facts.tables import listening, processes, units

DOCS = Path(__file__).parents[2] / "docs" / "faults-hosts.md"
KINDS = (
    units.UNIT,
    listening.PORT,
    processes.CPU,
    processes.SIZE,
    processes.MANY,
    processes.ZOMBIES,
    processes.USERS,
    *security.FAULTS,
    onset.KIND,
    scope.ONE,
    scope.WIDE,
    spread.WHOLE,
    cluster.KIND,
)


def test_every_kind_has_a_row() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert [kind for kind in KINDS if kind not in rows] == []
