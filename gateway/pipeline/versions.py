"""Look-ups and facts of devices for commands that replay rules.

A gateway whose rules run elsewhere imports this package, and none of the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.rules import Fact, Lookup, Version
    from gateway.store import StreamReader


def read_version(lookup: Lookup) -> Version:
    """What the file of a look-up holds.

    Raises:
        OSError: it can't be read.
        ValueError: something in it is wrong; the message is for people.
    """
    from gateway.pipeline import lookup_files

    return lookup_files.read_version(lookup)


async def facts_at(reader: StreamReader, offset: int) -> list[Fact]:
    """Every fact that held just before a record of the stream of twins, by device."""
    from gateway.pipeline import device_facts

    return await device_facts.facts_at(reader, offset)
