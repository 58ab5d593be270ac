import msgspec
import pytest

from gateway.cli.table_checks import find_in, find_in_tables, known_checks
from gateway.clock import ManualClock
from gateway.session import SessionState, encode_state
from gateway.store import LEDGER_TABLE, LedgerNote, Put, encode_note
from gateway.store.memory import MemoryStore

SOUND = {
    "sessions": encode_state(SessionState("c", None), {}),
    "groups": b'{"version": 1}',
    "rules": msgspec.msgpack.encode([1, 2]),
    "redriven": b"17",
    LEDGER_TABLE: encode_note(LedgerNote([1], 2)),
}


async def store_with(values):
    store = MemoryStore(0, ManualClock())
    await store.append([], [Put(table, "c", value) for table, value in values.items()])
    return store


async def test_sound_values_and_those_of_unknown_tables_are_no_faults():
    assert await find_in_tables(await store_with(SOUND | {"of-tomorrow": b"\xff"})) == []


@pytest.mark.parametrize("table", SOUND)
async def test_a_value_that_can_not_be_read_is_named(table):
    (fault,) = await find_in_tables(await store_with(SOUND | {table: b"\xc1" + SOUND[table]}))
    assert fault.startswith(f"the value of 'c' in table '{table}' can't be read")


@pytest.mark.parametrize("table", known_checks())
def test_rubbish_is_a_fault_in_every_known_table(table):
    assert list(find_in(table, known_checks()[table], [("k", b"\xc1")]))
