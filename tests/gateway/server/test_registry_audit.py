from __future__ import annotations

import orjson

from gateway.clock import ManualClock
from gateway.devices import (
    AUDIT_STREAM,
    DEVICES_TABLE,
    GROUPS_TABLE,
    Device,
    EnrolmentGroup,
    encode_device,
    encode_group,
)
from gateway.server import audit_edits
from gateway.store import Change, TableDesk
from gateway.store.memory import MemoryStore


async def audited(*changes, by=""):
    """What the audit tells of these changes."""
    store = MemoryStore()
    tables = TableDesk(store)
    await audit_edits(store, tables, ManualClock(7))
    await tables.change(changes, by)
    chunk = await store.fetch(AUDIT_STREAM, 0, 0)
    records = [record for batch in chunk.batches for record in batch.records()]
    assert len({batch.commit_no for batch in chunk.batches}) <= 1
    return [(record.topic, orjson.loads(record.payload)) for record in records]


async def test_every_edit_is_told_in_the_commit_that_makes_it():
    group = EnrolmentGroup("line", "claim", "pump-*")
    first, second = await audited(
        Change(DEVICES_TABLE, "p-7", encode_device(Device("p-7", role="reader")), None),
        Change(GROUPS_TABLE, "line", encode_group(group), None),
        by="anna",
    )
    assert first[0] == "audit/device-added/p-7"
    assert first[1]["changes"] == {"role": [None, "reader"]}
    assert (first[1]["by"], first[1]["time"]) == ("anna", 7)
    assert second[0] == "audit/group-added/line"
    assert second[1]["changes"]["pattern"] == [None, "pump-*"]


async def test_an_entry_that_cannot_be_read_is_told_of_without_what_is_in_it():
    ((topic, content),) = await audited(Change(DEVICES_TABLE, "p-7", b"\xc1", None))
    assert (topic, content["changes"]) == ("audit/device-added/p-7", {})


async def test_other_tables_are_not_told_of():
    assert await audited(Change("t", "p-7", b"1", None)) == []
