from __future__ import annotations

import pytest

from gateway.mqtt import Properties, Publish
from gateway.session import Appended, PublishBatch


def test_a_batch_falls_into_its_single_packets_in_order():
    batch = PublishBatch(
        [b"a", b"b", b"c", b"d"],
        [b"1", b"2", b"3", b"4"],
        [0x02, 0x00, 0x0B, 0x02],
        [b"\x00\x05", b"\x00\x06", b"\x00\x07"],
        [b"", b"p", b"", b"q"],
    )
    assert list(batch.singles()) == [
        PublishBatch([b"a"], [b"1"], [0x02], [b"\x00\x05"], [b""]),
        PublishBatch([b"b"], [b"2"], [0x00], (), [b"p"]),
        PublishBatch([b"c"], [b"3"], [0x0B], [b"\x00\x06"], [b""]),
        PublishBatch([b"d"], [b"4"], [0x02], [b"\x00\x07"], [b"q"]),
    ]


def test_a_single_packet_of_qos_2_keeps_its_identifier():
    batch = PublishBatch([b"a"], [b"1"], [0x04], (), None, [b"\x00\x05"])
    assert list(batch.singles()) == [batch]


@pytest.mark.parametrize("durability", ["", "memory"])
def test_a_receipt_says_how_safe_a_message_is_where_that_is_less_than_synced(connected, durability):
    wish = Properties(user_properties=(("penstock-receipts", "1"),))
    script = connected(connect={"properties": wish})
    script.publish(Publish("t", b"x", 1, 1))
    script.feed(Appended([b"\0\1"], place=("fast", 2, 30), durability=durability))
    told = dict(script.sent[-1].properties.user_properties)
    assert told.pop("penstock-durability", "") == durability
    assert told == {
        "penstock-stream": "fast",
        "penstock-partition": "2",
        "penstock-offset": "30",
    }
