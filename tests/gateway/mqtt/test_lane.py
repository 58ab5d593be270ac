from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt import (
    Properties,
    ProtocolVersion,
    Publish,
    PublishColumns,
    decode_packet,
    encode_packet,
    encode_variable_byte_integer,
    packet_size,
    split_pubacks,
    split_publishes,
)

PACKET_BYTES_MAX = 1 << 20
LONGEST_IN_THE_LANE = 0x3FFF
TOPICS = [b"t", b"plant/pump-7/temp", "größe/ü".encode(), b"\x00\xff", b"x" * 200]


class Refused(Exception):
    """What the twin meets is not for the lane."""


class Bytes:
    """A buffer that is read byte by byte, and that refuses to be read beyond its end."""

    def __init__(self, buffer, at):
        self.buffer = buffer
        self.at = at

    def take(self, count):
        if self.at + count > len(self.buffer):
            raise Refused
        self.at += count
        return self.buffer[self.at - count : self.at]

    def take_byte(self):
        return self.take(1)[0]


def naive_packet(buffer, start, *, is_v5):
    """Read one plain PUBLISH field by field: (topic, payload, flags, packet id, end)."""
    source = Bytes(buffer, start)
    first = source.take_byte()
    qos, is_dup = first >> 1 & 3, bool(first & 8)
    if first >> 4 != 3 or qos > 1 or (is_dup and qos == 0):
        raise Refused
    length = source.take_byte()
    if length >= 128:
        high = source.take_byte()
        if high == 0 or high >= 128:
            raise Refused
        length = length - 128 + high * 128
    body = Bytes(source.take(length), 0)
    end = source.at
    topic = body.take(body.take_byte() * 256 + body.take_byte())
    packet_id = body.take(2) if qos else None
    if not topic or (is_v5 and body.take_byte()):
        raise Refused
    return topic, body.buffer[body.at :], first & 15, packet_id, end


def naive_publishes(buffer, start, *, is_v5):
    """The slow twin of `split_publishes`: the packets, and where the lane stops."""
    packets = []
    while True:
        try:
            packet = naive_packet(buffer, start, is_v5=is_v5)
        except Refused:
            return packets, start
        packets.append(packet[:4])
        start = packet[4]


def lane_publishes(buffer, start, *, is_v5):
    columns = PublishColumns()
    stop = split_publishes(buffer, start, columns, is_v5=is_v5)
    assert len(columns) == len(columns.payloads) == len(columns.flags)
    packet_ids = iter(columns.packet_ids)
    packets = [
        (topic, payload, flags, next(packet_ids) if flags & 6 else None)
        for topic, payload, flags in zip(
            columns.topics, columns.payloads, columns.flags, strict=True
        )
    ]
    assert next(packet_ids, None) is None
    return packets, stop


def publish(topic=b"t", payload=b"", first=0x30, packet_id=b"\x00\x07", properties=None):
    """A PUBLISH of these bytes, right or wrong; `properties` are given with their length."""
    body = len(topic).to_bytes(2, "big") + topic
    body += packet_id if first & 6 else b""
    body += (properties or b"") + payload
    return bytes([first]) + encode_variable_byte_integer(len(body)) + body


def agree(buffer, start=0):
    """Check lane against twin, for both versions; returns what they found for 3.1.1."""
    for is_v5 in (True, False):
        expected = naive_publishes(buffer, start, is_v5=is_v5)
        assert lane_publishes(buffer, start, is_v5=is_v5) == expected
    return expected


def random_publish(rng):
    """Mostly plain packets, of few topics and lengths so that runs of equal headers are common."""
    first = rng.choice([0x30, 0x31, 0x32, 0x32, 0x32, 0x33, 0x3A, 0x3B])
    properties = rng.choice([None, b"\x00", b"\x00", b"\x00", b"\x02\x01\x00"])
    length = rng.choice([0, 1, 3, 3, 3, 110, 125, 130, 300])
    payload = rng.randbytes(length)
    packet_id = rng.choice([b"\x00\x01", b"\xff\xff", b"\x00\x00", rng.randbytes(2)])
    return publish(rng.choice(TOPICS), payload, first, packet_id, properties)


