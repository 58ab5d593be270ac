from __future__ import annotations

import re
from pathlib import Path

import pytest

from firmware_sim.battery import BatterySpec
from firmware_sim.faults import FaultKind, FaultSpec
from firmware_sim.loader import (
    ScenarioUnknown,
    find_scenario,
    load_scenario,
    read_scenario,
    shipped_scenarios,
)
from firmware_sim.scenario import FieldType
from firmware_sim.signal_loader import READERS
from firmware_sim.signals import Constant
from firmware_sim.timepiece import TimepieceSpec
from gateway.documents import parse_document
from gateway.errors import DocumentInvalid

GUIDE = Path(__file__).parents[2] / "docs" / "simulator.md"
WHOLE = """\
version: 1
scenario: tiny
title: A tiny fleet
why: To be read.
devices: 3
duration: 5s
boot_within: 1s
kinds:
  - kind: pump
    share: 2
    device: p{number}
    topic: plant/{device}/{kind}
    rate: 2.5
    qos: 0
    link:
      {keep_alive: 20s, in_flight: 5, buffer: 50, back_off_first: 1s, back_off_most: 9s}
    fields:
      pressure: {constant: 4, decimals: 1}
      running: {constant: 1, as: boolean}
      site: {text: north}
    faults:
      - {fault: radio_loss, every: 10s, for: 2s, share: 0.5}
"""
KIND = (
    "version: 1\nscenario: x\nkinds:\n  - {kind: a, topic: 't/{device}', rate: 1, fields: {}, %s}\n"
)


def read(text):
    return read_scenario(parse_document(text, "s.yaml"))


def complaints(text):
    with pytest.raises(DocumentInvalid) as caught:
        read(text)
    return str(caught.value).splitlines()


def test_a_scenario_is_read_as_it_is_written():
    scenario = read(WHOLE)
    (kind,) = scenario.kinds
    assert (scenario.name, scenario.devices, scenario.duration_ms) == ("tiny", 3, 5_000)
    assert (kind.device_name(0), kind.topic("p1"), kind.rate_hz) == ("p1", "plant/p1/pump", 2.5)
    assert (kind.qos, kind.link.in_flight_max, kind.link.buffer_max) == (0, 5, 50)
    assert (kind.link.keep_alive_s, kind.link.back_off_most_ms) == (20, 9_000)
    assert kind.faults == (FaultSpec(FaultKind.RADIO_LOSS, 10_000, 2_000, 0.5),)
    pressure, running, site = kind.fields
    assert (pressure.signal, pressure.decimals) == (Constant(4.0), 1)
    assert running.field_type is FieldType.BOOLEAN
    assert site.text == "north"


