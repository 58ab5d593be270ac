"""What must be true of every run, whatever befell it."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.events import RecordBatch
from gateway.rules import TICKS_STREAM, Engine, Transition
from tests.simulation.world import EXACT_TOPIC, World


class Broken(AssertionError):
    """A promise was not kept."""


def batches_of(world: World, stream: str) -> list[RecordBatch]:
    """What the log holds of a stream, in the order in which every reader sees it."""
    found = [
        batch
        for (name, _), log in world.store._logs.items()
        if name == stream
        for batch in log.batches
    ]
    return sorted(found, key=lambda batch: (batch.commit_no, batch.partition, batch.base_offset))


def check(world: World) -> None:
    """See that every promise was kept.

    Raises:
        Broken: says which was not.
    """
    complaints = [
        *check_offsets(world),
        *check_readings(world),
        *check_reader(world),
        *check_exactness(world),
        *check_alerts(world),
        *check_cursors(world),
    ]
    if complaints:
        raise Broken("; ".join(complaints))


def check_offsets(world: World) -> Iterator[str]:
    """Offsets begin at 0, and each is used once, in the order of the commits."""
    for (stream, partition), log in world.store._logs.items():
        expected, commit_no, last_ms = 0, 0, 0
        for batch in log.batches:
            if batch.base_offset != expected:
                yield f"{stream}/{partition}: offset {batch.base_offset} where {expected} was due"
            if batch.commit_no < commit_no:
                yield f"{stream}/{partition}: commit {batch.commit_no} after {commit_no}"
            for run in batch.runs:
                if run.arrival_ms < last_ms:
                    yield f"{stream}/{partition}: time runs backwards at {batch.base_offset}"
                last_ms = run.arrival_ms
            expected, commit_no = batch.next_offset, batch.commit_no


def check_readings(world: World) -> Iterator[str]:
    """Everything acknowledged is stored as it was sent, each device's readings in order."""
    for batch in batches_of(world, "telemetry"):
        for record in batch.records():
            world.ledger.stored(record.topic, record.payload)
    verdict = world.ledger.settle()
    if verdict.missing:
        yield f"{verdict.missing} acknowledged readings are not in the log"
    if verdict.strangers:
        yield f"{verdict.strangers} records were sent by nobody"
    if verdict.disordered:
        yield f"{verdict.disordered} readings are out of their device's order"
    if verdict.acknowledged + verdict.overflowed != verdict.taken:
        yield f"{verdict.taken - verdict.acknowledged} readings are never acknowledged"


def check_reader(world: World) -> Iterator[str]:
    """The durable session hears every record once or more, first each in the order of the log."""
    heard: dict[str, list[bytes]] = {}
    for topic, payload in world.reader.owed():
        heard.setdefault(topic, []).append(payload)
    for topic, payloads in heard.items():
        firsts = list(dict.fromkeys(payloads))
        stored = [
            record.payload
            for batch in batches_of(world, "telemetry")
            for record in batch.records()
            if record.topic == topic
        ]
        # What was stored before its first subscription is not owed to a session.
        owed = [
            list(dict.fromkeys(stored[start:]))
            for start, payload in enumerate(stored)
            if payload == firsts[0]
        ]
        if firsts not in owed:
            yield f"{topic}: the reader heard {len(firsts)} of {len(stored)}, or in another order"


def check_exactness(world: World) -> Iterator[str]:
    """QoS 2: what is confirmed is stored once and in order, and delivered once and in order."""
    publisher = world.exact_publisher
    if publisher.complaint:
        yield publisher.complaint
    stored = [
        record.payload
        for batch in batches_of(world, "telemetry")
        for record in batch.records()
        if record.topic == EXACT_TOPIC
    ]
    if stored != [b"%d" % number for number in range(publisher.made)]:
        yield f"QoS 2: {publisher.made} published, stored {b' '.join(stored).decode()}"
    if not publisher.is_idle:
        yield "QoS 2: not everything was completed"
    heard = world.exact_reader.heard
    if heard != stored[len(stored) - len(heard) :]:
        yield f"QoS 2: stored {len(stored)}, heard {b' '.join(heard).decode()}"


def check_alerts(world: World) -> Iterator[str]:
    """The alerts are those of one uninterrupted look at the log, each once."""
    engine = Engine(world.rules.rules)
    streams = ("telemetry", "alarms", TICKS_STREAM)
    batches = [batch for stream in streams for batch in batches_of(world, stream)]
    batches.sort(key=lambda batch: (batch.commit_no, batch.stream, batch.partition))
    expected = [
        output.encode() for output in engine.feed(batches) if isinstance(output, Transition)
    ]
    stored = [record.payload for batch in batches_of(world, "alerts") for record in batch.records()]
    if stored != expected:
        yield f"{len(stored)} alerts in the log, {len(expected)} by one look at it"


def check_cursors(world: World) -> Iterator[str]:
    """No group stands beyond the end of the log."""
    for group, offsets in world.store._committed.items():
        for (stream, partition), offset in offsets.items():
            end = world.store._logs[stream, partition].end_offset
            if offset > end:
                yield f"group {group!r} is at {offset}, {stream}/{partition} ends at {end}"
