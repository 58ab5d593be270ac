"""The durable, partitioned log behind one `StreamStore` protocol; all SQL lives here."""

from gateway.store.forecasts import Backlog, Load, time_to_loss, time_to_loss_ms
from gateway.store.opening import open_reader, open_store
from gateway.store.options import StoreOptions
from gateway.store.partitioner import partition_of
from gateway.store.places import Place, offsets_at, parse_place
from gateway.store.protocol import (
    DAY_MS,
    Appended,
    Bounds,
    Caps,
    Chunk,
    Durability,
    Extent,
    Gap,
    GroupOffsets,
    Member,
    Put,
    Start,
    StreamReader,
    StreamSpec,
    StreamStore,
    Table,
    Tail,
    Unread,
)
from gateway.store.scan import Scan
from gateway.store.wear import WearForecast, WearTotals, forecast_wear, read_wear

__all__ = [
    "DAY_MS",
    "Appended",
    "Backlog",
    "Bounds",
    "Caps",
    "Chunk",
    "Durability",
    "Extent",
    "Gap",
    "GroupOffsets",
    "Load",
    "Member",
    "Place",
    "Put",
    "Scan",
    "Start",
    "StoreOptions",
    "StreamReader",
    "StreamSpec",
    "StreamStore",
    "Table",
    "Tail",
    "Unread",
    "WearForecast",
    "WearTotals",
    "forecast_wear",
    "offsets_at",
    "open_reader",
    "open_store",
    "parse_place",
    "partition_of",
    "read_wear",
    "time_to_loss",
    "time_to_loss_ms",
]
