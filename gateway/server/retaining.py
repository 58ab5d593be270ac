"""Retained messages between the log, their table on disk and memory.

They are written in the commit of the message itself, and enter memory when the fan-out passes it: a
new subscriber gets each message either retained or live.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from gateway.events import Flag, RecordBatch, Run
from gateway.routing import Retained, RetainedMessages
from gateway.store import HolderCheck, Put, StreamStore, decode_reference, holder_put

LOG = logging.getLogger(__name__)
TABLE = "retained"
RETAINED_HOLDER = "retained"
ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Retained)
# Every flag byte with RETAIN set becomes 1, every other 0: one pass in C over a batch's flags.
IS_RETAINED = bytes(flags & Flag.RETAIN for flags in range(256))


def retained_indexes(run: Run) -> list[int]:
    """Which records of a run were published to be retained; nearly always none."""
    marks = run.flags.translate(IS_RETAINED)
    return [index for index, mark in enumerate(marks) if mark] if 1 in marks else []


def retained_of(run: Run, index: int) -> Retained:
    """One record of a run as a retained message."""
    return Retained(
        run.payloads[index],
        run.flags[index],
        b"" if run.properties is None else run.properties[index],
        run.client,
        run.arrival_ms,
    )


def retained_puts(runs: Sequence[Run], retained: RetainedMessages) -> list[Put]:
    """The changes of the table that a commit of `runs` must carry.

    Spec: MQTT5 §3.3.1.3 [MQTT5-3.3.1-5] [MQTT5-3.3.1-6] [MQTT5-3.3.1-7] [MQTT5-3.3.1-8],
    MQTT311 §3.3.1.3 [MQTT311-3.1.2-7] [MQTT311-3.3.1-5] [MQTT311-3.3.1-7] [MQTT311-3.3.1-10]
    [MQTT311-3.3.1-11] [MQTT311-3.3.1-12]
    """
    puts: list[Put] = []
    for run in runs:
        for index in retained_indexes(run):
            topic = run.origins[index].topic
            message = retained_of(run, index)
            if not message.payload:
                puts.append(Put(TABLE, topic, None))
            elif retained.accepts(topic, len(message.payload)):
                puts.append(Put(TABLE, topic, ENCODER.encode(message)))
                digest = claimed_digest(message)
                if digest:
                    # It may stay for longer than the record.
                    puts.append(holder_put(digest, f"{RETAINED_HOLDER}/{topic}"))
            else:
                LOG.warning("'%s' is not retained: a limit for retained messages is reached", topic)
    return puts


def claimed_digest(message: Retained) -> str:
    """The blob that holds the payload of a retained message; empty when it is in the message."""
    reference = decode_reference(message.payload) if message.flags & Flag.CLAIM else None
    return "" if reference is None else reference.digest


def retained_check(store: StreamStore) -> HolderCheck:
    """Whether the message that is retained of a topic still refers to a blob."""

    async def check(digest: str, topic: str) -> bool:
        encoded = await store.entry(TABLE, topic)
        if encoded is None:
            return False
        try:
            return claimed_digest(DECODER.decode(encoded)) == digest
        except msgspec.DecodeError:
            return True

    return check


def note_retained(batch: RecordBatch, retained: RetainedMessages) -> None:
    """Take the retained messages of a committed batch into memory."""
    for run in batch.runs:
        for index in retained_indexes(run):
            topic = run.origins[index].topic
            if retained.accepts(topic, len(run.payloads[index])):
                retained.put(topic, retained_of(run, index))


async def load_retained(store: StreamStore, retained: RetainedMessages) -> None:
    """Read every retained message from the store, at start; one that can't be read is reported."""
    for topic, encoded in await store.table(TABLE).items():
        try:
            message = DECODER.decode(encoded)
        except msgspec.DecodeError as error:
            LOG.warning("the retained message of '%s' can't be read: %s", topic, error)
        else:
            retained.put(topic, message)
