from __future__ import annotations

from gateway.mqtt import decode_publish_properties
from gateway.pipeline.sheets import ID_PROPERTY, id_properties


def test_a_derived_record_carries_its_id_as_a_user_property():
    properties = decode_publish_properties(id_properties("hot:m1@telemetry:0:7:0"))
    assert properties.user_properties == ((ID_PROPERTY, "hot:m1@telemetry:0:7:0"),)
