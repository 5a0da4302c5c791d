"""Pytest fixtures for the real servers. Load with ``pytest_plugins = ["tests.servers.fixtures"]``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.servers.synapse import Synapse, synapse_missing


def require_synapse() -> None:
    """Skip with the reason where Synapse is missing; in CI that is a failure."""
    reason = synapse_missing()
    if reason is None:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def synapse() -> AsyncIterator[Synapse]:
    """One homeserver for the whole session, without rate limits. Make new users and rooms in each test."""
    require_synapse()
    async with Synapse() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited_synapse() -> AsyncIterator[Synapse]:
    """A homeserver with the rate limits of a fresh install."""
    require_synapse()
    async with Synapse(default_rate_limits=True) as server:
        yield server
