from __future__ import annotations

from gateway.devices import DecodeLimits, FieldSpec
from gateway.devices.profiles.reading import (
    pick,
    read_fields,
    read_limits,
    read_payload,
    read_time,
)
from gateway.devices.profiles.spec import PayloadSpec, TimeField
from gateway.documents import parse_document


def section(text):
    return parse_document(text, "x.yaml")


def test_fields_come_in_file_order():
    found = read_fields(section("b: {from: x.y, type: integer, required: true}\na: {unit: V}\n"))
    assert found == (
        FieldSpec("b", ("x", "y"), "integer", is_required=True),
        FieldSpec("a", ("a",), "any", "V"),
    )


def test_a_field_whose_name_has_a_point_is_itself():
    assert read_fields(section("a.b: {}\n"))[0].source == ("a.b",)


def test_limits_that_are_not_written_are_those_of_the_decoder():
    assert read_limits(section("depth: 3\n")) == DecodeLimits(depth_max=3)


def test_a_time_is_in_milliseconds_unless_it_says_so():
    assert read_time(section("field: at\n")) == TimeField("at", "ms")
    assert read_time(section("field: at\nunit: iso\n")) == TimeField("at", "iso")


def test_a_payload_says_its_format():
    found = read_payload(section('format: csv\ncolumns: [a, "-"]\nseparator: ";"\n'), b"")
    assert found == PayloadSpec("csv", columns=("a", "-"), separator=";")


def test_one_of_some_words_keeps_its_type():
    assert pick(section("a: x\n"), "a", ("w", "x"), "w") == "x"
    assert pick(section("a: y\n"), "a", ("w", "x"), "w") == "w"
