"""The durable, partitioned log behind one `StreamStore` protocol; all SQL lives here."""

from gateway.store.beginning import begin_at_end, begin_streams_at_end
from gateway.store.blobs.files import BlobStore
from gateway.store.blobs.mending import mend_references
from gateway.store.blobs.references import (
    CLAIM_BYTES,
    BlobSweep,
    HolderCheck,
    Reference,
    claim_puts,
    decode_reference,
    encode_reference,
    holder_put,
    holder_removal,
    record_put,
    references_of,
)
from gateway.store.corrections import (
    CLOCK_TABLE,
    ClockRecord,
    Correction,
    corrected_ms,
    correction_put,
    read_corrections,
)
from gateway.store.forecasts import Backlog, Load, time_to_loss, time_to_loss_ms
from gateway.store.groups.access import desk_of, open_in_turn
from gateway.store.groups.changes import Change, TableDesk
from gateway.store.groups.desk import GroupDesk, GroupView, Wish
from gateway.store.groups.host import DeskHost
from gateway.store.groups.lag import Lag, lags_of, shortest
from gateway.store.groups.leases import Ticket
from gateway.store.groups.letters import Failure, letter_run
from gateway.store.groups.member import SharingMember
from gateway.store.groups.options import DELIVERIES_MAX, LEASE_MS, GroupOptions
from gateway.store.groups.redrive import RedriveWish
from gateway.store.groups.register import COMMANDS, read_entry
from gateway.store.groups.remote import RemoteDesk
from gateway.store.groups.work import GiveBack, Grant, Leased, Settlement, WorkWish
from gateway.store.ledger import LEDGER_TABLE, LedgerNote, decode_note, encode_note
from gateway.store.links.host import StoreHost, read_told, tell
from gateway.store.links.link import Link
from gateway.store.opening import (
    load_engine,
    open_linked,
    open_reader,
    open_store,
    read_reference,
)
from gateway.store.options import StoreOptions
from gateway.store.partitioner import partition_of
from gateway.store.places import Place, offsets_at, parse_place
from gateway.store.protocol import (
    DAY_MS,
    Appended,
    Bounds,
    Caps,
    Chunk,
    ConsumerStore,
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
    Volume,
)
from gateway.store.safety import (
    audit_log,
    back_up_log,
    bring_back_records,
    engine_version,
    restore_log,
    verify_log,
)
from gateway.store.scan import Scan
from gateway.store.scrubbing import SCRUB_KEY, SCRUB_TABLE, DamagedBatch, Scrubbed
from gateway.store.wear import (
    WEAR_KEY,
    WEAR_TABLE,
    WearForecast,
    WearOptions,
    WearTotals,
    WriteBudget,
    device_written_bytes,
    encode_wear,
    forecast_wear,
    own_written_bytes,
    read_wear,
)

__all__ = [
    "CLAIM_BYTES",
    "CLOCK_TABLE",
    "COMMANDS",
    "DAY_MS",
    "DELIVERIES_MAX",
    "LEASE_MS",
    "LEDGER_TABLE",
    "SCRUB_KEY",
    "SCRUB_TABLE",
    "WEAR_KEY",
    "WEAR_TABLE",
    "Appended",
    "Backlog",
    "BlobStore",
    "BlobSweep",
    "Bounds",
    "Caps",
    "Change",
    "Chunk",
    "ClockRecord",
    "ConsumerStore",
    "Correction",
    "DamagedBatch",
    "DeskHost",
    "Durability",
    "Extent",
    "Failure",
    "Gap",
    "GiveBack",
    "Grant",
    "GroupDesk",
    "GroupOffsets",
    "GroupOptions",
    "GroupView",
    "HolderCheck",
    "Lag",
    "Leased",
    "LedgerNote",
    "Link",
    "Load",
    "Member",
    "Place",
    "Put",
    "RedriveWish",
    "Reference",
    "RemoteDesk",
    "Scan",
    "Scrubbed",
    "Settlement",
    "SharingMember",
    "Start",
    "StoreHost",
    "StoreOptions",
    "StreamReader",
    "StreamSpec",
    "StreamStore",
    "Table",
    "TableDesk",
    "Tail",
    "Ticket",
    "Unread",
    "Volume",
    "WearForecast",
    "WearOptions",
    "WearTotals",
    "Wish",
    "WorkWish",
    "WriteBudget",
    "audit_log",
    "back_up_log",
    "begin_at_end",
    "begin_streams_at_end",
    "bring_back_records",
    "claim_puts",
    "corrected_ms",
    "correction_put",
    "decode_note",
    "decode_reference",
    "desk_of",
    "device_written_bytes",
    "encode_note",
    "encode_reference",
    "encode_wear",
    "engine_version",
    "forecast_wear",
    "holder_put",
    "holder_removal",
    "lags_of",
    "letter_run",
    "load_engine",
    "mend_references",
    "offsets_at",
    "open_in_turn",
    "open_linked",
    "open_reader",
    "open_store",
    "own_written_bytes",
    "parse_place",
    "partition_of",
    "read_corrections",
    "read_entry",
    "read_reference",
    "read_told",
    "read_wear",
    "record_put",
    "references_of",
    "restore_log",
    "shortest",
    "tell",
    "time_to_loss",
    "time_to_loss_ms",
    "verify_log",
]
