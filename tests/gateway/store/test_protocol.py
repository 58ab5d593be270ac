import inspect

import pytest

from gateway.store.memory import MemoryStore
from gateway.store.protocol import StreamReader, StreamStore
from gateway.store.sqlite.reader import SqliteReader
from gateway.store.sqlite.store import SqliteStore


def members_of(protocol):
    return {name for name in dir(protocol) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("engine", "protocol"),
    [
        (MemoryStore, StreamStore),
        (SqliteStore, StreamStore),
        (SqliteReader, StreamReader),
    ],
)
def test_an_engine_has_every_member_with_the_same_parameters(engine, protocol):
    for name in members_of(protocol):
        asked, offered = getattr(protocol, name), getattr(engine, name)
        if inspect.isfunction(asked):
            assert list(inspect.signature(asked).parameters) == list(
                inspect.signature(offered).parameters
            )
