import pytest

from gateway.clock import ManualClock
from gateway.errors import UnknownStream
from gateway.store import StoreOptions, StreamSpec, open_store
from gateway.store.sqlite.catalog import Catalog, PartitionState, load_catalog
from gateway.store.sqlite.connections import close_quietly, connect_writer
from tests.gateway.store.building import STREAM, numbered


def a_catalog():
    catalog = Catalog(specs={"a": StreamSpec("a", 2), "b": StreamSpec("b", 1)})
    for number, key in enumerate([("a", 0), ("a", 1), ("b", 0)]):
        catalog.partitions[key] = PartitionState(number, *key, is_synced=True)
    return catalog


def test_partitions_are_listed_by_stream():
    found = [(own.stream, own.partition) for own in a_catalog().of_streams(["b", "a"])]
    assert found == [("b", 0), ("a", 0), ("a", 1)]


@pytest.mark.parametrize(
    ("stream", "partition", "message"),
    [("c", 0, "no stream 'c'; there are: a, b"), ("a", 2, "partitions 0 … 1, not 2")],
)
def test_what_is_not_there_is_named_with_what_is(stream, partition, message):
    with pytest.raises(UnknownStream, match=message):
        a_catalog().partition(stream, partition)


def test_an_empty_directory_says_that_it_has_no_stream():
    with pytest.raises(UnknownStream, match="there are: none"):
        Catalog().of_streams(["a"])


async def test_the_file_tells_what_the_writer_knew(tmp_path):
    store = await open_store(StoreOptions(tmp_path), ManualClock())
    await store.ensure(StreamSpec(STREAM, 3, durability="os"))
    await store.ensure(StreamSpec("alerts", 1))
    for number in range(3):
        await store.append([numbered(2 * number, 2, partition=number, arrival_ms=number)])
    await store.join("rules", [STREAM]).commit(offsets={(STREAM, 1): 1})
    await store.append([numbered(9, 1, stream="alerts", arrival_ms=50)])
    known = store._committer.catalog
    await store.close()
    connection = await connect_writer(tmp_path / "penstock.db")
    assert await load_catalog(connection) == known
    await close_quietly(connection)
