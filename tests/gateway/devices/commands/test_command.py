from __future__ import annotations

import msgspec
import pytest

from gateway.devices.commands.command import (
    PENDING_BYTES_MAX,
    PENDING_MAX,
    Command,
    CommandRefused,
    Queue,
    Wanted,
    answered,
    check_command_id,
    decode_command,
    decode_queue,
    decode_recent,
    dequeued,
    encode_command,
    encode_queue,
    encode_recent,
    enqueued,
    may_send,
    overdue,
    read_wanted,
    sent,
)

COMMAND = Command("c1", "pump-7", Wanted("reboot"), "console", 1_000, size_bytes=10)


def test_what_is_wanted_has_defaults():
    assert read_wanted(b'{"name": "reboot"}') == Wanted("reboot", None, 30_000, 3_600_000, 1)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"{", "unexpected end of data"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `name`"),
        (b'{"name": ""}', "1 to 128 printable"),
        (b'{"name": "a\\n"}', "1 to 128 printable"),
        (b'{"name": "a", "timeout": 5}', "unknown field `timeout`"),
        (b'{"name": "a", "timeout_ms": 0}', "'timeout_ms' is 0; it must be 1 to 86400000"),
        (b'{"name": "a", "ttl_ms": -1}', "'ttl_ms' is -1"),
        (b'{"name": "a", "deliveries": 11}', "'deliveries' is 11; it must be 1 to 10"),
        (b'{"name": "a", "payload": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "depth limit"),
        (b'{"name": "a", "payload": ' + b"[" * 500 + b"]" * 500 + b"}", "ecursion"),
        (b" " * (PENDING_BYTES_MAX + 1), "at most 65536"),
    ],
)
def test_what_cannot_be_wanted_is_refused(payload, complaint):
    with pytest.raises(CommandRefused, match=complaint):
        read_wanted(payload)


def test_a_command_ends_in_time_wherever_it_is():
    assert COMMAND.due_ms == 1_000 + 3_600_000
    assert overdue(COMMAND, 9).state == "expired"
    out = sent(COMMAND, 2_000)
    assert (out.state, out.due_ms, out.sends) == ("sent", 32_000, 1)
    assert overdue(out, 9).state == "timed_out"


def test_it_is_sent_as_often_as_it_allows():
    assert may_send(COMMAND)
    assert not may_send(sent(COMMAND, 2))
    often = msgspec.structs.replace(COMMAND, wanted=Wanted("reboot", deliveries=2))
    assert may_send(sent(often, 2))
    assert not may_send(sent(sent(often, 2), 3))
    assert not may_send(overdue(often, 3))


def test_a_status_from_400_on_is_a_refusal():
    assert answered(COMMAND, 399, "ok", 5).state == "answered"
    refused = answered(COMMAND, 400, None, 5)
    assert (refused.state, refused.ended_ms, refused.is_pending) == ("refused", 5, False)


def test_a_queue_is_bounded_by_number_and_by_bytes():
    queue = Queue()
    for number in range(PENDING_MAX):
        queue = enqueued(queue, msgspec.structs.replace(COMMAND, id=str(number)))
    with pytest.raises(CommandRefused, match="has 50 commands of 500 bytes before it"):
        enqueued(queue, COMMAND)
    large = msgspec.structs.replace(COMMAND, size_bytes=PENDING_BYTES_MAX)
    full = enqueued(Queue(), large)
    with pytest.raises(CommandRefused, match="at most 50 of 65536 bytes"):
        enqueued(full, COMMAND)
    assert dequeued(full, large) == Queue()


def test_everything_survives_the_table():
    command = answered(sent(COMMAND, 5), 200, {"a": [1]}, 7)
    assert decode_command(encode_command(command)) == command
    queue = Queue(("a", "b"), 7)
    assert decode_queue(encode_queue(queue)) == queue
    assert encode_queue(Queue()) is None
    assert decode_recent(encode_recent(("a",))) == ("a",)


def test_what_cannot_be_read_is_as_if_it_were_not_there():
    for encoded in (None, b"\xc1"):
        assert decode_command(encoded) is None
        assert decode_queue(encoded) == Queue()
        assert decode_recent(encoded) == ()


@pytest.mark.parametrize("text", ["", "a/b", "+", "#", "$a", "x" * 129, "a\n"])
def test_an_identifier_is_one_level_of_a_topic(text):
    with pytest.raises(CommandRefused, match="can't name a command"):
        check_command_id(text)
