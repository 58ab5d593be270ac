"""One command to a device: how it stands, and what may become of it.

Theory of operation. A command is `queued` until somebody listens for its device, then `sent`, and
ends once: `answered` or `refused` by the device, `expired` in the queue, `timed_out` without an
answer, or `cancelled`. It is sent as often as it allows and no more, so a device that can't
remember what it has done is never told twice. An identifier stands for one command for as long as
it is remembered: who sends it again hears what became of the first.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import orjson

from gateway.devices.registry import check_device_id
from gateway.errors import PenstockError

COMMANDS_TABLE: Final = "commands"
QUEUES_TABLE: Final = "command-queues"
RECENT_TABLE: Final = "command-recent"

PENDING_MAX: Final = 50
PENDING_BYTES_MAX: Final = 64 << 10
RECENT_MAX: Final = 100
NAME_CHARACTERS_MAX: Final = 128
TIMEOUT_MS: Final = 30_000
TIMEOUT_MS_MAX: Final = 24 * 3_600_000
TTL_MS: Final = 3_600_000
TTL_MS_MAX: Final = 30 * 24 * 3_600_000
DELIVERIES_MAX: Final = 10
FAILURE: Final = 400

State = Literal["queued", "sent", "answered", "refused", "expired", "timed_out", "cancelled"]
ENDED: Final = frozenset({"answered", "refused", "expired", "timed_out", "cancelled"})
PENDING: Final = frozenset({"queued", "sent"})


class CommandRefused(PenstockError):
    """A command can't be given like that, or not now; the message says why."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants a device to do, as it is sent to the gateway; times in milliseconds."""

    name: str
    payload: Any = None
    timeout_ms: int = TIMEOUT_MS
    ttl_ms: int = TTL_MS
    deliveries: int = 1


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command as the table keeps it."""

    id: str
    device: str
    wanted: Wanted
    by: str
    created_ms: int
    state: State = "queued"
    size_bytes: int = 0
    sent_ms: int = 0
    sends: int = 0
    ended_ms: int = 0
    status: int = 0
    result: Any = None
    reply_topic: str = ""
    correlation: bytes = b""

    @property
    def is_pending(self) -> bool:
        return self.state in PENDING

    @property
    def due_ms(self) -> int:
        """When time ends it, as it stands."""
        if self.state == "sent":
            return self.sent_ms + self.wanted.timeout_ms
        return self.created_ms + self.wanted.ttl_ms


class Queue(msgspec.Struct, frozen=True, array_like=True):
    """The commands of one device that have not ended, oldest first, and the bytes they hold."""

    ids: tuple[str, ...] = ()
    size_bytes: int = 0


ENCODER = msgspec.msgpack.Encoder()
COMMAND_DECODER = msgspec.msgpack.Decoder(Command)
QUEUE_DECODER = msgspec.msgpack.Decoder(Queue)
RECENT_DECODER = msgspec.msgpack.Decoder(tuple[str, ...])


def read_wanted(payload: bytes) -> Wanted:
    """What somebody wants, from JSON that anybody may have sent.

    Raises:
        CommandRefused: it is something else, or beyond a limit.
    """
    if len(payload) > PENDING_BYTES_MAX:
        raise CommandRefused(f"{len(payload)} bytes; at most {PENDING_BYTES_MAX} are taken")
    try:
        found = orjson.loads(payload)
        # What can be read can be nested deeper than what can be written.
        orjson.dumps(found)
        wanted = msgspec.convert(found, Wanted)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, msgspec.ValidationError) as error:
        raise CommandRefused(f'{error}; write {{"name": "reboot", "payload": …}}') from None
    if not (0 < len(wanted.name) <= NAME_CHARACTERS_MAX and wanted.name.isprintable()):
        raise CommandRefused(f"'name' has 1 to {NAME_CHARACTERS_MAX} printable characters")
    for label, value, least, most in (
        ("timeout_ms", wanted.timeout_ms, 1, TIMEOUT_MS_MAX),
        ("ttl_ms", wanted.ttl_ms, 0, TTL_MS_MAX),
        ("deliveries", wanted.deliveries, 1, DELIVERIES_MAX),
    ):
        if not least <= value <= most:
            raise CommandRefused(f"'{label}' is {value}; it must be {least} to {most}")
    return wanted


def check_command_id(command_id: str) -> None:
    """See that a text can name a command: one level of a topic.

    Raises:
        CommandRefused: it can't.
    """
    try:
        check_device_id(command_id)
    except PenstockError:
        raise CommandRefused(
            f"{command_id[:40]!r} can't name a command: it is one level of a topic, "
            "1 to 128 bytes without / + #"
        ) from None


def key_of_command(device: str, command_id: str) -> str:
    """Under which a command is kept."""
    return f"{device}/{command_id}"


def enqueued(queue: Queue, command: Command) -> Queue:
    """The queue of a device with one more command.

    Raises:
        CommandRefused: it is full.
    """
    size_bytes = queue.size_bytes + command.size_bytes
    if len(queue.ids) >= PENDING_MAX or size_bytes > PENDING_BYTES_MAX:
        raise CommandRefused(
            f"'{command.device}' has {len(queue.ids)} commands of {queue.size_bytes} bytes before "
            f"it; at most {PENDING_MAX} of {PENDING_BYTES_MAX} bytes may wait"
        )
    return Queue((*queue.ids, command.id), size_bytes)


def dequeued(queue: Queue, command: Command) -> Queue:
    """The queue of a device without a command that has ended."""
    ids = tuple(one for one in queue.ids if one != command.id)
    return Queue(ids, max(0, queue.size_bytes - command.size_bytes))


def may_send(command: Command) -> bool:
    """Whether a command may be sent when somebody begins to listen for its device."""
    return command.is_pending and command.sends < command.wanted.deliveries


def sent(command: Command, now_ms: int) -> Command:
    """The command once it was handed out; the time for the answer runs from here."""
    return msgspec.structs.replace(command, state="sent", sent_ms=now_ms, sends=command.sends + 1)


def answered(command: Command, status: int, result: Any, now_ms: int) -> Command:
    """The command once the device has said what came of it."""
    state: State = "answered" if status < FAILURE else "refused"
    return msgspec.structs.replace(
        command, state=state, status=status, result=result, ended_ms=now_ms
    )


def ended(command: Command, state: State, now_ms: int) -> Command:
    """The command once it has ended without an answer."""
    return msgspec.structs.replace(command, state=state, ended_ms=now_ms)


def overdue(command: Command, now_ms: int) -> Command:
    """The command once its time is over."""
    return ended(command, "timed_out" if command.state == "sent" else "expired", now_ms)


def encode_command(command: Command) -> bytes:
    """A command as the table keeps it."""
    return ENCODER.encode(command)


def decode_command(encoded: bytes | None) -> Command | None:
    """Read back what `encode_command` made; None for what nobody can read."""
    try:
        return None if encoded is None else COMMAND_DECODER.decode(encoded)
    except msgspec.DecodeError:
        return None


def encode_queue(queue: Queue) -> bytes | None:
    """A queue as the table keeps it: an empty one not at all."""
    return ENCODER.encode(queue) if queue.ids else None


def decode_queue(encoded: bytes | None) -> Queue:
    """Read back what `encode_queue` made; one that nobody can read is empty."""
    try:
        return Queue() if encoded is None else QUEUE_DECODER.decode(encoded)
    except msgspec.DecodeError:
        return Queue()


def encode_recent(ids: tuple[str, ...]) -> bytes:
    """The ended commands of a device that are remembered, as the table keeps them."""
    return ENCODER.encode(ids)


def decode_recent(encoded: bytes | None) -> tuple[str, ...]:
    """Read back what `encode_recent` made; what nobody can read is empty."""
    try:
        return () if encoded is None else RECENT_DECODER.decode(encoded)
    except msgspec.DecodeError:
        return ()
