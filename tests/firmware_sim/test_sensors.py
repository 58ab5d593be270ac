from __future__ import annotations

import pytest

from firmware_sim.scenario import Field, FieldType
from firmware_sim.sensors import build_readers
from firmware_sim.signals import Constant, Grain

GRAIN = Grain(1, 1, 0, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("x", Constant(1.23456), decimals=2), 1.23),
        (Field("x", Constant(-0.001), decimals=2), 0.0),
        (Field("x", Constant(2.6), FieldType.INTEGER), 3),
        (Field("x", Constant(0.5), FieldType.BOOLEAN), True),
        (Field("x", Constant(0.4), FieldType.BOOLEAN), False),
        (Field("x", Constant(0.0), text="north"), "north"),
    ],
)
def test_a_field_is_written_as_its_type_says(field, value):
    ((name, read),) = build_readers([field], GRAIN)
    assert name == "x"
    assert (read(5), type(read(5))) == (value, type(value))
    assert str(read(5)) == str(value)
