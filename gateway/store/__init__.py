"""The durable, partitioned log behind one `StreamStore` protocol; all SQL lives below this package."""

from gateway.store.protocol import (
    DAY_MS,
    Appended,
    Bounds,
    Caps,
    Chunk,
    Durability,
    Member,
    Put,
    Start,
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
    "Member",
    "Put",
    "Start",
    "StreamSpec",
    "StreamStore",
    "Table",
    "Tail",
]
