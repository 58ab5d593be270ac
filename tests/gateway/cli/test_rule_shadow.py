from __future__ import annotations

import json
import signal
import subprocess

import pytest

from gateway.cli.replay import Wish
from gateway.cli.rule_diffs import DiffWish
from gateway.cli.rule_shadow import Shadow
from gateway.cli.shadow_beginnings import Beginning
from gateway.clock import ManualClock
from gateway.events import Origin, RecordBatch, Run
from gateway.rules import Engine, Transition, parse_rules
from gateway.store import Place
from tests.harness.gateway_process import (
    GatewayProcess,
    environment_of,
    penstock,
    run_penstock,
)
from tests.harness.log_reader import read_log
from tests.harness.raw_client import connected
from tests.harness.waiting import wait_for

START_MS = 1_700_000_000_000
RULES = """
version: 1
rules:
  - {id: hot, from: plant/+, when: payload.x > 5}
  - {id: cold, from: plant/+, when: payload.x < 0}
"""
NEW = RULES.replace("> 5", "> 7")


class Watch:
    """A shadow that is fed by hand, beside an engine with the running rules."""

    def __init__(self, running, shadowed, beginning=None):
        self.clock = ManualClock(START_MS)
        rules = parse_rules(shadowed)
        wish = Wish((), Place("latest"), Place("latest"))
        engine = Engine(rules.rules, rules.inventories)
        asked = DiffWish(wish, rules, None, 10_000)
        self.shadow = Shadow(asked, engine, self.clock, as_json=True)
        self.shadow.begin(beginning or Beginning({}, {}))
        self._running = Engine(parse_rules(running).rules)
        self._commit_no = 0
        self._offsets = {}

    def feed(self, stream, payload, topic="plant/m1", client="c"):
        run = Run(stream, 0, client, self.clock.now_ms(), [Origin(topic, "m1")], [payload], b"\0")
        offset = self._offsets.get(stream, 0)
        self._offsets[stream] = offset + 1
        self._commit_no += 1
        batch = RecordBatch(stream, 0, offset, self._commit_no, [run])
        self.shadow.take([batch])
        return batch

    def reading(self, value):
        batch = self.feed("telemetry", json.dumps({"x": value}).encode())
        for output in self._running.feed([batch]):
            if isinstance(output, Transition):
                self.feed("alerts", output.encode(), output.topic, "$rules")
        self.clock.advance(1_000)

    def sums(self, capsys):
        self.shadow.print_sums()
        return json.loads(capsys.readouterr().out)["summary"]


def test_a_shadow_of_the_same_rules_differs_in_nothing(capsys):
    watch = Watch(RULES, RULES)
    for value in (1, 6, 9, 3, 8, -1, 2):
        watch.reading(value)
    found = watch.sums(capsys)
    assert found["hot"] == {
        "old": 2, "new": 2, "same": 2, "shifted": 0, "only_old": 0, "only_new": 0,
    }  # fmt: skip
    assert found["cold"]["same"] == 1


def test_another_threshold_shows_as_alarms_that_are_missing_and_shifted(capsys):
    watch = Watch(RULES, NEW)
    for value in (1, 6, 3, *[1] * 20, 6, 9, 3):
        watch.reading(value)
    found = watch.sums(capsys)["hot"]
    assert (found["only_old"], found["shifted"], found["only_new"]) == (1, 1, 0)


def test_what_the_gateway_said_about_earlier_records_does_not_count(capsys):
    watch = Watch(RULES, NEW, Beginning({}, {("telemetry", 0): 3}))
    for value in (1, 6, 3):
        watch.reading(value)
    assert watch.sums(capsys)["hot"]["old"] == 0


def test_alarms_that_are_up_at_the_beginning_are_up_on_both_sides(capsys):
    engine = Engine(parse_rules(RULES).rules)
    batch_of = Watch(RULES, RULES)
    engine.feed([batch_of.feed("telemetry", b'{"x": 9}')])
    entries = [entry for entry in engine.snapshot() if entry[1] is not None]
    watch = Watch(RULES, NEW, Beginning({}, {}, sorted(entries)))
    watch.reading(9)
    found = watch.sums(capsys)["hot"]
    assert (found["old"], found["new"]) == (2, 1)  # the fresh running engine raises it again


