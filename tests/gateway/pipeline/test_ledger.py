from gateway.clock import ManualClock
from gateway.pipeline.ledger import Ledger
from gateway.store import (
    LEDGER_TABLE,
    LedgerNote,
    StoreOptions,
    StreamSpec,
    decode_note,
    open_store,
)
from tests.gateway.store.building import BASE_MS, STREAM, numbered


async def test_ends_are_noted_when_they_have_moved(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock(BASE_MS))
    await store.ensure(StreamSpec(STREAM, 2))
    ledger = Ledger(store, ManualClock(BASE_MS))
    await ledger.note()
    assert await store.entries(LEDGER_TABLE) == []
    await store.append([numbered(0, 5, partition=1)])
    await ledger.note()
    before = store.appended
    await ledger.note()
    ((stream, encoded),) = await store.entries(LEDGER_TABLE)
    assert (stream, decode_note(encoded)) == (STREAM, LedgerNote([0, 5], BASE_MS))
    assert store.appended == before
    await store.close()
