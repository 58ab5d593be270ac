from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MqttError
from gateway.mqtt import (
    NO_PROPERTIES,
    Properties,
    ProtocolVersion,
    Publish,
    PublishColumns,
    decode_packet,
    decode_publish_properties,
    encode_packet,
    encode_properties,
    split_described,
)
from gateway.mqtt.property_lane import is_plain

V5 = ProtocolVersion.V5
SIZE_MAX = 1 << 20
PROPERTIES = st.fixed_dictionaries(
    {
        "payload_format_indicator": st.none() | st.integers(0, 1),
        "message_expiry_interval_s": st.none() | st.integers(0, 2**32 - 1),
        "content_type": st.none() | st.sampled_from(["", "application/json", "größe"]),
        "response_topic": st.none() | st.sampled_from(["a/b", "ü"]),
        "correlation_data": st.none() | st.binary(max_size=9),
        "user_properties": st.lists(
            st.tuples(*[st.sampled_from(["", "site", "ß", "x" * 90])] * 2), max_size=3
        ).map(tuple),
        "topic_alias": st.none() | st.none() | st.integers(1, 5),
    }
).map(lambda fields: Properties(**fields))


def publish(number, properties=NO_PROPERTIES, qos=1, **fields):
    packet_id = number + 1 if qos else 0
    return Publish("plant/a", b"%d" % number, qos, packet_id, properties=properties, **fields)


def encoded(*packets):
    return b"".join(encode_packet(packet, V5) for packet in packets)


def rows(columns):
    packet_ids = iter(columns.packet_ids)
    return [
        (topic, payload, flags, next(packet_ids) if flags & 2 else b"", properties)
        for topic, payload, flags, properties in zip(
            columns.topics, columns.payloads, columns.flags, columns.properties, strict=True
        )
    ]


def general(buffer, stop):
    """The twin: every packet up to `stop`, decoded in full."""
    found, at = [], 0
    while at < stop:
        first = buffer[at]
        packet, at = decode_packet(buffer, at, V5, SIZE_MAX)
        packet_id = packet.packet_id.to_bytes(2, "big") if packet.qos else b""
        found.append(
            (packet.topic.encode(), packet.payload, first & 15, packet_id, packet.properties)
        )
    assert at == stop
    return found


def split(buffer):
    columns = PublishColumns()
    return columns, split_described(buffer, 0, columns)


def is_for_the_lane(properties):
    texts = [
        properties.content_type or "",
        properties.response_topic or "",
        *(text for pair in properties.user_properties for text in pair),
    ]
    return properties.topic_alias is None and all(text.isascii() for text in texts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PROPERTIES, st.integers(0, 1), st.booleans()), max_size=6))
def test_what_it_takes_is_what_the_general_path_reads(wanted):
    packets = [
        publish(number, properties, qos, retain=retain)
        for number, (properties, qos, retain) in enumerate(wanted)
    ]
    buffer = encoded(*packets)
    columns, stop = split(buffer)
    kept = 0
    while kept < len(packets) and is_for_the_lane(packets[kept].properties):
        kept += 1
    assert stop == len(encoded(*packets[:kept]))
    found = [(*row[:4], decode_publish_properties(row[4])) for row in rows(columns)]
    assert found == general(buffer, stop)


@settings(max_examples=300, deadline=None)
@given(PROPERTIES, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3))
def test_whatever_it_calls_plain_the_general_path_accepts(properties, changes):
    section = bytearray(encode_properties(properties))
    for place, byte in changes:
        if section:
            section[place % len(section)] = byte
    if is_plain(bytes(section)):
        decoded = decode_publish_properties(bytes(section))
        assert (decoded.topic_alias, decoded.subscription_ids) == (None, ())


@pytest.mark.parametrize("seed", range(30))
def test_random_bytes_are_taken_only_as_the_general_path_takes_them(seed):
    rng = random.Random(seed)
    whole = encoded(
        *(publish(number, Properties(content_type="json"), number % 2) for number in range(5))
    )
    for _ in range(100):
        buffer = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            buffer[rng.randrange(len(buffer))] = rng.randrange(256)
        buffer = bytes(buffer[: rng.randrange(len(buffer) + 1)])
        columns, stop = split(buffer)
        try:
            expected = general(buffer, stop)
        except MqttError:
            # What both lanes leave to the session: the topic name and a packet identifier of zero.
            assert any(
                topic != b"plant/a" or packet_id == b"\x00\x00"
                for topic, _, _, packet_id, _ in rows(columns)
            )
            continue
        assert [(*row[:4], decode_publish_properties(row[4])) for row in rows(columns)] == expected


def test_a_packet_cut_anywhere_is_left_for_later():
    whole = encoded(publish(0, Properties(user_properties=(("a", "b"),))))
    for cut in range(len(whole)):
        columns, stop = split(whole[:cut])
        assert (stop, columns.topics) == (0, [])


@pytest.mark.parametrize("size", [126, 127, 128, 129, 4_000])
def test_properties_of_any_length_that_two_bytes_tell(size):
    properties = Properties(correlation_data=b"x" * size)
    columns, stop = split(encoded(publish(0, properties)))
    assert stop > size
    assert decode_publish_properties(columns.properties[0]) == properties


@pytest.mark.parametrize(
    "section",
    [
        b"\x03\x00\x01a\x03\x00\x01a",
        b"\x23\x00\x01",
        b"\x0b\x01",
        b"\x01\x02",
        b"\x01",
        b"\x02\x00\x00\x00",
        b"\x03\x00\x02a",
        b"\x03\x00\x01\xff",
        b"\x03\x00\x01\x00",
        b"\x08\x00\x01#",
        b"\x08\x00\x00",
        b"\x26\x00\x01a",
        b"\x09\x00",
        b"\x7f",
    ],
)
def test_what_is_odd_is_looked_at_more_closely(section):
    assert not is_plain(section)
