"""The two ways in: open a data directory to write it, or to read it beside whoever writes it.

The engine is imported when it is first opened, so that importing this package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.clock import Clock
from gateway.store.options import StoreOptions
from gateway.store.protocol import ConsumerStore, StreamReader, StreamStore

if TYPE_CHECKING:
    from gateway.store.links.link import Link


async def open_store(options: StoreOptions, clock: Clock) -> StreamStore:
    """Open the log of a data directory for writing, alone; create it if there is none.

    Raises:
        StoreInUse: another gateway has the directory open; its process id is in the message.
        StoreNotWritable: the directory can't be created or written.
        StoreTooNew: a newer program wrote it.
        StoreError: the file in it is not a log.
    """
    from gateway.store.sqlite.store import SqliteStore

    return await SqliteStore.start(options, clock)


def load_engine() -> None:
    """Import what `open_store` will need, for who has to wait for something else anyway."""
    import_module("gateway.store.sqlite.store")


def read_reference(path: Path, table: str, rows_max: int) -> list[dict[str, Any]]:
    """The rows of a table or view of any SQLite file, at most `rows_max` + 1 of them.

    Raises:
        ValueError: it is no such file, or has no such table.
    """
    from gateway.store.sqlite import reference

    return reference.read_reference(path, table, rows_max)


async def open_reader(data_dir: Path) -> StreamReader:
    """Open the log of a data directory for reading, beside a running gateway or on a stopped one.

    Raises:
        StoreUnavailable: there is no log in `data_dir`, or it can't be read.
        StoreTooNew: a newer program wrote it.
        StoreError: the file in it is not a log.
    """
    from gateway.store.sqlite.reader import SqliteReader
    from gateway.store.sqlite.schema import DATABASE_NAME

    reader = SqliteReader(data_dir / DATABASE_NAME)
    await reader.open()
    return reader


async def open_linked(data_dir: Path, link: Link) -> ConsumerStore:
    """Open the log of a data directory in a worker of the process that writes it.

    Raises:
        StoreError: as `open_reader` says.
    """
    from gateway.store.sqlite.linked import LinkedStore

    store = LinkedStore(data_dir, link)
    await store.open()
    return store
