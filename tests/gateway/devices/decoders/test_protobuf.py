from __future__ import annotations

import math

import orjson
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DecodeLimits, Undecodable
from gateway.devices.decoders.protobuf import DescriptorInvalid, message_class, protobuf_decoder

FIELD = descriptor_pb2.FieldDescriptorProto


def descriptor():
    """What `protoc --descriptor_set_out` writes for a message with one field of each sort."""
    file = descriptor_pb2.FileDescriptorProto(name="meter.proto", package="plant", syntax="proto3")
    state = file.enum_type.add(name="State")
    state.value.add(name="IDLE", number=0)
    state.value.add(name="RUNNING", number=1)
    inner = file.message_type.add(name="Phase")
    inner.field.add(name="volts", number=1, type=FIELD.TYPE_FLOAT, label=FIELD.LABEL_OPTIONAL)
    inner.field.add(
        name="within", number=2, type=FIELD.TYPE_MESSAGE, type_name=".plant.Phase",
        label=FIELD.LABEL_OPTIONAL,
    )  # fmt: skip
    meter = file.message_type.add(name="Meter")
    meter.field.add(name="count", number=1, type=FIELD.TYPE_UINT64, label=FIELD.LABEL_OPTIONAL)
    meter.field.add(name="serial", number=2, type=FIELD.TYPE_BYTES, label=FIELD.LABEL_OPTIONAL)
    meter.field.add(
        name="state", number=3, type=FIELD.TYPE_ENUM, type_name=".plant.State",
        label=FIELD.LABEL_OPTIONAL,
    )  # fmt: skip
    meter.field.add(
        name="phases", number=4, type=FIELD.TYPE_MESSAGE, type_name=".plant.Phase",
        label=FIELD.LABEL_REPEATED,
    )  # fmt: skip
    entry = meter.nested_type.add(name="TagsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    meter.field.add(
        name="tags", number=5, type=FIELD.TYPE_MESSAGE, type_name=".plant.Meter.TagsEntry",
        label=FIELD.LABEL_REPEATED,
    )  # fmt: skip
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


DESCRIPTOR = descriptor()
DECODE = protobuf_decoder(DecodeLimits(), DESCRIPTOR, "plant.Meter")


def meter(**fields):
    return message_class(DESCRIPTOR, "plant.Meter")(**fields).SerializeToString()


def test_a_message_becomes_its_fields():
    raw = meter(count=7, serial=b"\x01\xff", state=1, phases=[{"volts": 230.5}], tags={"a": -1})
    assert DECODE(raw) == {
        "count": 7,
        "serial": "01ff",
        "state": "RUNNING",
        "phases": [{"volts": 230.5}],
        "tags": {"a": -1},
    }


def test_an_enum_value_that_is_not_known_is_its_number():
    assert DECODE(meter(state=9))["state"] == 9


def test_a_number_without_a_word_in_json_is_null():
    assert DECODE(meter(phases=[{"volts": math.nan}]))["phases"] == [{"volts": None}]


def test_a_message_nested_too_deep_is_refused():
    phase = {"volts": 1.0}
    for _ in range(30):
        phase = {"within": phase}
    with pytest.raises(Undecodable, match="deep"):
        DECODE(meter(phases=[phase]))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_bytes_are_a_message_or_undecodable(raw):
    try:
        value = DECODE(raw)
    except Undecodable:
        return
    assert orjson.dumps(value)


def test_a_wrong_descriptor_is_refused():
    with pytest.raises(DescriptorInvalid, match=r"no message 'Meter'; it has plant\.Phase"):
        message_class(DESCRIPTOR, "Meter")
    with pytest.raises(DescriptorInvalid, match="no descriptor set"):
        message_class(b"\xff\xff", "x")
