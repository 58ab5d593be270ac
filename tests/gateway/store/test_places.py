import pytest

from gateway.store import Place, StreamSpec, offsets_at, parse_place
from gateway.store.memory import MemoryStore
from tests.gateway.store.building import STREAM, a_run, numbered

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("earliest", Place("earliest")),
        ("latest", Place("latest")),
        ("@0", Place("offset", 0)),
        ("@1234", Place("offset", 1234)),
        ("-1h", Place("time", NOW_MS - 3_600_000)),
        ("-1h30m", Place("time", NOW_MS - 5_400_000)),
        ("2023-11-14T22:13:20Z", Place("time", NOW_MS)),
        ("2023-11-14T22:13:20", Place("time", NOW_MS)),
        ("2023-11-15T00:13:20.250+02:00", Place("time", NOW_MS + 250)),
        ("2023-11-14", Place("time", 1_699_920_000_000)),
    ],
)
def test_a_place_is_read(text, place):
    assert parse_place(text, NOW_MS) == place


@pytest.mark.parametrize("text", ["", "@", "@-1", "@1x", "-", "-1", "1h", "yesterday", "Latest"])
def test_anything_else_is_no_place(text):
    assert parse_place(text, NOW_MS) is None


@pytest.mark.parametrize(
    ("place", "offset"),
    [
        (Place("earliest"), 0),
        (Place("latest"), 6),
        (Place("offset", 4), 4),
        (Place("offset", 99), 6),
        (Place("time", 0), 0),
        (Place("time", 20), 3),
        (Place("time", 21), 6),
    ],
)
async def test_a_place_lies_at_an_offset_of_each_partition(place, offset):
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 2))
    await store.append([numbered(0, 3, arrival_ms=10), numbered(3, 3, arrival_ms=20)])
    offsets = await offsets_at(store, [(STREAM, 0), (STREAM, 1)], place)
    assert offsets == {(STREAM, 0): offset, (STREAM, 1): 0}


async def test_a_place_that_retention_removed_is_the_log_start():
    store = MemoryStore()
    await store.ensure(StreamSpec(STREAM, 1, retention_count=1))
    await store.append([a_run(b"1"), a_run(b"2")])
    await store.retain_step()
    assert await offsets_at(store, [(STREAM, 0)], Place("offset", 0)) == {(STREAM, 0): 1}
