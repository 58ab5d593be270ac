from pathlib import Path

import pytest

from gateway.errors import DocumentInvalid
from gateway.rules.features import FEATURES
from gateway.rules.loader import (
    load_rules,
    parse_rule_files,
    parse_rules,
    read_rule_files,
    rule_paths,
)
from gateway.rules.supported import SUPPORTED
from tests.harness.rule_files import complaints, load, load_one

SHIPPED = Path(__file__).parents[3] / "rules"

WITH_REFERENCES = """
version: 1
defaults:
  key: device
  time: {by: event, field: payload.ts, out_of_order: 5s, late: 2m, early: 5m, idle: 30s}
  on_unknown: reset
  state: {ttl: 7d, max_keys: 5000}
lookups:
  assets: {file: assets.csv, key: device, reload: 30s}
zones:
  yard: {circle: {lat: 50.45, lon: 30.52, radius_m: 250}}
schedules:
  office_hours: {days: [mon, tue, wed, thu, fri], from: "08:00", to: "18:00", timezone: Europe/Kyiv}
rules:
  - id: freezer-warm
    from: telemetry/+/freezer
    enrich: {asset: "assets[device]"}
    let: {over: payload.temperature - asset.limit}
    when: over > 0.0
    for: 10m
    time: {late: 1h}
    alarm:
      levels:
        - {severity: warning, when: over > 0.0}
        - {severity: critical, when: over > 5.0, for: 1m}
      message: "{device} is {over:.1f} C over its limit"
  - id: vehicle-in-yard
    from: telemetry/+/gps
    active: "!office_hours"
    when: inside(payload.lat, payload.lon, "yard")
    clear: "!inside(payload.lat, payload.lon, \\"yard\\")"
"""

# What the specification's own broken file must print (RULES.md, 3.6), and its like.
BROKEN = """\
version: 1
rules:
  - id: hot
    from: telemetry/+/boiler
    window: {slidding: 5m}
    aggregate: {avg: avg(payload.temperature)}
    when: avg >
    for: 5min
    alarm: {severity: mayor}
  - id: hot
    from: a/#/b
    when: payload.value > limit
    when: true
    colour: red
  - id: cold
    from: rule:hott
    key: [device, payloda.x]
    when: payload.x == 1 && 1 == true
    publish: {topic: a/+/b, qos: 5}
    suppress: {limit: 20/week}
"""


def test_every_mistake_of_a_file_is_told_with_its_place():
    with pytest.raises(DocumentInvalid) as caught:
        parse_rules(BROKEN, "bad.yaml", FEATURES)
    found = str(caught.value).splitlines()
    starts = [
        "bad.yaml:5:14: unknown key 'slidding', did you mean 'sliding'?",
        "bad.yaml:7:15: in 'when': syntax error near column 5 of the expression; expected one of "
        "['!', '(', '-', '[', 'a name', 'a number', 'a text', 'false', 'null', 'true']",
        "bad.yaml:8:10: '5min' is not a duration (write 30s, 5m, 1h30m, 7d)",
        "bad.yaml:9:23: 'mayor' is not one of",
        "bad.yaml:10:9: duplicate rule id 'hot'",
        "bad.yaml:11:11: 'a/#/b' is not a topic filter",
        "bad.yaml:12:27: in 'when': unknown name 'limit'",
        "bad.yaml:13:5: duplicate key 'when'",
        "bad.yaml:14:5: unknown key 'colour'",
        "bad.yaml:16:11: unknown rule 'hott', did you mean 'hot'?",
        "bad.yaml:17:19: in 'key': unknown name 'payloda', did you mean 'payload'?",
        "bad.yaml:18:29: in 'when': a number never equals true or false",
        "bad.yaml:19:22: a topic to publish to has no wildcards",
        "bad.yaml:19:34: 'qos' is 5; it must be at least 0 and at most 2",
        "bad.yaml:20:23: '20/week' is not a limit (write 20/h, 5/m, 1/s, 100/d)",
    ]
    assert len(found) == len(starts), found
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


