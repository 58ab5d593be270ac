from __future__ import annotations

import dataclasses

from gateway.mqtt import Connack, Properties, ProtocolVersion, encode_packet
from gateway.session import SessionOptions


def test_every_limit_is_set_and_fits_the_connack_that_announces_it():
    options = SessionOptions()
    assert all(value > 0 for value in dataclasses.astuple(options))
    properties = Properties(
        receive_maximum=options.receive_maximum,
        maximum_packet_size=options.packet_bytes_max,
        topic_alias_maximum=options.topic_alias_maximum,
        server_keep_alive_s=options.keep_alive_s_max,
        session_expiry_interval_s=options.session_expiry_ms_max // 1_000,
    )
    assert encode_packet(Connack(properties=properties), ProtocolVersion.V5)


def test_the_window_fits_the_packet_identifiers():
    assert SessionOptions().in_flight_max < 65_535
