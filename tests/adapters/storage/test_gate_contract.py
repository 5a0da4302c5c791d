"""The SQL store keeps the gate's contract."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.storage import SqlStore, open_store
from approvals.model import ApprovalRequest, RequestState
from approvals.ports import Switch
from bot.domain.ids import ExecutionId
from bot.domain.incident import Incident
from bot.domain.outcome import Execution
from tests.approvals import world as things
from tests.contracts.gate_store_contract import REQUEST, GateStoreContract, GateStoreWorld


class SqlWorld(GateStoreWorld):
    def __init__(self, store: SqlStore, before: int) -> None:
        self.store = self.sql = store
        self._before = before

    async def incident(self) -> Incident:
        async with self.sql.reading() as rows:
            found = await rows.incident(things.incident().id)
        assert found is not None
        return found

    async def request(self) -> ApprovalRequest:
        async with self.sql.reading() as rows:
            found = await rows.request(REQUEST)
        assert found is not None
        return found

    async def save_request(self, request: ApprovalRequest) -> None:
        async with self.sql.transaction() as tx:
            await tx.save_request(request)

    async def execution(self, execution_id: ExecutionId) -> Execution | None:
        async with self.sql.reading() as rows:
            return await rows.execution(execution_id)

    async def tags(self) -> Sequence[str]:
        return [
            json.loads(entry.body)["tag"] async for batch in self.sql.entries(self._before) for entry in batch
        ]

    async def turn(self, switch: Switch) -> None:
        async with self.sql.transaction() as tx:
            await tx.set_switch(switch, things.START)


class TestSqlGateStore(GateStoreContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[GateStoreWorld]:
        async with open_store(
            tmp_path / "assent.db", clock=things.HandClock(), wake=lambda job, at: None
        ) as store:
            made = things.proposal()
            async with store.transaction() as tx:
                await tx.add_incident(things.incident())
                await tx.add_proposal(made)
                await tx.add_request(replace(things.request(made, state=RequestState.APPROVED), id=REQUEST))
                await tx.add_review(things.review())
                await tx.add_approval(REQUEST, b"envelope")
            yield SqlWorld(store, (await store.head()).size)
