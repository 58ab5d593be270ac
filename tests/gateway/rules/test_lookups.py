from __future__ import annotations

import pytest

from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, parse_rules
from gateway.rules.lookups import ROWS_MAX, Version, decode_version, read_rows, version_of
from gateway.rules.spec import Lookup
from tests.harness.rule_runs import Tape, save, steps

ASSETS = Lookup("assets", "assets.csv", "device")
RULE = """
version: 1
lookups:
  assets: {file: assets.csv, key: device, reload: 1s}
rules:
  - id: over
    from: plant/+
    key: device
    enrich: {asset: "assets[device]"}
    where: asset.watched
    let: {over: payload.x - asset.limit}
    when: over > 0
    alarm: {message: "{over} over {asset.limit}"}
  - {id: quiet, from: none/+, key: device, absent: {for: 1h, expect: "lookup:assets"}}
"""


def csv_of(text):
    return version_of(ASSETS, read_rows(ASSETS, text.encode()))


def version_batch(version, offset=0, commit_no=1, arrival=0, client="$rules"):
    origin = Origin("lookups", version.lookup)
    run = Run("lookups", 0, client, arrival, [origin], [version.encode()], b"\0")
    return RecordBatch("lookups", 0, offset, commit_no, [run])


def engine_of_rule():
    rules = parse_rules(RULE[: RULE.index("  - {id: quiet")])
    return Engine(rules.rules)


def test_cells_that_look_like_numbers_are_numbers_and_empty_ones_are_left_out():
    version = csv_of("device,limit,watched,note,code\nm1,4.5,true,,007\n2,-1e3,false,hot,12\n")
    assert version.rows == {
        "m1": {"device": "m1", "limit": 4.5, "watched": True, "code": "007"},
        "2": {"device": 2, "limit": -1000.0, "watched": False, "note": "hot", "code": 12},
    }


def test_equal_rows_are_one_version_however_they_are_ordered():
    first, second = csv_of("device,x\na,1\nb,2\n"), csv_of("device,x\r\nb,2\r\na,1\r\n")
    assert first.version == second.version
    assert csv_of("device,x\na,1\nb,3\n").version != first.version
    assert decode_version(first.encode()) == first
    assert decode_version(b"{}") is decode_version(b"?") is None


def test_json_is_a_list_of_objects():
    lookup = Lookup("assets", "a.json", "device")
    rows = read_rows(lookup, b'[{"device": "a", "nested": {"x": [1]}}]')
    assert version_of(lookup, rows).rows == {"a": {"device": "a", "nested": {"x": [1]}}}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"device,x\na,1,2\n", "line 2: the row has not as many cells"),
        ("a.csv", b"device,x\na\n", "line 2: the row has not as many cells"),
        ("a.csv", b"other\n1\n", "row 1 has no 'device'; its columns are other"),
        ("a.csv", b"device\na\na\n", "row 2 has the 'device' of another row: 'a'"),
        ("a.csv", b"\xff\xfe", "can't decode"),
        ("a.json", b'{"a": 1}', "it must be a JSON list of objects"),
        ("a.json", b"[", "unexpected end of data"),
        ("a.txt", b"", "a look-up is a file that ends in one of .csv, .json, .db"),
        ("a.csv", b"x" * (4 << 20) + b"x", "at most 4194304 are read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(name, content, complaint):
    lookup = Lookup("assets", name, "device")
    with pytest.raises(ValueError, match=r"(?s).*") as error:
        version_of(lookup, read_rows(lookup, content))
    assert complaint in str(error.value)


def test_there_are_no_more_than_so_many_rows():
    with pytest.raises(ValueError, match="more than 100000 rows"):
        version_of(ASSETS, ({"device": number} for number in range(ROWS_MAX + 1)))


def test_a_row_is_what_holds_where_the_event_stands_in_the_log():
    engine, tape = engine_of_rule(), Tape()
    found = engine.feed(tape.event({"x": 9}, arrival=1))
    assert found == []  # nothing is known of the device
    engine.feed([version_batch(csv_of("device,limit,watched\nm1,5,true\n"))])
    found = engine.feed(tape.event({"x": 9}, arrival=2))
    assert [one.message for one in found] == ["4 over 5"]
    engine.feed([version_batch(csv_of("device,limit,watched\nm1,20,true\n"), 1, 9)])
    assert steps(engine.feed(tape.event({"x": 9}, arrival=3))) == [("cleared", 3)]
    engine.feed([version_batch(csv_of("device,limit,watched\nm1,5,false\n"), 2, 10)])
    assert engine.feed(tape.event({"x": 9}, arrival=4)) == []


def test_versions_of_others_don_t_count():
    engine = engine_of_rule()
    engine.feed([version_batch(csv_of("device,limit\nm1,5\n"), client="mallory")])
    assert set(engine.versions) == {"$tags", "$twin"}


def test_what_holds_survives_a_restart():
    engine, tape, table = engine_of_rule(), Tape(), {}
    engine.feed([version_batch(csv_of("device,limit,watched\nm1,5,true\n"))])
    save(engine, table)
    again = engine_of_rule()
    assert again.restore(sorted(table.items())) == []
    assert again.versions == engine.versions
    assert [one.message for one in again.feed(tape.event({"x": 6}, arrival=2))] == ["1 over 5"]
    assert not [name for name, _ in again.snapshot() if name.startswith("lookup/")]


def test_an_inventory_follows_its_look_up():
    rules = parse_rules(RULE.replace("file: assets.csv", "file: assets.db"))
    engine, tape = Engine(rules.rules, rules.inventories), Tape()
    engine.feed([version_batch(Version("assets", "1", {"m1": {}, "m2": {}}))])
    engine.feed(tape.tick(1_000))
    engine.feed([version_batch(Version("assets", "2", {"m2": {}, "m3": {}}), 1, 2, 1_500)])
    engine.feed(tape.tick(2_000))
    found = [(one.key, one.event) for one in engine.feed(tape.tick(3_700_000))]
    assert found == [("m2", "raised"), ("m3", "raised")]
