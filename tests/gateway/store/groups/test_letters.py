import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StoreError
from gateway.events import Record, RecordBatch
from gateway.store.groups.letters import (
    DEAD_LETTERS,
    Failure,
    letter_run,
    mark_key,
    read_letter,
    redriven_run,
)

FAILURE = Failure("exit 1", "g", "worker-1", 5)


def stored(run, offset=7):
    """The run's one record as the log gives it back."""
    (record,) = RecordBatch(run.stream, run.partition, offset, 1, [run]).records()
    return record


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=8), st.integers(0, 15))
def test_a_letter_keeps_the_record_byte_for_byte(payload, properties, flags):
    record = Record("telemetry", 3, 41, 1000, "a/b", "b", "c", payload, flags, properties)
    letter = stored(letter_run(record, FAILURE, 2000))
    assert (letter.stream, letter.topic, letter.device) == (
        DEAD_LETTERS.name,
        "dead-letters/telemetry",
        "b",
    )
    assert read_letter(letter) == (record, FAILURE)
    again = stored(redriven_run(record, 3000), offset=41)
    assert again == record._replace(arrival_ms=3000)


@pytest.mark.parametrize("payload", [b"", b"1", b"{}", b'{"payload_text":"x","stream":"s"}'])
def test_what_is_no_letter_is_refused(payload):
    record = Record("dead-letters", 0, 5, 1, "t", "d", "c", payload)
    with pytest.raises(StoreError, match="dead-letters/0@5 is no dead letter"):
        read_letter(record)


def test_a_letter_says_why_in_the_open():
    record = Record("s", 0, 1, 1, "t", "d", "c", b"21.50")
    content = orjson.loads(letter_run(record, FAILURE, 1).payloads[0])
    assert (content["payload_text"], content["cause"], content["failed_by"]) == (
        "21.50",
        "exit 1",
        "worker-1",
    )


def test_marks_sort_as_offsets_do():
    marks = [mark_key(Record("s", 0, offset, 1, "t", "d", "c", b"")) for offset in (2, 10)]
    assert marks == sorted(marks)
