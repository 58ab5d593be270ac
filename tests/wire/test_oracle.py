"""The properties against paho-mqtt's, which knows nothing of our tables."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from gateway.mqtt import Carrier, Properties, ProtocolVersion
from gateway.mqtt.primitives import FieldReader
from gateway.mqtt.properties import encode_property_section, take_properties
from tests.wire.strategies import properties

paho = pytest.importorskip("paho.mqtt.properties")
PACKET_TYPES = pytest.importorskip("paho.mqtt.packettypes").PacketTypes
# paho takes no larger one, though four bytes hold more.
MAXIMUM_PACKET_SIZE_MAX = 268_435_455


def as_paho_allows(found: Properties) -> Properties:
    size = found.maximum_packet_size
    return (
        found
        if size is None
        else found._replace(maximum_packet_size=min(size, MAXIMUM_PACKET_SIZE_MAX))
    )


@pytest.mark.interop
@pytest.mark.parametrize("carrier", list(Carrier))
def test_paho_reads_what_we_write_and_we_read_what_it_writes(carrier):
    number = getattr(PACKET_TYPES, "WILLMESSAGE" if carrier is Carrier.WILL else carrier.value)

    @settings(max_examples=40, deadline=None)
    @given(properties(ProtocolVersion.V5, carrier).map(as_paho_allows))
    def both_ways(ours):
        section = encode_property_section(ours, carrier)
        theirs, length = paho.Properties(number).unpack(section)
        assert length == len(section)
        assert take_properties(FieldReader(theirs.pack()), carrier) == ours

    both_ways()
