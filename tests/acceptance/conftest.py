"""The people of the acceptance tests, and a factory of scenarios."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.world import ROOM_VERSION, Cast, Scenario, scenario
from tests.servers.matrix_commander import MatrixCommander, matrix_commander_missing
from tests.servers.synapse import Person, Synapse

Open = Callable[..., AbstractAsyncContextManager[Scenario]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cast(synapse: Synapse, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    missing = matrix_commander_missing()
    if missing is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    ana = await synapse.register()
    async with Person(ana) as person:
        home = await person.create_room(room_version=ROOM_VERSION)
    commander = MatrixCommander(ana, tmp_path_factory.mktemp("terminal"))
    await commander.login(home)
    yield Cast(
        ana=ana,
        ben=await synapse.register(),
        eve=await synapse.register(),
        mallory=await synapse.register(),
        commander=commander,
    )


@pytest.fixture
def open_scenario(synapse: Synapse, cast: Cast, tmp_path: Path) -> Open:
    return partial(scenario, synapse, cast, tmp_path)
