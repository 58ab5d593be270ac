"""Dead letters: what nobody could work off, with why; and their way back into their stream."""

from __future__ import annotations

import base64
from typing import NamedTuple

import orjson

from gateway.errors import StoreError
from gateway.events import Origin, Record, Run
from gateway.store.blobs.references import decode_reference, record_put
from gateway.store.protocol import Put, StreamSpec

DEAD_LETTERS = StreamSpec("dead-letters", partitions=1)
REDRIVEN_TABLE = "redriven"
CLIENT = "$dead-letters"


class Failure(NamedTuple):
    """Why a record became a dead letter."""

    cause: str
    group: str
    failed_by: str
    deliveries: int


class Letter(NamedTuple):
    """A dead letter as it was read back."""

    record: Record
    failure: Failure


def letter_run(record: Record, failure: Failure, now_ms: int) -> Run:
    """The record of the dead-letter stream that keeps `record` byte for byte, and the failure.

    Its topic is `dead-letters/<stream>`, not the record's: whoever subscribes to that gets it once.
    """
    content = {
        "stream": record.stream,
        "partition": record.partition,
        "offset": record.offset,
        "time_ms": record.arrival_ms,
        "topic": record.topic,
        "device": record.device,
        "client": record.client,
        "flags": record.flags,
        **text_or_base64("payload", record.payload),
        **failure._asdict(),
    }
    if record.properties:
        content["properties_base64"] = base64.b64encode(record.properties).decode()
    origin = Origin(f"{DEAD_LETTERS.name}/{record.stream}", record.device)
    return Run(DEAD_LETTERS.name, 0, CLIENT, now_ms, [origin], [orjson.dumps(content)], bytes(1))


def letter_puts(record: Record) -> list[Put]:
    """The changes that belong into the commit of the letter: it refers to what the record does."""
    reference = decode_reference(record.payload) if record.is_claim else None
    return [] if reference is None else [record_put(reference.digest, DEAD_LETTERS.name, 0)]


def text_or_base64(name: str, content: bytes) -> dict[str, str]:
    """Bytes as a text where they are one, so that people can read them."""
    try:
        return {f"{name}_text": content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def read_letter(letter: Record) -> Letter:
    """Read back what `letter_run` wrote.

    Raises:
        StoreError: it is no dead letter of ours.
    """
    try:
        content = orjson.loads(letter.payload)
        text = content.get("payload_text")
        payload = (
            base64.b64decode(content["payload_base64"]) if text is None else str(text).encode()
        )
        record = Record(
            str(content["stream"]),
            int(content["partition"]),
            int(content["offset"]),
            int(content["time_ms"]),
            str(content["topic"]),
            str(content["device"]),
            str(content["client"]),
            payload,
            int(content["flags"]),
            base64.b64decode(content.get("properties_base64", "")),
        )
        failure = Failure(*(content[name] for name in Failure._fields))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{letter.stream}/{letter.partition}@{letter.offset} is no dead letter: {error!r}"
        ) from error
    return Letter(record, failure)


def redriven_run(record: Record, now_ms: int) -> Run:
    """The record once more, for its old partition; it gets a new place at the end."""
    return Run(
        record.stream,
        record.partition,
        record.client,
        now_ms,
        [Origin(record.topic, record.device)],
        [record.payload],
        bytes([record.flags]),
        [record.properties] if record.properties else None,
    )


def mark_key(letter: Record) -> str:
    """Where it is noted that a dead letter was put back; in the order of offsets."""
    return f"{letter.partition}@{letter.offset:019d}"
