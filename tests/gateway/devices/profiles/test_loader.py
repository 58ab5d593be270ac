from __future__ import annotations

import json

import pytest

from gateway.devices import PayloadInvalid
from gateway.devices.profiles.loader import load_profiles, parse_profile, profile_paths
from gateway.errors import DocumentInvalid

HEAD = 'version: 1\nprofile: pump\ntopics: ["plant/{device}/telemetry"]\n'


def complaints(text):
    with pytest.raises(DocumentInvalid) as raised:
        parse_profile(text, "pump.yaml")
    return [str(one) for one in raised.value.complaints]


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def invalid(folder):
    with pytest.raises(DocumentInvalid) as raised:
        load_profiles([folder])
    return [str(one).replace(f"{folder}/", "") for one in raised.value.complaints]


def test_a_profile_says_what_it_says():
    book = parse_profile(
        HEAD + "title: Pump\nfields: {t: {unit: °C, min: 0, scale: 0.1}}\n"
        "limits: {size: 1KiB, depth: 3, values: 9}\ninvalid: reject\n"
    )
    profile = book.named("pump")
    assert profile.title == "Pump"
    assert profile.fields[0].unit == "°C"
    assert profile.fields[0].type == "number"
    assert (profile.limits.size_bytes_max, profile.limits.depth_max) == (1024, 3)
    assert profile.checks_on_ingest
    assert profile.is_inspected


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("nonsense: 1\n", "4:1: unknown key 'nonsense'"),
        ("fields: {t: {min: 5, max: 4}}\n", "4:19: an impossible range"),
        ("fields: {t: {scale: 0}}\n", "4:21: a scale of 0"),
        ("fields: {t: {type: text, min: 5}}\n", "4:26: 'min' is for numbers"),
        ("fields: {t: {from: a..b}}\n", "4:20: 'from' is a path"),
        ("fields: {t: {typ: number}}\n", "4:14: unknown key 'typ', did you mean 'type'?"),
        ("payload: {format: jsn}\n", "4:19: 'jsn' is not one of"),
        ("payload: {format: json, columns: [a]}\n", "4:25: 'columns' has no meaning"),
        ("payload: {format: csv}\n", "4:10: missing key 'columns'"),
        ("payload: {format: csv, columns: [a, a]}\n", "4:33: a column is named twice"),
        ('payload: {format: csv, columns: [a], separator: ";;"}\n', "4:49: the separator"),
        ("payload: {format: frame}\n", "4:10: a frame needs a 'layout'"),
        ("payload: {format: protobuf, message: a}\n", "4:10: missing key 'descriptor'"),
        ("payload: {format: csv, columns: [a]}\ntime: {field: b}\n", "5:7: the payload has no"),
        ("payload: {format: csv, columns: [volts]}\nfields: {volt: {}}\n", "did you mean 'volts'?"),
        ("undecodable: tag\n", "4:14: 'tag' is not one of"),
        ("base: nobody\n", "4:7: there is no profile 'nobody'"),
        ("base: pump\n", "4:7: profiles are each other's base: pump → pump"),
        ("schema: none.json\n", "4:9: 'none.json' can't be read"),
        ("limits: {depth: 1000}\n", "4:17: 'depth' is 1000; it must be"),
    ],
)
def test_a_mistake_is_named_with_its_place(rest, complaint):
    assert any(complaint in one for one in complaints(HEAD + rest)), complaints(HEAD + rest)


def test_a_topic_needs_a_device_and_a_version_is_ours():
    found = complaints('version: 2\nprofile: Pump!\ntopics: ["a/b"]\n')
    assert len(found) == 3
    assert "pump.yaml:3:10: 'a/b' names no device" in found[2]


def test_overlapping_templates_are_refused(tmp_path):
    write(
        tmp_path,
        a='version: 1\nprofile: a\ntopics: ["plant/{site}/{device}/#"]\n',
        b='version: 1\nprofile: b\ntopics: ["x/{device}", "+/{device}/pump/t"]\n',
    )
    assert invalid(tmp_path) == [
        "b.yaml:3:24: '+/{device}/pump/t' overlaps 'plant/{site}/{device}/#' of profile 'a': "
        "a topic has one profile"
    ]