def test_silence_is_noticed_without_a_tick_of_the_gateway(capsys):
    absent = """
version: 1
rules:
  - {id: gone, from: plant/+, absent: {for: 5s}}
"""
    watch = Watch("version: 1\nrules: []\n", absent)
    watch.reading(1)
    watch.shadow.notice_silence()
    watch.clock.advance(7_500)
    watch.shadow.notice_silence()
    assert watch.sums(capsys)["gone"]["only_new"] == 1


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shadow")
    (folder / "rules.yaml").write_text(RULES)
    (folder / "new.yaml").write_text(NEW)
    with GatewayProcess(folder / "data", rules=folder / "rules.yaml") as running:
        yield running


class ShadowProcess:
    """The command as its users run it, until they interrupt it."""

    def __init__(self, gateway):
        folder = gateway.data.parent
        self._output, self._errors = folder / "shadow.output", folder / "shadow.errors"
        place = (folder / "new.yaml", "--data", gateway.data, "--tolerance", "1s")
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self._child = subprocess.Popen(
                penstock("rules", "shadow", *place),
                stdout=output,
                stderr=errors,
                env=environment_of(),
            )

    @property
    def lines(self):
        return self._output.read_text().splitlines()

    def __enter__(self):
        wait_for(lambda: "2 rules in shadow" in self._errors.read_text(), "it", seconds=30)
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()

    def wait_for_line(self, text):
        wait_for(lambda: any(text in line for line in self.lines), text, seconds=30)

    def interrupt(self):
        self._child.send_signal(signal.SIGINT)
        assert self._child.wait(20) == 0, self._errors.read_text()
        return self.lines


def test_rules_run_in_shadow_beside_a_gateway_until_they_are_interrupted(gateway):
    with connected(gateway.port, "pumps") as client:
        client.publish("plant/p0", b'{"x": 1}')
        with ShadowProcess(gateway) as shadow:
            client.publish("plant/p1", b'{"x": 6}')
            client.publish("plant/p2", b'{"x": 9}')
            shadow.wait_for_line("hot  p1")
            line, title, hot, cold, *_ = shadow.interrupt()
    assert line.startswith("- ")
    assert line.endswith("hot  p1  warning  still up")
    assert title.split() == ["rule", "old", "new", "same", "shifted", "only", "old", "only", "new"]
    assert hot.split() == ["hot", "2", "1", "1", "0", "1", "0"]
    assert cold.split() == ["cold", "0", "0", "0", "0", "0", "0"]
    assert len(read_log(gateway.data, "alerts")) == 2  # the shadow has written nothing


def test_a_shadow_ends_when_its_time_is_over_and_may_begin_earlier(gateway):
    new = gateway.data.parent / "new.yaml"
    place = ("--data", gateway.data, "--from", "earliest", "--for", "1s", "--json")
    found = run_penstock("rules", "shadow", new, *place)
    assert found.returncode == 0, found.stderr
    *changes, summary = map(json.loads, found.stdout.splitlines())
    assert [(one["change"], one["key"]) for one in changes] == [("only_old", "p1")]
    assert summary["summary"]["hot"]["same"] == 1


def test_a_shadow_begins_with_the_alarms_of_the_gateway(gateway):
    assert gateway.terminate() == 0
    gateway.start()
    with connected(gateway.port, "pumps") as client, ShadowProcess(gateway) as shadow:
        client.publish("plant/p2", b'{"x": 9}')
        client.publish("plant/p1", b'{"x": 6}')
        shadow.wait_for_line("hot  p1")
        line, _, hot, *_ = shadow.interrupt()
    assert line.startswith("~ ")
    assert line.endswith("was still up")
    assert hot.split() == ["hot", "2", "2", "1", "1", "0", "0"]


def test_spans_are_durations(tmp_path):
    (tmp_path / "new.yaml").write_text(NEW)
    for option in ("--for", "--tolerance"):
        found = run_penstock("rules", "shadow", tmp_path / "new.yaml", option, "soon")
        assert (found.returncode, found.stderr.count("\n")) == (2, 1)
