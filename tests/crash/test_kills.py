"""SIGKILL at every step boundary of the path, and at random points, again and again.

``CRASH_SEED=…`` draws other random points; ``CRASH_CASE='…'`` runs one case alone, as a failure prints it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from tests.crash.killing import Case
from tests.crash.scenarios import SCENARIOS
from tests.crash.suite import RANDOM_KILLS, Plan, Suite

ALONE = Case.parse(os.environ["CRASH_CASE"]) if "CRASH_CASE" in os.environ else None

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

if ALONE is not None:

    def test_the_one_case_asked_for(suite: Suite) -> None:
        assert ALONE is not None
        print("killed at", suite.one(ALONE).at)

else:

    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_whatever_is_killed_nothing_is_lost_doubled_or_run_twice(
        scenario: str, suite: Suite, plans: Mapping[str, Plan]
    ) -> None:
        plan = plans[scenario]
        assert suite.kill_everywhere(plan) == []
        suite.kill_anywhere(scenario, plan.crossings, RANDOM_KILLS[scenario])
