"""What every store must do, whatever holds its rows.

A test module supplies a world and inherits the suite::

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def world(self) -> AsyncIterator[StoreWorld]: ...
"""

from __future__ import annotations

import pytest

from tests.contracts.store_approvals import ApprovalContract, GateContract, LedgerContract
from tests.contracts.store_asked import AskedContract
from tests.contracts.store_graph import GraphContract
from tests.contracts.store_incidents import IncidentContract
from tests.contracts.store_memory import MemoryContract
from tests.contracts.store_nouns import AnyStore, StillClock, StoreWorld, Woken
from tests.contracts.store_outbox import OutboxContract
from tests.contracts.store_summaries import SummaryContract
from tests.contracts.store_work import InboxContract, WorkContract

__all__ = ["AnyStore", "StillClock", "StoreContract", "StoreWorld", "Woken"]


class StoreContract(
    IncidentContract,
    MemoryContract,
    GraphContract,
    SummaryContract,
    AskedContract,
    ApprovalContract,
    GateContract,
    LedgerContract,
    OutboxContract,
    InboxContract,
    WorkContract,
):
    """All of it. An empty store with a still clock at ``store_nouns.NOW`` for each test."""

    @pytest.fixture
    def store(self, world: StoreWorld) -> AnyStore:
        return world.store
