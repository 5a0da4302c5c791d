"""Fixtures every test may ask for, and what the processes that run tests have to say at the end."""

from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["tests.servers.fixtures"]

# The same examples in every run: what fails here fails everywhere. To search further:
# pytest --hypothesis-profile=search
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, max_examples=1000)
settings.load_profile("repeatable")

SUMMARY = "assent_summary"
"""Where a worker puts a line for the end of the run."""
_LINES = pytest.StashKey[list[str]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    line = getattr(node, "workeroutput", {}).get(SUMMARY)
    if line is not None:
        node.config.stash.setdefault(_LINES, []).append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_LINES, []):
        terminalreporter.write_line(line)
