import re
from pathlib import Path

import pytest

from gateway.documents import parse_document
from gateway.errors import DocumentInvalid
from gateway.rules.features import FEATURES
from gateway.rules.loader import parse_rules
from gateway.rules.schema import rules_schema
from tests.harness.json_schema import is_valid
from tests.harness.rule_files import rule_file

SHIPPED = sorted(
    path
    for path in (Path(__file__).parents[3] / "rules").rglob("*.yaml")
    if not path.name.endswith(".test.yaml")
)
SCHEMA = rules_schema()
RULE = SCHEMA["properties"]["rules"]["items"]


def properties(*path):
    """The properties of the block below a rule's keys."""
    schema = RULE
    for name in path:
        schema = schema["properties"][name]
        schema = schema.get("anyOf", [schema])[0]
        schema = schema.get("items", schema)
    return set(schema["properties"])


def known_keys(text):
    """The keys that the loader names when it meets one that it doesn't know."""
    with pytest.raises(DocumentInvalid) as caught:
        parse_rules(text, "r.yaml", FEATURES)
    lists = re.findall(r"unknown key 'qqqq'; known here: ([^\n]*)", str(caught.value))
    assert len(lists) == 1, str(caught.value)
    return set(lists[0].split(", "))


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ((), "qqqq: 1"),
        (("time",), "time: {qqqq: 1}"),
        (("state",), "state: {qqqq: 1}"),
        (("dedupe",), "dedupe: {qqqq: 1}"),
        (("join",), "join: {qqqq: 1}"),
        (("window",), "window: {qqqq: 1}"),
        (("repeat",), "repeat: {qqqq: 1}"),
        (("sequence",), "sequence: {qqqq: 1}"),
        (("sequence", "steps"), "sequence: {steps: [{qqqq: 1}]}"),
        (("absent",), "absent: {qqqq: 1}"),
        (("anomaly",), "anomaly: {qqqq: 1}"),
        (("alarm",), "alarm: {qqqq: 1}"),
        (("alarm", "levels"), "alarm: {levels: [{qqqq: 1}]}"),
        (("emit",), "emit: {qqqq: 1}"),
        (("emit", "rank"), "emit: {rank: {qqqq: 1}}"),
        (("publish",), "publish: {qqqq: 1}"),
        (("suppress",), "suppress: {qqqq: 1}"),
    ],
)
def test_the_schema_has_exactly_the_keys_that_the_loader_knows(path, rule):
    assert known_keys(rule_file(f"- {{id: a, from: t, {rule}}}")) == properties(*path)


@pytest.mark.parametrize(
    ("key", "block"),
    [
        ("defaults", "{qqqq: 1}"),
        ("lookups", "{a: {qqqq: 1}}"),
        ("zones", "{a: {qqqq: 1}}"),
        ("schedules", "{a: {qqqq: 1}}"),
    ],
)
def test_the_schema_has_the_keys_of_what_stands_beside_the_rules(key, block):
    schema = SCHEMA["properties"][key]
    schema = schema if "properties" in schema else schema["additionalProperties"]
    found = known_keys(f"version: 1\n{key}: {block}\nrules: []\n")
    assert found == set(schema["properties"])


def test_the_schema_has_the_keys_of_a_file():
    assert known_keys("version: 1\nrules: []\nqqqq: 1\n") == set(SCHEMA["properties"])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_are_as_the_schema_says(path):
    assert is_valid(SCHEMA, parse_document(path.read_text(), str(path)).node.plain())


@pytest.mark.parametrize(
    "rule",
    [
        "{id: A, from: t, when: true}",
        "{id: a, from: t, when: true, for: 5}",
        "{id: a, from: t, when: true, for: 5min}",
        "{id: a, from: t, when: true, alarm: {severity: mayor}}",
        "{id: a, from: t, window: {sliding: 5m}, aggregate: {x: mean(payload.x)}, when: x > 1}",
        "{id: a, from: t, when: true, publish: {topic: x, qos: 3}}",
        "{id: a, from: t, when: true, publish: {topic: x, on: [raise]}}",
        "{id: a, from: t, when: true, suppress: {limit: 20/w}}",
        "{id: a, from: t, absent: {expect: seen}}",
        "{id: a, from: t, absent: {for: 5m, expect: all}}",
        "{id: a, from: t, anomaly: {value: payload.x, method: magic}}",
        "{id: a, from: t, when: true, on_unknown: raise}",
        "{id: a, from: t, sequence: {within: 1m, steps: []}}",
    ],
)
def test_what_the_schema_refuses_the_loader_refuses_too(rule):
    text = rule_file(f"- {rule}")
    assert not is_valid(SCHEMA, parse_document(text, "r.yaml").node.plain())
    with pytest.raises(DocumentInvalid):
        parse_rules(text, "r.yaml", FEATURES)


@pytest.mark.parametrize(
    "rule",
    [
        "{id: a, from: t, when: true}",
        "{id: a, from: [t, rule:b], key: [], when: payload.x, tags: x, title: 5}",
        "{id: a, from: t, window: {count: 10, every: 5}, aggregate: {x: count()}, when: x > 1}",
        "{id: a, from: t, sequence: {within: 1m, steps: [{when: true}, {not: true, within: 5s}]}}",
        "{id: a, from: t, when: true, publish: [{topic: x, payload: {a: ['{device}', 5, true]}}]}",
        "{id: a, from: t, window: {tumbling: 5m}, aggregate: {n: count()}, "
        "emit: {stream: x, fields: {y: ts}, rank: {by: n, take: 3}}}",
    ],
)
def test_what_the_loader_takes_the_schema_takes_too(rule):
    text = rule_file(f"- {rule}\n- {{id: b, from: t, emit: {{stream: s}}}}")
    parse_rules(text, "r.yaml", FEATURES)
    assert is_valid(SCHEMA, parse_document(text, "r.yaml").node.plain())
