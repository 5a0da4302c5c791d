"""The zygote and the tally of the crash suite; one line about it at the end of the test run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

import pytest

from tests.conftest import SUMMARY
from tests.crash.killing import Tally
from tests.crash.processes import zygote
from tests.crash.suite import SEED, Plan, Suite

_TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Suite]:
    tally = Tally(seed=int(os.environ.get("CRASH_SEED", SEED)))
    pytestconfig.stash[_TALLY] = tally
    started = time.monotonic()
    with zygote() as mother:
        yield Suite(tmp_path_factory.mktemp("crash"), mother, tally)
    tally.seconds = time.monotonic() - started
    if (output := getattr(pytestconfig, "workeroutput", None)) is not None:
        output[SUMMARY] = tally.line()


@pytest.fixture(scope="session")
def plans(suite: Suite) -> Mapping[str, Plan]:
    return suite.survey()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if (tally := config.stash.get(_TALLY, None)) is not None:
        terminalreporter.write_line(tally.line())
