from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.documents import Section, open_document
from gateway.errors import DocumentInvalid

READERS = {
    "text": lambda section: section.text("k", "default"),
    "boolean": lambda section: section.boolean("k", True),
    "integer": lambda section: section.integer("k", 42, least=1, most=50),
    "number": lambda section: section.number("k", 42.5, least=1, most=50),
    "duration_ms": lambda section: section.duration_ms("k", 42, least=1_000, most=60_000),
    "size_bytes": lambda section: section.size_bytes("k", 42, least=1_024, most=1 << 20),
    "choice": lambda section: section.choice("k", ["fsync", "os"], "os"),
    "texts": lambda section: section.texts("k", ["default"]),
}
DEFAULTS = {
    "text": "default",
    "boolean": True,
    "integer": 42,
    "number": 42.5,
    "duration_ms": 42,
    "size_bytes": 42,
    "choice": "os",
    "texts": ["default"],
}


def section_of(text):
    return open_document(text, "f.yaml")


def complaints(section):
    return [str(complaint).removeprefix("f.yaml:") for complaint in section.in_order()]


@pytest.mark.parametrize("reader", READERS)
def test_a_key_that_is_not_written_gives_the_default(reader):
    section = section_of("other: 1")
    assert READERS[reader](section) == DEFAULTS[reader]
    assert complaints(section) == []


@pytest.mark.parametrize(
    ("reader", "written", "value"),
    [
        ("text", "hello", "hello"),
        ("text", "12:30", "12:30"),
        ("text", "1.50", "1.50"),
        ("text", "true", "true"),
        ("text", "'null'", "null"),
        ("text", "''", ""),
        ("boolean", "false", False),
        ("integer", "1", 1),
        ("integer", "50", 50),
        ("number", "1", 1),
        ("number", "2.5", 2.5),
        ("duration_ms", "1s", 1_000),
        ("duration_ms", "'1m'", 60_000),
        ("size_bytes", "1KiB", 1_024),
        ("size_bytes", "2048", 2_048),
        ("choice", "fsync", "fsync"),
        ("texts", "[a, 1, 'b c']", ["a", "1", "b c"]),
        ("texts", "a", ["a"]),
        ("texts", "[]", []),
    ],
)
def test_a_right_value_is_read(reader, written, value):
    section = section_of(f"k: {written}")
    assert READERS[reader](section) == value
    assert complaints(section) == []


@pytest.mark.parametrize(
    ("reader", "written", "complaint"),
    [
        ("text", "[a]", "'k' must be text"),
        ("text", "", "'k' must be text"),
        ("text", "~", "'k' must be text"),
        ("boolean", "yes", "'yes' is not true or false"),
        ("boolean", "'true'", "'true' is not true or false"),
        ("boolean", "1", "'1' is not true or false"),
        ("boolean", "[true]", "a list is not true or false"),
        ("integer", "x", "'x' is not a whole number"),
        ("integer", "1.5", "'1.5' is not a whole number"),
        ("integer", "true", "'true' is not a whole number"),
        ("integer", "'1'", "'1' is not a whole number"),
        ("integer", "0x10", "'0x10' is not a whole number"),
        ("integer", "{a: 1}", "a mapping is not a whole number"),
        ("integer", "0", "'k' is 0; it must be at least 1 and at most 50"),
        ("integer", "51", "'k' is 51; it must be at least 1 and at most 50"),
        ("number", "x", "'x' is not a number"),
        ("number", "false", "'false' is not a number"),
        ("number", ".inf", "'.inf' is not a number"),
        ("number", "1e999", "'1e999' is not a number"),
        ("number", "50.5", "'k' is 50.5; it must be at least 1 and at most 50"),
        ("duration_ms", "5min", "'5min' is not a duration (write 30s, 5m, 1h30m, 7d)"),
        ("duration_ms", "5", "'5' is not a duration (write 30s, 5m, 1h30m, 7d)"),
        ("duration_ms", "[1s]", "a list is not a duration (write 30s, 5m, 1h30m, 7d)"),
        ("duration_ms", "999ms", "'k' is 999ms; it must be at least 1000 ms and at most 60000 ms"),
        ("duration_ms", "2m", "'k' is 2m; it must be at least 1000 ms and at most 60000 ms"),
        ("size_bytes", "1KB", "'1KB' is not a size (write 512, 64KiB, 10MiB, 2GB)"),
        ("size_bytes", "{a: 1}", "a mapping is not a size (write 512, 64KiB, 10MiB, 2GB)"),
        ("size_bytes", "1B", "'k' is 1B; it must be at least 1024 bytes and at most 1048576 bytes"),
        ("choice", "fsinc", "'fsinc' is not one of fsync, os, did you mean 'fsync'?"),
        ("choice", "memory", "'memory' is not one of fsync, os"),
        ("choice", "[os]", "a list is not one of fsync, os"),
    ],
)
def test_a_wrong_value_is_a_complaint_at_its_place_and_gives_the_default(
    reader, written, complaint
):
    section = section_of(f"k: {written}")
    assert READERS[reader](section) == DEFAULTS[reader]
    (found,) = complaints(section)
    assert found == f"1:{4 if written else 3}: {complaint}"


