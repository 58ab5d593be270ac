from gateway.clock import ManualClock
from gateway.store import Put, StoreOptions, open_store
from gateway.store.sqlite.table import DELETE_SQL, PUT_SQL, put_statements


def test_only_the_last_put_of_a_key_is_written():
    puts = [
        Put("t", "a", b"1"),
        Put("t", "b", b"2"),
        Put("t", "a", None),
        Put("u", "a", b"3"),
        Put("t", "b", b"4"),
    ]
    assert put_statements(puts) == [
        (PUT_SQL, [("t", "b", b"4"), ("u", "a", b"3")]),
        (DELETE_SQL, [("t", "a")]),
    ]
    assert put_statements([]) == []


async def test_a_table_outlasts_the_gateway(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.table("twins").put("pump-1", b"\x00\xff")
    await store.close()
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    assert await store.table("twins").items() == [("pump-1", b"\x00\xff")]
    await store.close()
