from pathlib import Path

import pytest

from gateway.documents import parse_document
from gateway.errors import DocumentInvalid
from gateway.rules.trials.reading import parse_trials
from gateway.rules.trials.schema import trials_schema
from tests.harness.json_schema import is_valid

SHIPPED = sorted((Path(__file__).parents[4] / "rules").rglob("*.test.yaml"))
HEAD = "rules: [a.yaml]\ncases:\n"


def complaints_of(text):
    with pytest.raises(DocumentInvalid) as caught:
        parse_trials(text, "t.test.yaml")
    return [str(complaint) for complaint in caught.value.complaints]


def test_a_case_is_read_with_its_times_after_the_start():
    file = parse_trials(
        HEAD
        + """
  - name: one
    start: 2026-01-01T00:00:00Z
    input: [{topic: t, at: 1m}]
    expect:
      - {at: 5s, rule: a, state: idle}
      - {within: [1s, 2s], rule: a, key: 7, event: raised, severity: major, n: 1, times: 2}
      - {within: 3s, publish: x/y, payload: {a: 1}}
    expect_no: [{rule: b}]
""",
        "t.test.yaml",
    )
    (trial,) = file.trials
    assert (file.rules, trial.start_ms, trial.until_ms) == (("a.yaml",), 1_767_225_600_000, 60_000)
    told = [(e.about, e.start_ms, e.end_ms, e.is_forbidden, e.times) for e in trial.expectations]
    assert told == [
        ("state", 5_000, 5_000, False, None),
        ("step", 1_000, 2_000, False, 2),
        ("publication", 0, 3_000, False, None),
        ("step", 0, None, True, None),
    ]
    assert trial.expectations[1].fields["key"] == "7"


def test_every_mistake_of_a_file_is_told_at_once():
    found = complaints_of(
        """rules: [a.yaml]
casess: []
cases:
  - name: one
    start: soon
    until: 5min
    expect: [{at: 1s, state: idle}, {rule: a, evnt: raised}, {event: rissen}]
  - name: one
    input: [{topic: t, at: 1h}]
    until: 1s
    expect:
      - {at: 1s, within: 2s, rule: a}
      - {within: [2s, 1s], rule: a}
      - {within: soon, rule: a}
      - {rule: a, payload: {x: 1}}
      - {publish: t, rule: a}
      - {}
  - {name: three}
"""
    )
    said = "\n".join(found)
    for part in (
        "2:1: unknown key 'casess', did you mean 'cases'?",
        "5:12: 'start' is an ISO time",
        "6:12: '5min' is not a duration",
        "'state' needs 'at' and 'rule'",
        "unknown key 'evnt', did you mean 'event'?",
        "'rissen' is not one of raised",
        "8:11: duplicate case 'one'",
        "'until' lies before the last input",
        "either 'at' or 'within', not both",
        "'within' is one duration, or two in order",
        "'soon' is not a duration",
        "'payload' has no place here: it goes with 'publish' or 'stream'",
        "'rule' has no place here: not with 'publish'",
        "an expectation says what",
        "18:5: a case expects something",
    ):
        assert part in said, part


def test_a_file_without_cases_is_refused():
    assert complaints_of("version: 2\nrules: []\ncases: []\n") == [
        "t.test.yaml:1:10: this program reads version 1 of test files",
        "t.test.yaml:3:8: 'cases' lists no case",
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_schema_takes_what_ships(path):
    assert is_valid(trials_schema(), parse_document(path.read_text(), path.name).node.plain())


def test_the_schema_refuses_what_the_reader_refuses():
    good = {"rules": ["a"], "cases": [{"name": "x", "expect": [{"rule": "a"}]}]}
    assert is_valid(trials_schema(), good)
    assert not is_valid(trials_schema(), {**good, "casess": []})
    bad = {"name": "x", "input": [{"topic": "t", "payloads.x": 1}]}
    assert not is_valid(trials_schema(), {**good, "cases": [bad]})