@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_loads_under_its_own_name(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.title
    assert scenario.why
    assert len({member.name for member in scenario.members(scenario.devices)}) == scenario.devices


def test_the_demo_publishes_what_the_shipped_rules_read():
    topics = {
        kind.topic_template: [f.name for f in kind.fields] for kind in load_scenario("demo").kinds
    }
    assert topics == {
        "greenhouse/{device}/climate": ["temperature", "humidity"],
        "pumps/{device}/status": ["pressure", "flow", "vibration", "running"],
        "trucks/{device}/cargo": ["temperature", "door_open"],
    }


def test_a_file_is_found_by_its_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(WHOLE)
    assert load_scenario(str(path)).name == "tiny"
    assert find_scenario("demo").name == "demo.yaml"


def test_an_unknown_scenario_gets_a_hint():
    with pytest.raises(ScenarioUnknown, match=r"demmo: no such scenario.*did you mean 'demo'"):
        load_scenario("demmo")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(DocumentInvalid, match=r"nowhere\.yaml:1:1: can't be read"):
        load_scenario("nowhere.yaml")


def test_the_scenario_of_the_guide_loads_and_the_guide_names_every_word():
    guide = GUIDE.read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", guide, re.S)
    assert len(read(example).kinds) == 2
    words = [*READERS, *(kind.value for kind in FaultKind)]
    assert [word for word in words if f"| `{word}" not in guide] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version: 1\nscenario: x\n", "s.yaml:1:1: missing key 'kinds'"),
        ("version: 2\nscenario: x\nkinds: []\n", "s.yaml:1:10: version must be 1"),
        ("version: 1\nscenario: x\nkinds: []\n", "s.yaml:3:8: 'kinds' needs at least one"),
        (WHOLE + "color: red\n", "s.yaml:23:1: unknown key 'color'"),
        (WHOLE.replace("duration: 5s", "duration: 5"), "s.yaml:6:11: '5' is not a duration"),
        (WHOLE.replace("rate: 2.5", "rate: 0"), "s.yaml:13:11: 'rate' is 0 Hz; it must be above"),
        (WHOLE.replace("rate: 2.5", "rate: 5000"), "'rate' is 5000; it must be at most 1000"),
        (WHOLE.replace("qos: 0", "qos: 3"), "'qos' is 3"),
        (WHOLE.replace("    rate: 2.5\n", ""), "s.yaml:9:5: missing key 'rate'"),
        (WHOLE.replace("rate:", "rat:"), "unknown key 'rat', did you mean 'rate'?"),
        (WHOLE.replace("{device}/", ""), "s.yaml:12:12: 'topic' must contain {device}"),
        (WHOLE.replace("{device}", "{devise}"), "unknown name '{devise}', did you mean 'device'?"),
        (WHOLE.replace("{device}/", "{device!r}/"), "in braces stand plain names"),
        (WHOLE.replace("{device}/", "{device/"), "'topic' can't be read"),
        (WHOLE.replace("plant/", "plant/+/"), "has a wildcard"),
        (WHOLE.replace("plant/", "$SYS/"), "topics that begin with '$' belong to the server"),
        (WHOLE.replace("p{number}", "pump"), "'device' must contain {number}"),
        (WHOLE.replace("p{number}", "p/{number}"), "'device' is one level of a topic"),
        (WHOLE.replace("p{number}", "p" * 200 + "{number}"), "'device' is longer than 128 bytes"),
        (WHOLE.replace("share: 2", "share: 0"), "'share' is 0"),
        (WHOLE.replace("share: 2", "share: 2\n    count: 2"), "write 'count' or 'share', not both"),
        (WHOLE.replace("pressure:", "seq:"), "s.yaml:18:7: 'seq' is in every payload already"),
        (WHOLE.replace("as: boolean", "as: boolen"), "'boolen' is not one of"),
        (
            WHOLE.replace("as: boolean", "as: boolean, decimals: 1"),
            "'decimals' is for numbers only",
        ),
        (WHOLE.replace("text: north", "text: north, noise: 1"), "unknown key 'noise'"),
        (WHOLE.replace("keep_alive: 20s", "keep_alive: 1d"), "'keep_alive' is at most 65535s"),
        (WHOLE.replace("back_off_first: 1s", "back_off_first: 10s"), "is above 'back_off_most'"),
        (WHOLE.replace("buffer: 50", "buffer: 0"), "'buffer' is 0; it must be at least 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, complaint):
    assert any(complaint in line for line in complaints(text))


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("{fault: reconect, every: 9s}", "did you mean 'reconnect'?"),
        ("{fault: reconnect}", "missing key 'every'"),
        ("{fault: reconnect, every: 9s, for: 1s}", "happens at one moment and has no 'for'"),
        ("{fault: silence, every: 9s}", "'silence' needs a 'for'"),
        ("{fault: silence, every: 9s, for: 5s}", "'for' must be at most half of 'every'"),
        ("{fault: silence, every: 1ms, for: 0s}", "'every' is 1ms; it must be at least 10 ms"),
        ("{fault: silence, every: 9s, for: 1s, share: 2}", "'share' is 2"),
        ("{fault: silence, every: 9s, for: 1s, by: 1h}", "unknown key 'by'"),
        ("{fault: clock_jump, every: 9s, for: 1s}", "'clock_jump' needs a 'by'"),
        ("{fault: clock_jump, every: 9s, for: 1s, by: 5}", "'clock_jump' needs a 'by'"),
        ("{fault: clock_jump, every: 9s, for: 1s, by: 99999d}", "'clock_jump' needs a 'by'"),
    ],
)
def test_faults_that_contradict_themselves_are_named(fault, complaint):
    assert any(complaint in line for line in complaints(KIND % f"faults: [{fault}]"))