def test_defaults_are_merged_key_by_key():
    rules = parse_rules(WITH_REFERENCES, "r.yaml", FEATURES)
    freezer, vehicle = rules.rules
    assert (freezer.time.late_ms, freezer.time.idle_ms) == (3_600_000, 30_000)
    assert (vehicle.time.late_ms, vehicle.time.by) == (120_000, "event")
    assert vehicle.state.max_keys == 5000
    assert vehicle.condition.on_unknown == "reset"
    assert [expression.text for expression in vehicle.key] == ["device"]


def test_references_reach_every_rule():
    rules = parse_rules(WITH_REFERENCES, "r.yaml", FEATURES)
    assert set(rules.lookups) == {"assets"}
    assert set(rules.schedules) == {"office_hours"}
    assert rules.rules[1].active.evaluate({"office_hours": False}) is True
    where = {"payload": {"lat": 50.45, "lon": 30.52}}
    assert rules.rules[1].condition.when.evaluate(where) is True


def test_shipped_rules_are_right_and_run_here():
    rules = load_rules([SHIPPED])
    assert len(rules.rules) >= 18
    assert rules.warnings == ()
    demo = load_rules(sorted(path for path in SHIPPED.glob("*.yaml") if ".test" not in path.name))
    assert len(demo.rules) >= 3
    assert all(rule.publish and rule.alarm.message for rule in demo.rules)


def test_a_feature_that_the_engine_lacks_is_refused_at_its_key():
    text = "version: 1\nrules:\n  - {id: a, from: x, when: payload.x, clear_for: 5s}\n"
    parse_rules(text, "r.yaml", SUPPORTED | {"when", "clear_for"})
    with pytest.raises(DocumentInvalid) as caught:
        parse_rules(text, "r.yaml", frozenset({"when"}))
    assert str(caught.value) == (
        "r.yaml:3:39: 'clear_for' is part of the language, but this version doesn't run it yet"
    )


