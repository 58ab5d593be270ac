from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.documents import open_document, parse_document, read_document, read_text
from gateway.documents.reader import DOCUMENT_BYTES_MAX
from gateway.errors import DocumentInvalid

# What YAML is made of, so that random texts get past its first line.
FRAGMENTS = st.sampled_from(
    [
        *("a", "b: ", "- ", "\n", "\n  ", "\t", "{", "}", "[", "]", ", ", ": ", "? ", "& ", "&x "),
        *("*x", "!", "!!int ", "|", ">", "'", '"', "#", " # c\n", "---\n", "...\n", "%YAML 1.2\n"),
        *("%", "@", "`", "<<: ", "\\", "\x00", "\x85", "\u2028", "ü", "\U0001f600", "\ufeff"),
        *("1", "1e999", "~", "null", "9" * 30, "\r", "\r\n", "\x1b", "\x7f"),
    ]
)


def refused(call, *arguments):
    with pytest.raises(DocumentInvalid) as caught:
        call(*arguments)
    return str(caught.value).splitlines()


def test_a_document_is_read_from_its_file(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes("a: ü\r\nb: 2\r\n".encode())
    assert read_document(path).node.plain() == {"a": "ü", "b": 2}


def test_errors_call_a_file_as_they_are_told(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("- 1")
    assert refused(read_document, path, "shown.yaml") == [
        "shown.yaml:1:1: expected a mapping of keys to values"
    ]


def test_a_file_that_is_not_there_is_one_complaint(tmp_path):
    path = tmp_path / "none.yaml"
    assert refused(read_document, path) == [f"{path}:1:1: can't be read: No such file or directory"]


def test_a_folder_is_one_complaint(tmp_path):
    assert refused(read_document, tmp_path) == [f"{tmp_path}:1:1: can't be read: Is a directory"]


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (DOCUMENT_BYTES_MAX + 1))
    assert refused(read_text, path, "large.yaml") == [
        f"large.yaml:1:1: larger than {DOCUMENT_BYTES_MAX} bytes"
    ]
    path.write_bytes(b"#" * DOCUMENT_BYTES_MAX)
    assert len(read_text(path, "large.yaml")) == DOCUMENT_BYTES_MAX


def test_what_is_not_utf_8_is_named_with_its_place(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes("a: 1\nü: ".encode() + b"\xff")
    assert refused(read_text, path, "f.yaml") == [
        "f.yaml:2:4: is not UTF-8 text: invalid start byte"
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: b: c", "1:5: not YAML: mapping values are not allowed in this context"),
        ("a:\n\tb: 1", "2:1: not YAML: a tab can't indent; use spaces"),
        ("a: [1,\nb: 2", "3:1: not YAML: did not find expected ',' or ']'"),
        ("ü: 1\nb: \x07", "2:4: U+0007 can't stand here"),
        ("a: 'x", "1:6: not YAML: found unexpected end of stream"),
        ("- 1", "1:1: expected a mapping of keys to values"),
        ("\n\n  text", "3:3: expected a mapping of keys to values"),
    ],
)
def test_what_is_no_yaml_mapping_is_named_with_its_place(text, complaint):
    assert refused(parse_document, text, "f.yaml") == [f"f.yaml:{complaint}"]


def test_every_complaint_is_listed_in_file_order():
    lines = refused(parse_document, "a: {c: 1, c: 2}\na: 3\nb: &x 1", "f.yaml")
    assert [line.split(": ")[0] for line in lines] == ["f.yaml:1:11", "f.yaml:2:1", "f.yaml:3:4"]


def test_an_opened_document_keeps_its_complaints_for_later():
    section = open_document("a: 1\na: 2", "f.yaml")
    assert section.integer("a") == 1
    assert refused(section.raise_complaints) == ["f.yaml:2:1: duplicate key 'a'"]


def test_an_opened_document_is_a_mapping():
    assert refused(open_document, "&x [1]", "f.yaml") == [
        "f.yaml:1:1: anchors such as &x are not allowed",
        "f.yaml:1:1: expected a mapping of keys to values",
    ]


@settings(max_examples=600, deadline=None)
@given(st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=60))
@example("a: \x00")
@example("? ")
@example("%YAML 9.9\n---\na: 1")
def test_any_text_is_read_or_refused_with_places(text):
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + 2
    try:
        parse_document(text, "f.yaml")
    except DocumentInvalid as error:
        assert error.complaints
        for complaint in error.complaints:
            assert "\n" not in complaint.message
            assert 1 <= complaint.line <= lines
            assert complaint.column >= 1


@settings(max_examples=150, deadline=None, database=None)
@given(st.binary(max_size=80))
def test_any_file_is_read_or_refused(tmp_path_factory, encoded):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(encoded)
    with contextlib.suppress(DocumentInvalid):
        read_document(path)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_what_json_writes_is_read_as_it_was(value):
    import orjson

    text = orjson.dumps({"value": value}).decode()
    assert parse_document(text, "f.yaml").node.plain() == {"value": value}


def test_a_place_is_file_line_and_column():
    (line,) = refused(parse_document, "a: 1\na: 2", "rules/pump.yaml")
    assert re.fullmatch(r"rules/pump\.yaml:2:1: duplicate key 'a'", line)
