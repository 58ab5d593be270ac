"""Idempotent publishing against a plain list of what was seen."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.events import Origin, Run
from gateway.mqtt import NO_PROPERTIES, encode_properties
from gateway.server.repeats import SEQUENCE_PROPERTY, TABLE, Repeats, sequence_of
from gateway.store import Put, StreamSpec
from gateway.store.memory import MemoryStore

WINDOW_MS = 1_000


def with_sequence(sequence: str) -> bytes:
    pairs = (("other", "x"), (SEQUENCE_PROPERTY, sequence))
    return encode_properties(NO_PROPERTIES._replace(user_properties=pairs))


def test_a_sequence_number_is_read_from_the_user_properties():
    assert sequence_of(with_sequence("17")) == "17"
    assert sequence_of(b"") is None
    other = encode_properties(NO_PROPERTIES._replace(content_type=SEQUENCE_PROPERTY))
    assert sequence_of(other) is None


def test_properties_that_are_none_hold_no_sequence_number():
    assert sequence_of(b"\xff" + SEQUENCE_PROPERTY.encode()) is None


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 400)), max_size=60)
)
def test_a_repeat_is_one_seen_within_the_window_and_not_since_forgotten(steps):
    repeats = Repeats(WINDOW_MS)
    stored: list[tuple[tuple[str, str], int]] = []
    now_ms = 0
    for client, number, pause_ms in steps:
        now_ms += pause_ms
        identity = (client, str(number))
        is_new = not any(one == identity and now_ms - at_ms < WINDOW_MS for one, at_ms in stored)
        assert repeats.take(identity, now_ms) is is_new
        if is_new:
            stored.append((identity, now_ms))


def test_the_window_holds_no_more_than_its_bound():
    repeats = Repeats(WINDOW_MS, count_max=3)
    for number in range(10):
        assert repeats.take(("a", str(number)), 0)
    assert len(repeats) == 3
    assert repeats.take(("a", "0"), 0)


def test_what_was_refused_may_come_again():
    repeats = Repeats(WINDOW_MS)
    assert repeats.take(("a", "1"), 0)
    repeats.forget([("a", "1"), ("a", "unknown")])
    assert repeats.take(("a", "1"), 1)


async def log_with_sequences(*, is_marked: bool) -> MemoryStore:
    store = MemoryStore()
    await store.ensure(StreamSpec("s", partitions=2))
    puts = [Put(TABLE, SEQUENCE_PROPERTY, b"1")] if is_marked else []
    for number, arrival_ms in enumerate((100, 4_500, 4_900)):
        properties = [with_sequence(str(number))]
        origin = [Origin("t", "d")]
        run = Run("s", number % 2, "a", arrival_ms, origin, [b"x"], b"\x02", properties)
        await store.append([run], puts)
    return store


async def test_the_window_is_read_back_from_the_log():
    store = await log_with_sequences(is_marked=True)
    repeats = Repeats(WINDOW_MS)
    await repeats.load(store, [("s", 0), ("s", 1)], 5_000)
    assert not repeats.take(("a", "1"), 5_000)
    assert not repeats.take(("a", "2"), 5_000)
    assert repeats.take(("a", "0"), 5_000)


async def test_a_log_that_never_had_a_sequence_number_is_not_read():
    store = await log_with_sequences(is_marked=False)
    repeats = Repeats(WINDOW_MS)
    await repeats.load(store, [("s", 0), ("s", 1)], 5_000)
    assert len(repeats) == 0


def test_a_stream_may_have_a_window_of_its_own():
    repeats = Repeats(WINDOW_MS, {"long": 10 * WINDOW_MS, "none": 0})
    for stream in ("long", "none", "other"):
        assert repeats.take(("c", "1"), 0, stream)
    assert not repeats.take(("c", "1"), 1, "another")
    assert [repeats.take(("c", "1"), 5 * WINDOW_MS, own) for own in ("long", "none", "other")] == [
        False,
        True,
        True,
    ]
    assert repeats.repeated == 2
    repeats.forget([("c", "1")])
    assert repeats.take(("c", "1"), 5 * WINDOW_MS, "long")