def random_other(rng):
    """A packet that is no plain PUBLISH, or bytes that are no packet at all."""
    return rng.choice(
        [
            b"\xc0\x00",
            b"\x40\x02\x00\x01",
            publish(first=0x34),
            publish(first=0x36),
            publish(first=0x38),
            publish(topic=b""),
            publish(payload=b"x" * (LONGEST_IN_THE_LANE + 1)),
            b"\x32\x85\x00\x00\x01t\x00\x01",
            b"\x32\x04\x00\x01t\x00",
            b"\x32\x04\x00\xfft\x00",
            b"\x30\x00",
            b"\x30\x01\x00",
            b"\x30\x02\x00\x00",
            b"\x32\xff\xff\xff\xff",
            rng.randbytes(rng.randint(1, 12)),
        ]
    )


def random_stream(seed):
    rng = random.Random(seed)
    packets = [random_publish(rng) for _ in range(rng.randint(0, 6))]
    packets = [packet for packet in packets for _ in range(rng.choice([1, 1, 3]))]
    if rng.random() < 0.6:
        packets.insert(rng.randint(0, len(packets)), random_other(rng))
    return b"".join(packets)


def test_plain_packets_become_columns_in_the_order_of_the_wire():
    buffer = (
        publish(b"a", b"1", 0x30)
        + publish(b"b", b"2", 0x32, b"\x00\x05")
        + publish(b"b", b"3", 0x3B, b"\x00\x06")
    )
    columns = PublishColumns()
    assert split_publishes(buffer, 0, columns, is_v5=False) == len(buffer)
    assert columns.topics == [b"a", b"b", b"b"]
    assert columns.payloads == [b"1", b"2", b"3"]
    assert columns.flags == [0x0, 0x2, 0xB]
    assert columns.packet_ids == [b"\x00\x05", b"\x00\x06"]


def test_a_second_call_goes_on_with_the_same_columns():
    columns = PublishColumns()
    split_publishes(publish(b"a", b"1"), 0, columns, is_v5=False)
    split_publishes(publish(b"b", b"2"), 0, columns, is_v5=False)
    assert columns.topics == [b"a", b"b"]


def test_an_equal_header_with_properties_leaves_the_lane():
    plain = publish(b"t", b"abc", 0x32, properties=b"\x00")
    other = publish(b"t", b"a", 0x32, properties=b"\x02\x01\x00")
    assert plain[:5] == other[:5]
    packets, stop = lane_publishes(plain + plain + other + plain, 0, is_v5=True)
    assert (len(packets), stop) == (2, 2 * len(plain))


def test_version_3_has_no_properties():
    buffer = publish(b"t", b"\x02\x01\x00", 0x32)
    assert lane_publishes(buffer, 0, is_v5=False)[1] == len(buffer)
    assert lane_publishes(buffer, 0, is_v5=True)[1] == 0


@pytest.mark.parametrize("length", [0, 1, 121, 122, 123, 124, 16_377, 16_378])
def test_a_remaining_length_of_one_or_two_bytes_is_taken(length):
    buffer = publish(b"t", b"x" * length, 0x32)
    packets, stop = agree(buffer)
    assert (len(packets), stop) == (1, len(buffer))


def test_a_remaining_length_of_three_bytes_is_left():
    longest = publish(b"t", b"x" * 16_378, 0x32)
    longer = publish(b"t", b"x" * 16_379, 0x32)
    assert agree(longest + longer)[1] == len(longest)


@pytest.mark.parametrize("first", range(256))
def test_every_first_byte_is_taken_or_left_as_its_flags_say(first):
    packets, stop = agree(publish(first=first, properties=b"\x00") + b"after")
    assert len(packets) == (first in {0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B})
    assert bool(stop) == bool(packets)


def test_the_shortest_packets_are_taken():
    packets, _ = agree(publish(b"t", b"", 0x30) + publish(b"t", b"", 0x32))
    assert len(packets) == 2


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9))
def test_the_lane_agrees_with_reading_byte_by_byte(seed):
    agree(random_stream(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_a_stream_cut_anywhere_is_taken_up_to_its_last_whole_packet(seed):
    buffer = random_stream(seed)[:400]
    for cut in range(len(buffer) + 1):
        agree(buffer[:cut])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_the_lane_may_begin_anywhere(seed):
    buffer = random_stream(seed)[:120]
    for start in range(len(buffer) + 1):
        agree(buffer, start)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=24), st.sampled_from([b"", b"\x30", b"\x32", b"\x32\x05\x00\x01t"]))
