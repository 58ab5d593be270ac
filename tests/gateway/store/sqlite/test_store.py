import pytest

from gateway.clock import ManualClock
from gateway.store import StoreOptions, open_store
from tests.gateway.store.contract import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        options = StoreOptions(tmp_path, tail_bytes_max=1 << 16)
        store = await open_store(options, ManualClock())
        yield store
        await store.close()


class TestSqliteStoreWithSmallMemory(StoreContract):
    """Tails fall behind at once, so that everything is read from disk."""

    @pytest.fixture
    async def store(self, tmp_path):
        options = StoreOptions(tmp_path, tail_bytes_max=1, commit_bytes_max=200)
        store = await open_store(options, ManualClock())
        yield store
        await store.close()
