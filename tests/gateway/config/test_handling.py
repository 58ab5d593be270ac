from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import HandlerStreamUnknown, check_handlers, load_config
from gateway.errors import DocumentInvalid
from gateway.functions import FunctionSpec


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(f"version: 1\n{text}")
        return load_config(path)

    return load


def test_without_a_section_there_are_no_handlers(load):
    assert load("").handlers == ()


def test_everything_about_a_handler_can_be_set(load):
    (spec,) = load("""
handlers:
  folder: functions
  functions:
    - name: levels
      call: plant.levels:to_metres
      filter: plant/+/level
      stream: alerts
      where: payload.value > 3
      start: earliest
      concurrency: 3
      in_flight: 9
      time_limit: 2s
      memory: 64MiB
      tries: 2
      backoff: 10ms
      backoff_max: 1s
""").handlers
    assert spec.call == "plant.levels:to_metres"
    assert Path("functions") == Path(spec.folder.name)
    assert (spec.stream, spec.where, spec.start) == ("alerts", "payload.value > 3", "earliest")
    assert (spec.concurrency, spec.in_flight_max, spec.tries_max) == (3, 9, 2)
    assert (spec.time_limit_ms, spec.memory_bytes_max) == (2_000, 64 << 20)
    assert (spec.backoff_ms, spec.backoff_ms_max) == (10, 1_000)
    assert (spec.group, spec.client) == ("handler:levels", "$handler:levels")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("name: Levels!", "'Levels!' is not a name (small letters, digits, - and _"),
        ("call: levels", "'levels' is not a call (MODULE:FUNCTION, such as levels:to_metres)"),
        ("filter: a/#/b", "#"),
        ("filter: $share/g/a", "a handler takes plain filters"),
        ("where: payload.value >", "in 'where': "),
        ("concurrency: 0", "1"),
        ("tries: many", "'many' is not a whole number"),
        ("memory: 1MiB", "33554432"),
        ("tires: 3", "unknown key 'tires', did you mean 'tries'?"),
    ],
)
def test_each_mistake_is_one_complaint_with_its_place(load, line, complaint):
    key = line.partition(":")[0]
    lines = {"name": "name: a", "call": "call: m:f", "filter": "filter: '#'"} | {key: line}
    listed = "\n      ".join(lines.values())
    with pytest.raises(DocumentInvalid) as caught:
        load(f"handlers:\n  functions:\n    - {listed}\n")
    (found,) = caught.value.complaints
    assert complaint in found.message
    assert found.line == 4 + list(lines).index(key)


def test_what_is_missing_and_what_is_twice_there_is_said(load):
    with pytest.raises(DocumentInvalid) as caught:
        load("handlers:\n  functions:\n    - {name: a, call: m:f, filter: a}\n    - {name: a}\n")
    said = str(caught.value)
    assert "missing key 'call'" in said
    assert "missing key 'filter'" in said
    assert "duplicate handler name 'a'" in said


def test_a_handler_reads_a_stream_that_there_is():
    spec = FunctionSpec("a", "m:f", Path(), stream="telemetri")
    check_handlers([replace(spec, stream="alerts"), replace(spec, stream="power")], ["power"])
    with pytest.raises(HandlerStreamUnknown, match=r"'telemetri'.*'telemetry'\?"):
        check_handlers([spec], ["telemetry"])
