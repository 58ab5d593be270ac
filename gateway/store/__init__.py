"""The durable, partitioned log behind one `StreamStore` protocol; all SQL lives here."""

from gateway.store.opening import open_reader, open_store
from gateway.store.options import StoreOptions
from gateway.store.partitioner import partition_of
from gateway.store.protocol import (
    DAY_MS,
    Appended,
    Bounds,
    Caps,
    Chunk,
    Durability,
    Extent,
    Gap,
    Member,
    Put,
    Start,
    StreamReader,
    StreamSpec,
    StreamStore,
    Table,
    Tail,
)

__all__ = [
    "DAY_MS",
    "Appended",
    "Bounds",
    "Caps",
    "Chunk",
    "Durability",
    "Extent",
    "Gap",
    "Member",
    "Put",
    "Start",
    "StoreOptions",
    "StreamReader",
    "StreamSpec",
    "StreamStore",
    "Table",
    "Tail",
    "open_reader",
    "open_store",
    "partition_of",
]