def test_a_base_gives_what_a_profile_leaves_open(tmp_path):
    write(
        tmp_path,
        a="version: 1\nprofile: a\nfields: {t: {max: 5}, u: {unit: V}}\ninvalid: reject\n",
        b='version: 1\nprofile: b\nbase: a\ntopics: ["b/{device}"]\nfields: {t: {max: 9}}\n',
        c='version: 1\nprofile: c\nbase: b\ntopics: ["c/{device}"]\ninvalid: tag\n',
    )
    book = load_profiles([tmp_path])
    decode = book.decoder_of("b/x")
    assert decode(b'{"t": 8}') == {"t": 8}
    with pytest.raises(PayloadInvalid):
        decode(b'{"t": 10}')
    assert "t" in book.decoder_of("c/x")(b'{"t": 10}')["_invalid"]
    assert [field.name for field in book.named("c").fields] == ["t", "u"]
    assert book.named("a").topics == ()


def test_a_circle_of_bases_is_refused(tmp_path):
    write(
        tmp_path,
        a="version: 1\nprofile: a\nbase: b\n",
        b="version: 1\nprofile: b\nbase: a\n",
    )
    assert invalid(tmp_path) == [
        "a.yaml:3:7: profiles are each other's base: b → a → b",
        "b.yaml:3:7: profiles are each other's base: a → b → a",
    ]


def test_a_name_is_given_once(tmp_path):
    write(tmp_path, a="version: 1\nprofile: a\n", b="version: 1\nprofile: a\n")
    assert "b.yaml:2:10: profile 'a' is also in" in invalid(tmp_path)[0]


def test_a_mistake_in_a_base_is_named_once(tmp_path):
    write(
        tmp_path,
        a="version: 1\nprofile: a\nfields: {t: {scale: 0}}\n",
        b='version: 1\nprofile: b\nbase: a\ntopics: ["b/{device}"]\n',
    )
    assert len(invalid(tmp_path)) == 1


LAYOUT = HEAD + "payload:\n  format: frame\n  layout:\n"


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ("{type: u8}", "missing key 'name'"),
        ("{name: x}", "missing key 'type'"),
        ("{name: x, type: u9}", "'u9' is not one of"),
        ("{name: x, type: u8, count: y}", "no earlier part is called 'y'"),
        ("{name: x, type: u8, when: y}", "no earlier part is called 'y'"),
        ("{name: x, type: u8, when: {part: y, is: [a]}}", "is not a whole number"),
        ("{name: x, type: u8, bits: {a: 8}}", "'8' is no bit of u8"),
        ("{name: x, type: u8, bits: {a: 3-1}}", "'3-1' is no bit of u8"),
        ("{name: x, type: f32, bits: {a: 1}}", "only a single integer has bits"),
        ("{name: x, type: bytes}", "missing key 'count'"),
        ("{name: x, type: skip}", "what is skipped has no name"),
        ("{name: n, type: u8}", "a part called 'n' came before"),
        ("{name: x, type: u8, items: [{name: y, type: u8}]}", "'type' or 'items', not both"),
        ("{name: x, items: [{name: y, type: u8}]}", "missing key 'count'"),
        ("{name: x, type: u8, count: rest}\n  - {name: z, type: u8}", "'rest' is for the last"),
        ("{name: x, type: u8, count: 0}", "'count' is 0; it must be at least 1"),
    ],
)
def test_a_mistake_in_a_layout_is_named(part, complaint):
    found = complaints(LAYOUT + "  - {name: n, type: u8}\n  - " + part + "\n")
    assert any(complaint in one for one in found), found


def test_a_name_inside_a_group_stays_inside():
    group = "  - {name: g, count: 2, items: [{name: k, type: u8}]}\n"
    found = complaints(LAYOUT + group + "  - {name: x, type: u8, count: k}\n")
    assert "no earlier part is called 'k'" in found[0]


def test_a_schema_lies_beside_its_profile(tmp_path):
    schema = {"type": "object", "required": ["t"]}
    (tmp_path / "pump.schema.json").write_text(json.dumps(schema))
    write(tmp_path, pump=HEAD + "schema: pump.schema.json\ninvalid: dead-letter\n")
    decode = load_profiles([tmp_path]).decoder_of("plant/7/telemetry")
    assert decode(b'{"t": 1}') == {"t": 1}
    with pytest.raises(PayloadInvalid, match="t"):
        decode(b"{}")


@pytest.mark.parametrize("text", ["{", '{"type": "nonsense"}'])
def test_a_wrong_schema_is_named_with_its_place(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    write(tmp_path, pump=HEAD + "schema: s.json\n")
    assert "pump.yaml:4:9: " in invalid(tmp_path)[0]


def test_folders_are_searched_and_files_read_once(tmp_path):
    (tmp_path / "below").mkdir()
    write(tmp_path, b="", a="")
    (tmp_path / "below" / "c.yml").write_text("")
    (tmp_path / "note.txt").write_text("")
    paths = profile_paths([tmp_path, tmp_path / "a.yaml"])
    assert [path.name for path in paths] == ["a.yaml", "b.yaml", "c.yml"]