def test_garbage_is_left_where_it_begins(garbage, opening):
    agree(opening + garbage)
    agree(publish(b"t", b"1", 0x32) + opening + garbage)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 255))
def test_a_flipped_byte_changes_both_alike(seed, place, byte):
    buffer = bytearray(random_stream(seed) or b"\x30")
    buffer[place % len(buffer)] = byte
    agree(bytes(buffer))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(ProtocolVersion)),
    st.lists(
        st.builds(
            lambda topic, payload, qos, retain, dup, properties: Publish(
                topic,
                payload,
                qos,
                0 if qos == 0 else 7,
                retain,
                dup and qos > 0,
                properties,
            ),
            st.sampled_from(["t", "plant/pump-7/temp"]),
            st.binary(max_size=8) | st.binary(min_size=120, max_size=140),
            st.integers(0, 2),
            st.booleans(),
            st.booleans(),
            st.sampled_from([Properties(), Properties(message_expiry_interval_s=5)]),
        ),
        max_size=6,
    ),
)
def test_the_lane_takes_what_the_general_path_would_read(version, packets):
    is_v5 = version >= ProtocolVersion.V5
    packets = [
        packet if is_v5 else Publish(*(getattr(packet, name) for name in FIELDS_OF_3_1_1))
        for packet in packets
    ]
    buffer = b"".join(encode_packet(packet, version) for packet in packets)
    taken, stop = lane_publishes(buffer, 0, is_v5=is_v5)
    at = 0
    for packet, (topic, payload, flags, packet_id) in zip(packets, taken, strict=False):
        found, at = decode_packet(buffer, at, version, PACKET_BYTES_MAX)
        assert found == packet
        assert (packet.topic.encode(), packet.payload) == (topic, payload)
        assert flags == packet.dup << 3 | packet.qos << 1 | packet.retain
        assert packet_id == (packet.packet_id.to_bytes(2, "big") if packet.qos else None)
    assert at == stop
    if len(taken) < len(packets):
        left = packets[len(taken)]
        assert left.qos > 1 or left.properties != Properties()


FIELDS_OF_3_1_1 = ("topic", "payload", "qos", "packet_id", "retain", "dup")


def naive_pubacks(buffer, start):
    """The slow twin of `split_pubacks`."""
    packet_ids = []
    while buffer[start : start + 2] == b"\x40\x02" and len(buffer) >= start + 4:
        packet_ids.append(buffer[start + 2 : start + 4])
        start += 4
    return packet_ids, start


def test_consecutive_short_pubacks_are_taken_together():
    buffer = b"\x40\x02\x00\x01\x40\x02\xff\xff\x40\x03\x00\x03\x00"
    assert split_pubacks(buffer, 0) == ([b"\x00\x01", b"\xff\xff"], 8)


def test_a_puback_with_a_reason_code_is_left():
    assert split_pubacks(b"\x40\x03\x00\x01\x10", 0) == ([], 0)


def test_what_looks_like_a_header_inside_an_identifier_is_none():
    buffer = b"\x40\x02\x40\x02\x40\x02\x40\x02"
    assert split_pubacks(buffer, 0) == ([b"\x40\x02", b"\x40\x02"], 8)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.binary(min_size=2, max_size=2).map(b"\x40\x02".__add__)
        | st.sampled_from([b"\x40", b"\x40\x02\x00", b"\x41\x02\x00\x01", b"\xc0\x00"]),
        max_size=5,
    ).map(b"".join)
    | st.binary(max_size=12)
)
def test_pubacks_agree_with_reading_one_by_one_however_cut(buffer):
    for cut in range(len(buffer) + 1):
        for start in range(cut + 1):
            assert split_pubacks(buffer[:cut], start) == naive_pubacks(buffer[:cut], start)


@pytest.mark.parametrize(
    "length", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]
)
def test_the_size_of_a_packet_is_known_once_its_length_has_arrived(length):
    encoded = encode_variable_byte_integer(length)
    header = b"\x30" + encoded
    assert packet_size(header) == packet_size(header + b"\xff") == len(header) + length
    for cut in range(len(header)):
        assert packet_size(header[:cut]) is None


def test_the_size_of_a_packet_with_an_endless_length_is_unknown():
    assert packet_size(b"\x30\xff\xff\xff\xff\xff\xff") is None
