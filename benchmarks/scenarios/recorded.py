"""Every scenario that is recorded, by the name of its case."""

from __future__ import annotations

from benchmarks.scenarios import disks, homeserver, network, postgres, processes
from benchmarks.scenarios.box import Scenario


def scenarios() -> dict[str, Scenario]:
    return {
        **processes.SCENARIOS,
        **disks.SCENARIOS,
        **network.SCENARIOS,
        **postgres.SCENARIOS,
        **homeserver.SCENARIOS,
    }
