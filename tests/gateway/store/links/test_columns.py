from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from gateway.events import Origin, Run
from gateway.store import Put
from gateway.store.links.columns import puts_of_rows, rows_of_runs, runs_of_rows

TEXTS = st.text(max_size=5)
RECORDS = st.lists(st.tuples(TEXTS, TEXTS, st.binary(max_size=9), st.integers(0, 255)), max_size=4)


@given(records=RECORDS, arrival_ms=st.integers(0, 2**53), has_properties=st.booleans())
@settings(deadline=None, max_examples=100)
def test_runs_come_back_as_they_were_sent(records, arrival_ms, has_properties):
    run = Run(
        "s",
        3,
        "client",
        arrival_ms,
        [Origin(topic, device) for topic, device, _, _ in records],
        [payload for _, _, payload, _ in records],
        bytes(flags for _, _, _, flags in records),
        [b"p" for _ in records] if has_properties else None,
    )
    rows = msgpack.decode(msgpack.encode(rows_of_runs([run, run])))
    assert runs_of_rows(rows) == [run, run]
    assert all(type(one) is Origin for one in runs_of_rows(rows)[0].origins)


def test_table_changes_come_back_as_they_were_sent():
    puts = [Put("t", "k", b"\x00"), Put("t", "k", None)]
    assert puts_of_rows(msgpack.decode(msgpack.encode(puts))) == puts
