from __future__ import annotations

import pytest

from gateway.events import Flag, Origin, RecordBatch, Run
from gateway.routing import Retained, RetainedLimits, RetainedMessages
from gateway.server.retaining import (
    TABLE,
    load_retained,
    note_retained,
    retained_indexes,
    retained_puts,
)
from gateway.store import Put
from tests.gateway.server.conftest import ScriptedStore

QOS_1 = Flag.QOS_1


def run_of(*records, properties=None):
    """A run of (topic, payload, flags)."""
    return Run(
        "power",
        0,
        "c",
        1_000,
        [Origin(topic, "d") for topic, _, _ in records],
        [payload for _, payload, _ in records],
        bytes(flags for _, _, flags in records),
        properties,
    )


def messages(**limits):
    return RetainedMessages(RetainedLimits(**limits))


@pytest.mark.parametrize("flags", range(16))
def test_only_the_retain_flag_counts(flags):
    assert retained_indexes(run_of(("a", b"1", 0), ("a", b"2", flags))) == (
        [1] if flags & 1 else []
    )


async def test_what_is_retained_is_written_with_its_commit_and_read_back():
    run = run_of(("a", b"1", 1), ("b", b"2", 0), ("c", b"3", 3), properties=[b"", b"", b"p"])
    store = ScriptedStore()
    await store.append([], retained_puts([run], messages()))
    found = messages()
    await load_retained(store, found)
    assert sorted(found.match("#")) == ["a", "c"]
    assert found.get("c") == Retained(b"3", 3, b"p", "c", 1_000)


async def test_an_empty_payload_removes_from_disk_and_memory():
    store, found = ScriptedStore(), messages()
    for payload in (b"1", b""):
        run = run_of(("a", payload, 1))
        await store.append([], retained_puts([run], found))
        note_retained(RecordBatch("power", 0, 0, 1, [run]), found)
    assert len(found) == 0
    await load_retained(store, found)
    assert len(found) == 0


async def test_a_message_that_can_not_be_read_is_stepped_over(caplog):
    store, found = ScriptedStore(), messages()
    await store.append(
        [], [Put(TABLE, "a", b"\xff"), *retained_puts([run_of(("b", b"1", 1))], found)]
    )
    await load_retained(store, found)
    assert list(found.match("#")) == ["b"]
    assert "the retained message of 'a'" in caplog.text


def test_what_is_beyond_a_limit_is_neither_written_nor_kept(caplog):
    found = messages(payload_bytes_max=3)
    run = run_of(("a", b"1234", 1))
    assert retained_puts([run], found) == []
    note_retained(RecordBatch("power", 0, 0, 1, [run]), found)
    assert len(found) == 0
    assert "'a' is not retained" in caplog.text


def test_the_last_message_of_a_batch_stays():
    found = messages()
    run = run_of(("a", b"1", 1), ("a", b"2", 1), ("b", b"3", 1), ("b", b"", 1))
    note_retained(RecordBatch("power", 0, 0, 1, [run]), found)
    assert list(found.match("#")) == ["a"]
    assert found.get("a").payload == b"2"
