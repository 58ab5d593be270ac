"""What every engine of the log promises; each engine's test runs all of it on its own store.

Nothing in it may assume that offsets are dense, that a process is alone, or that reading is quick.
"""

from __future__ import annotations

import pytest

from gateway.store import StreamSpec, StreamStore
from tests.gateway.store.building import STREAM
from tests.gateway.store.compaction_contract import CompactionContract
from tests.gateway.store.group_contract import WorkContract
from tests.gateway.store.log_contract import LogContract
from tests.gateway.store.reader_contract import ReaderContract
from tests.gateway.store.state_contract import StateContract


class StoreContract(LogContract, ReaderContract, StateContract, WorkContract, CompactionContract):
    """Subclasses bring a fixture `store`: an open engine without streams, closed afterwards."""

    @pytest.fixture
    async def log(self, store: StreamStore) -> StreamStore:
        await store.ensure(StreamSpec(STREAM, partitions=3))
        return store
