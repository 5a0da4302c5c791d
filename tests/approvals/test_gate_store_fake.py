"""The fake that the gate's tests stand on keeps the port's contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from approvals.model import ApprovalRequest, RequestState
from approvals.ports import Switch
from bot.domain.errors import StaleWrite
from bot.domain.ids import ExecutionId
from bot.domain.incident import Incident
from bot.domain.outcome import Execution
from tests.approvals import world as things
from tests.contracts.gate_store_contract import GateStoreContract, GateStoreWorld
from tests.fakes.gate_store import MemoryGateStore


class MemoryWorld(GateStoreWorld):
    def __init__(self) -> None:
        made = things.proposal()
        self.memory = MemoryGateStore(
            things.HandClock(),
            things.incident(),
            made,
            things.request(made, state=RequestState.APPROVED),
            [things.review()],
            b"envelope",
        )
        self.store = self.memory

    async def incident(self) -> Incident:
        return self.memory.incident

    async def request(self) -> ApprovalRequest:
        return self.memory.request

    async def save_request(self, request: ApprovalRequest) -> None:
        if request.version != self.memory.request.version:
            raise StaleWrite("another version")
        self.memory.request = replace(request, version=request.version + 1)

    async def execution(self, execution_id: ExecutionId) -> Execution | None:
        return self.memory.executions.get(execution_id)

    async def tags(self) -> Sequence[str]:
        return [event.TAG for event in self.memory.events]

    async def turn(self, switch: Switch) -> None:
        self.memory.paused = switch


class TestMemoryGateStore(GateStoreContract):
    @pytest.fixture
    def world(self) -> GateStoreWorld:
        return MemoryWorld()
