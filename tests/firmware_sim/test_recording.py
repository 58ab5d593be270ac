from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.recording import Recording, RecordingInvalid, parse_cell, parse_time_ms

CSV = "timestamp,value,name\n2013-12-02 21:15:00,73.96732207,a\n2013-12-02 21:20:00,-4,\n"
JSON_LINES = (
    '{"timestamp":1386018900,"value":{"deep":[1]}}\n\n{"timestamp":1386018900500,"value":null}\n'
)
FIRST_MS = 1_386_018_900_000


def recording(tmp_path, text, *, name="r.csv", topic="t", column="timestamp"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Recording(path, topic, column)


def payloads(found):
    return [orjson.loads(row.payload) for row in found.rows()]


def test_a_csv_row_becomes_json_with_numbers_as_numbers(tmp_path):
    found = recording(tmp_path, CSV)
    assert payloads(found) == [
        {"timestamp": "2013-12-02 21:15:00", "value": 73.96732207, "name": "a", "ts": FIRST_MS},
        {"timestamp": "2013-12-02 21:20:00", "value": -4, "name": None, "ts": FIRST_MS + 300_000},
    ]


def test_json_lines_keep_their_values_and_get_the_time(tmp_path):
    found = recording(tmp_path, JSON_LINES, name="r.jsonl")
    assert payloads(found) == [
        {"timestamp": 1_386_018_900, "value": {"deep": [1]}, "ts": FIRST_MS},
        {"timestamp": 1_386_018_900_500, "value": None, "ts": FIRST_MS + 500},
    ]


@pytest.mark.parametrize(("name", "text"), [("r.csv.gz", CSV), ("r.jsonl.gz", JSON_LINES)])
def test_packed_files_are_read_like_plain_ones(tmp_path, name, text):
    plain = recording(tmp_path, text, name=name.removesuffix(".gz"))
    packed = recording(tmp_path, gzip.compress(text.encode(), mtime=0), name=name)
    assert list(packed.rows()) == list(plain.rows())


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert recording(tmp_path, b"\xef\xbb\xbf" + CSV.encode()).survey().rows == 2


def test_a_survey_counts_rows_and_spans_their_time(tmp_path):
    assert recording(tmp_path, CSV).survey() == (2, FIRST_MS, FIRST_MS + 300_000)


def test_columns_may_stand_in_the_topic(tmp_path):
    text = "ts,machine,line\n1,m1,7\n2,m2,8\n"
    found = recording(tmp_path, text, topic="plant/{line}/{machine}/t", column="ts")
    assert [row.topic for row in found.rows()] == ["plant/7/m1/t", "plant/8/m2/t"]


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        (CSV, {"column": "when"}, "r.csv:2: no time column 'when'; it has timestamp, value, name"),
        (CSV, {"column": "timestmp"}, "did you mean 'timestamp'?"),
        (CSV.replace("21:20", "25:20"), {}, "r.csv:3: '2013-12-02 25:20:00' is not a time"),
        (CSV + "2013-12-02 21:25:00,5\n", {}, "r.csv:4: 2 cells where the header has 3"),
        (CSV + '2013-12-02 21:25:00,"5"x,\n', {}, "r.csv:4: not CSV"),
        (CSV.replace("name", "ts"), {}, "the column 'ts' would be overwritten"),
        (CSV.replace("name", "value"), {}, "r.csv:1: every column needs a name of its own"),
        (CSV.replace("name", ""), {}, "r.csv:1: every column needs a name of its own"),
        ("", {}, "holds no rows"),
        ("timestamp,value\n", {}, "holds no rows"),
        (b"timestamp,value\n2013-12-02,\xff\n", {}, "is not UTF-8 text"),
        (CSV, {"topic": "a/{nme}"}, "no column 'nme' for the topic, did you mean 'name'?"),
        (CSV, {"topic": "{name}"}, "r.csv:3"),
        ("timestamp,name\n1,a+b\n", {"topic": "x/{name}"}, "has a wildcard"),
        ("{}\n", {"name": "r.jsonl"}, "r.jsonl:1: no time column 'timestamp'"),
        ("[]\n", {"name": "r.jsonl"}, "r.jsonl:1: expected a JSON object"),
        ("\n{\n", {"name": "r.jsonl"}, "r.jsonl:2: not JSON"),
        (gzip.compress(CSV.encode(), mtime=0)[:-9], {"name": "r.csv.gz"}, "can't be read"),
        (b"\x1f\x8b" + b"x" * 40, {"name": "r.csv.gz"}, "can't be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, options, complaint):
    if complaint == "r.csv:3":
        text = text.replace("-4,", "-4,+")
    with pytest.raises(RecordingInvalid) as caught:
        recording(tmp_path, text, **options).survey()
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("topic", "complaint"),
    [("", "empty"), ("a/+", "has a wildcard"), ("a/{b", "can't be read")],
)
def test_a_topic_that_can_not_be_is_refused_at_once(tmp_path, topic, complaint):
    with pytest.raises(RecordingInvalid, match=complaint):
        recording(tmp_path, CSV, topic=topic)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordingInvalid, match="can't be read: No such file"):
        Recording(tmp_path / "nowhere.csv", "t", "timestamp").survey()


@given(st.one_of(st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False, width=64)))
def test_what_json_writes_as_a_number_is_read_as_that_number(number):
    text = json.dumps(number)
    expected = number if abs(number) != float("inf") else text
    assert parse_cell(text) == expected


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", None),
        ("007", "007"),
        ("+5", "+5"),
        (" 5", " 5"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("true", "true"),
        ("5.", "5."),
        ("1E3", 1000.0),
        ("12345678901234567890", 12345678901234567890.0),
    ],
)
def test_cells_that_only_look_like_numbers_stay_text(text, cell):
    assert parse_cell(text) == cell


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_without_an_offset_is_utc(time_ms):
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)
    naive = moment.replace(tzinfo=None)
    assert parse_time_ms(str(naive)) == time_ms
    assert parse_time_ms(naive.isoformat() + "Z") == time_ms


@pytest.mark.parametrize(
    ("cell", "time_ms"),
    [
        ("2013-12-02T21:15:00+02:00", FIRST_MS - 7_200_000),
        ("2013-12-02", 1_385_942_400_000),
        (1_386_018_900, FIRST_MS),
        (1_386_018_900.25, FIRST_MS + 250),
        (1_386_018_900_250, FIRST_MS + 250),
        ("yesterday", None),
        (None, None),
        (True, None),
        (1e300, None),
    ],
)
def test_times_are_read_as_people_write_them(cell, time_ms):
    assert parse_time_ms(cell) == time_ms


def test_columns_become_fields_under_their_new_names(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("timestamp,temp,hum,note\n5,20.5,40,x\n")
    found = Recording(path, "t/{note}", "timestamp", {"temp": "temperature", "hum": "hum"})
    (row,) = found.rows()
    assert row.topic == "t/x"
    assert orjson.loads(row.payload) == {"temperature": 20.5, "hum": 40, "ts": 5_000}


def test_a_field_without_its_column_is_named(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("timestamp,temp\n5,20.5\n")
    with pytest.raises(RecordingInvalid, match=r"r\.csv:2: no column 'tmp' for a field, did you"):
        list(Recording(path, "t", "timestamp", {"tmp": "t"}).rows())
