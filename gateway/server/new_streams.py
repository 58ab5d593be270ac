"""Streams that rules bring about while the gateway runs: subscribers hear them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.server.fanout import Fanout
from gateway.store import StreamSpec, StreamStore

LOOK_S: Final = 0.5
SIDE_PREFIX: Final = "late-"
"""What rules have set aside lies in streams of this name, on topics that were delivered before."""


async def watch_streams(
    store: StreamStore, fanout: Fanout, spec_of: Callable[[str], StreamSpec]
) -> None:
    """Have new derived streams handed out, from their first record on, until cancelled.

    `spec_of` tells what a derived stream of some name is like; streams of another kind are passed
    over.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await look_for_streams(store, fanout, spec_of)
        except StoreUnavailable:
            continue  # the next look finds them


async def look_for_streams(
    store: StreamStore, fanout: Fanout, spec_of: Callable[[str], StreamSpec]
) -> None:
    """Have those handed out that have come since the last look."""
    known = set(fanout.tails.streams)
    for spec in await store.streams():
        if spec.name in known or spec.name.startswith(SIDE_PREFIX):
            continue
        if spec == spec_of(spec.name):
            await fanout.extend([(spec.name, number) for number in range(spec.partitions)])
