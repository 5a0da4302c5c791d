"""Matrix keeps the chat contract on a real Synapse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.chat.matrix.world import MatrixWorld
from tests.contracts.chat_contract import ChatContract
from tests.servers.synapse import Synapse

pytestmark = pytest.mark.real


class TestMatrixChat(ChatContract):
    @pytest.fixture
    async def world(self, synapse: Synapse, tmp_path: Path) -> AsyncIterator[MatrixWorld]:
        async with MatrixWorld.open(synapse, tmp_path / "state") as world:
            yield world