def test_kinds_need_names_of_their_own_and_one_way_to_be_counted():
    two = WHOLE + WHOLE[WHOLE.index("  - kind") :].replace("share: 2", "count: 2")
    found = complaints(two)
    assert any("duplicate kind 'pump'" in line for line in found)
    assert any("either every kind has a 'count' or none has" in line for line in found)


def test_every_error_of_a_file_is_found_in_one_pass():
    wrong = WHOLE.replace("rate: 2.5", "rate: -1").replace("qos: 0", "qos: x")
    wrong = wrong.replace("constant: 4", "constnt: 4")
    assert [line.split(":")[1] for line in complaints(wrong)] == ["13", "14", "18"]


def test_a_fault_that_needs_acknowledgements_needs_qos_1():
    text = KIND % "qos: 0, faults: [{fault: resend, every: 9s, for: 1s}]"
    assert any("'resend' loses acknowledgements, and QoS 0 has none" in c for c in complaints(text))


def test_faults_of_the_scenario_strike_every_kind():
    text = WHOLE + "faults:\n  - {fault: power_loss, every: 1m, for: 5s}\n"
    (kind,) = read(text).kinds
    assert kind.faults == (
        FaultSpec(FaultKind.POWER_LOSS, 60_000, 5_000, is_common=True),
        FaultSpec(FaultKind.RADIO_LOSS, 10_000, 2_000, 0.5),
    )


def test_clocks_and_batteries_are_read():
    text = KIND % (
        "clock: {error: 2s, drift_ppm: 50}, battery: {lasts: 1h, charge: 1m, per_message: 10ms}, "
        "faults: [{fault: clock_jump, every: 9s, for: 1s, by: -2h}]"
    )
    (kind,) = read(text).kinds
    assert kind.clock == TimepieceSpec(50.0, 2_000)
    assert kind.battery == BatterySpec(3_600_000, 60_000, 10)
    assert kind.faults[0].by_ms == -7_200_000


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ("battery: {lasts: 1h}", "missing key 'charge'"),
        ("battery: {lasts: 10ms, charge: 1s}", "'lasts' is 10ms; it must be at least"),
        ("battery: {lasts: 1s, charge: 1s, per_message: 1s}", "empties a battery at once"),
        ("clock: {drift_ppm: 1e9}", "'drift_ppm' is"),
        ("clock: {offset: 1s}", "unknown key 'offset'"),
    ],
)
def test_clocks_and_batteries_that_cannot_be_are_named(part, complaint):
    assert any(complaint in line for line in complaints(KIND % part))


def test_a_device_with_a_battery_has_no_other_field_of_that_name():
    text = (KIND % "battery: {lasts: 1h, charge: 1m}").replace(
        "fields: {}", "fields: {battery: {constant: 1}}"
    )
    assert any("'battery' is in every payload" in line for line in complaints(text))


def test_services_are_read_and_know_the_fields():
    text = WHOLE.replace(
        "    faults:",
        "    services:\n"
        "      twin: {thresholds: {most: {field: pressure, above: 5, shows: high}}}\n"
        "    faults:",
    )
    (kind,) = read(text).kinds
    assert [threshold.field for threshold in kind.services.twin.thresholds] == ["pressure"]
    for field in ("running", "site"):
        wrong = text.replace("field: pressure", f"field: {field}")
        assert any(f"no number '{field}'" in line for line in complaints(wrong))


def test_exactly_once_needs_qos_1():
    assert any("'exactly_once'" in line for line in complaints(KIND % "exactly_once: true, qos: 0"))
    assert read(KIND % "exactly_once: true").kinds[0].is_exactly_once