def test_a_bound_on_one_side_is_told_alone():
    section = section_of("k: 0\nl: 9")
    section.integer("k", least=1)
    section.integer("l", most=5)
    assert complaints(section) == [
        "1:4: 'k' is 0; it must be at least 1",
        "2:4: 'l' is 9; it must be at most 5",
    ]


def test_each_item_that_is_no_text_is_a_complaint():
    section = section_of("k: [a, [b], {c: d}, ~, e]")
    assert section.texts("k") == ["a", "e"]
    assert complaints(section) == [
        f"1:{column}: 'k' must be a list of texts" for column in (8, 13, 21)
    ]


def test_a_mapping_is_no_list_of_texts():
    section = section_of("k: {a: 1}")
    assert section.texts("k") == []
    assert complaints(section) == ["1:4: 'k' must be a list"]


def test_text_nodes_know_the_place_of_each_text():
    section = section_of("k:\n  - a\n  - b")
    assert [(node.source, node.line, node.column) for node in section.text_nodes("k")] == [
        ("a", 2, 5),
        ("b", 3, 5),
    ]
    assert section.text_nodes("other") == []


def test_a_key_that_nobody_asks_for_is_unknown():
    section = section_of("partitons: 1\nname: x\ncolour: red")
    section.text("name")
    section.integer("partitions")
    section.finish("filters")
    assert complaints(section) == [
        "1:1: unknown key 'partitons', did you mean 'partitions'?",
        "3:1: unknown key 'colour'; known here: filters, name, partitions",
    ]


@pytest.mark.parametrize("reader", [*READERS, "section", "sections", "get"])
def test_every_reader_makes_its_key_known(reader):
    section = section_of("k: x")
    READERS.get(reader, lambda s: getattr(s, reader)("k"))(section)
    before = complaints(section)
    section.finish()
    assert complaints(section) == before


def test_entries_are_names_that_the_writer_chose():
    section = section_of("pump: 1\nfan: {a: 2}")
    assert [(key.source, node.plain()) for key, node in section.entries()] == [
        ("pump", 1),
        ("fan", {"a": 2}),
    ]
    section.finish()
    assert complaints(section) == []


def test_a_missing_key_is_a_complaint_at_its_section():
    section = section_of("a:\n  b: 1")
    inner = section.section("a")
    inner.require("b", "c", "d")
    assert complaints(section) == ["2:3: missing key 'c'", "2:3: missing key 'd'"]


def test_a_section_shares_its_complaints_with_the_whole_file():
    section = section_of("a: {b: x}")
    inner = section.section("a")
    assert isinstance(inner, Section)
    inner.integer("b")
    with pytest.raises(DocumentInvalid, match=r"f\.yaml:1:8: 'x' is not a whole number"):
        section.raise_complaints()


def test_a_section_that_is_no_mapping_is_a_complaint():
    section = section_of("a: [1]\nb:\nc: 1")
    assert section.section("a") is None
    assert section.section("b") is None
    assert section.section("d") is None
    assert complaints(section) == [
        "1:4: 'a' must be a mapping of keys to values",
        "2:3: 'b' must be a mapping of keys to values",
    ]


def test_sections_are_the_mappings_of_a_list():
    section = section_of("a:\n  - {b: 1}\n  - 2\n  - {b: 3}\nc: {b: 4}")
    assert [inner.integer("b") for inner in section.sections("a")] == [1, 3]
    assert section.sections("c") == []
    assert section.sections("d") == []
    assert complaints(section) == [
        "3:5: 'a' must be a mapping of keys to values",
        "5:4: 'c' must be a list",
    ]


def test_keys_are_in_file_order():
    section = section_of("b: 1\na: 2")
    assert section.keys() == ["b", "a"]
    assert "a" in section
    assert "c" not in section


def test_a_complaint_can_stand_at_key_value_or_section():
    section = section_of("\na:  1")
    section.complain("at section")
    section.complain("at value", "a")
    section.complain("at key", "a", at_key=True)
    section.complain("of a key that is not there", "b")
    assert complaints(section) == [
        "2:1: at section",
        "2:1: at key",
        "2:1: of a key that is not there",
        "2:5: at value",
    ]


def test_a_complaint_that_is_made_twice_is_told_once():
    section = section_of("a: 1")
    section.complain("twice", "a")
    section.complain("twice", "a")
    assert complaints(section) == ["1:4: twice"]


def test_without_complaints_nothing_is_raised():
    section_of("a: 1").raise_complaints()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(READERS)),
    st.text(alphabet="aesm19.-+:[]{}'\"~ \n\td\u0663", max_size=12),
)
def test_no_reader_raises_whatever_is_written(reader, written):
    try:
        section = section_of(f"k: {written}")
    except DocumentInvalid:
        return
    value = READERS[reader](section)
    assert type(value) in {type(DEFAULTS[reader]), int}