def test_ids_are_unique_across_files(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("version: 1\nrules:\n  - {id: x, from: t, when: true}\n")
    with pytest.raises(DocumentInvalid) as caught:
        load_rules([tmp_path])
    assert "b.yaml:3:10: duplicate rule id 'x', also in " in str(caught.value)
    assert "a.yaml:3" in str(caught.value)


def test_names_of_zones_are_unique_across_files(tmp_path):
    zone = "zones: {yard: {circle: {lat: 1, lon: 1, radius_m: 5}}}"
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\n{zone}\nrules: []\n")
    with pytest.raises(DocumentInvalid, match="'yard' is defined in two files"):
        load_rules([tmp_path])


def test_a_zone_of_one_file_serves_the_rules_of_another(tmp_path):
    zone = "zones: {yard: {circle: {lat: 1, lon: 1, radius_m: 5}}}"
    (tmp_path / "z.yaml").write_text(f"version: 1\n{zone}\nrules: []\n")
    rule = "{id: x, from: t, when: 'inside(1, 1, \"yard\")'}"
    (tmp_path / "a.yaml").write_text(f"version: 1\nrules: [{rule}]\n")
    (rule,) = load_rules([tmp_path]).rules
    assert rule.condition.when.evaluate({}) is True


def test_errors_of_several_files_come_together(tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nrules: [{id: x, from: t, when: y}]\n")
    (tmp_path / "b.yaml").write_text("version: 1\nrules: {\n")
    (tmp_path / "c.yaml").write_bytes(b"\xff")
    with pytest.raises(DocumentInvalid) as caught:
        load_rules([tmp_path, tmp_path / "none.yaml"])
    paths = [Path(found.path).name for found in caught.value.complaints]
    assert paths == ["a.yaml", "b.yaml", "c.yaml", "none.yaml"]


def test_tests_and_other_files_are_no_rule_files(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.yaml", "a.test.yaml", "notes.txt", "deep/b.yml", "deep/b.test.yml"):
        (tmp_path / name).write_text("version: 1\nrules: []\n")
    found = [path.relative_to(tmp_path).as_posix() for path in rule_paths([tmp_path, tmp_path])]
    assert found == ["a.yaml", "deep/b.yml"]


def test_an_empty_folder_is_an_empty_set(tmp_path):
    assert load_rules([tmp_path]).rules == ()


def test_geojson_is_read_beside_the_file(tmp_path):
    ring = "[[30,50],[31,50],[31,51],[30,51],[30,50]]"
    (tmp_path / "yard.json").write_text(f'{{"type": "Polygon", "coordinates": [{ring}]}}')
    (tmp_path / "a.yaml").write_text(
        "version: 1\nzones: {yard: {geojson: yard.json}, gone: {geojson: gone.json}}\nrules: []\n"
    )
    with pytest.raises(DocumentInvalid, match=r"'gone\.json' can't be read: No such file"):
        load_rules([tmp_path])
    (tmp_path / "gone.json").write_text('{"type": "Point"}')
    with pytest.raises(DocumentInvalid, match=r"'gone\.json' has no polygon"):
        load_rules([tmp_path])
    (tmp_path / "gone.json").write_text((tmp_path / "yard.json").read_text())
    assert load_rules([tmp_path]).zones["yard"].holds(50.5, 30.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: []\n", "missing key 'version'"),
        ("version: 2\nrules: []\n", "reads version 1"),
        ("version: 1\n", "missing key 'rules'"),
        ("version: 1\nrules: {}\n", "'rules' must be a list"),
        ("version: 1\nrules: [5]\n", "must be a mapping"),
        ("version: 1\nrulez: []\nrules: []\n", "unknown key 'rulez', did you mean 'rules'?"),
        ("- 1\n", "expected a mapping"),
    ],
)
def test_the_frame_of_a_file_is_checked(text, message):
    with pytest.raises(DocumentInvalid) as caught:
        parse_rules(text, "r.yaml", FEATURES)
    assert message in str(caught.value)


def test_columns_count_inside_quotes_and_not_inside_folded_text():
    assert complaints("- {id: a, from: t, when: 'payload.x > lim'}")[0].startswith("1:39: ")
    folded = """
        - id: a
          from: t
          when: >-
            payload.x >
            lim
        """
    assert complaints(folded)[0].startswith("3:9: in 'when': unknown name 'lim'")


def test_a_hash_tells_meaning_and_not_spelling():
    one = load_one("- {id: a, from: t, when: payload.x > 5, title: One}")
    same = load_one("- {title: Two, when: ( payload.x>5.0 - 0 ), id: a, from: [t]}")
    respelled = load_one("- {when: payload.x   >  5, tags: [x], id: a, from: [t]}")
    other = load_one("- {id: a, from: t, when: payload.x > 6}")
    assert one.source_hash == respelled.source_hash
    assert len({one.source_hash, same.source_hash, other.source_hash}) == 3


def test_warnings_point_and_stop_nothing():
    rules = load("- {id: a, from: t, when: payload.x > 80, clear: payload.x < 90}")
    (warning,) = rules.warnings
    assert (warning.line, warning.column) == (3, 51)
    assert "'when' and 'clear' can both be true" in warning.message


def test_texts_of_rule_files_are_read_as_if_they_stood_at_their_paths(tmp_path):
    for name in ("a", "b"):
        text = f"version: 1\nrules:\n  - {{id: {name}, from: p/#, when: payload.x > 1}}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    texts = read_rule_files([tmp_path])
    assert parse_rule_files(texts).digest == load_rules([tmp_path]).digest
    with pytest.raises(DocumentInvalid, match="nowhere"):
        read_rule_files([tmp_path / "nowhere.yaml"])
