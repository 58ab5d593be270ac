import pytest

from gateway.store.memory import MemoryStore
from tests.gateway.store.contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self):
        store = MemoryStore()
        yield store
        await store.close()


class TestMemoryStoreWithHoles(StoreContract):
    @pytest.fixture
    async def store(self):
        store = MemoryStore(hole=2)
        yield store
        await store.close()
