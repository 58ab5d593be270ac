from __future__ import annotations

import dataclasses
from itertools import pairwise

import orjson
import pytest

from firmware_sim.account import Ledger
from firmware_sim.battery import BatterySpec
from firmware_sim.device import CATCH_UP_MAX, Device, RunPlan
from firmware_sim.faults import FaultKind, FaultSpec
from firmware_sim.line import LineOptions, Phase
from firmware_sim.loader import load_scenario
from firmware_sim.scenario import Field, FieldType, Member
from firmware_sim.services import (
    CommandsSpec,
    ServicesSpec,
    ThresholdSpec,
    TwinSpec,
    UpdatesSpec,
)
from firmware_sim.signals import Constant
from gateway.mqtt import ProtocolVersion, Publish
from tests.firmware_sim.device_script import LINK, ROOMY, START_MS, DeviceScript, make_kind


def fault(kind, every_ms=10_000, lasts_ms=0):
    return FaultSpec(kind, every_ms, lasts_ms)


def test_readings_carry_time_and_sequence_numbers_on_a_grid():
    script = DeviceScript()
    script.run(1_000)
    assert script.seqs == list(range(10))
    times = [reading["ts"] for reading in script.readings]
    assert all(after - before == 100 for before, after in pairwise(times))
    assert START_MS <= times[0] < START_MS + 100
    assert [reading["value"] for reading in script.readings] == [at - START_MS for at in times]


def test_a_rate_that_divides_no_millisecond_keeps_its_count():
    script = DeviceScript(rate_hz=3.0)
    script.run(60_000)
    assert len(script.sent) == 180


def test_a_late_shell_changes_neither_values_nor_times():
    punctual, late = DeviceScript(link=ROOMY), DeviceScript(link=ROOMY)
    punctual.run(3_000)
    late.run(10)
    late.now_ms += 2_990
    for _ in range(3):
        late.perform(late.device.advance(late.now_ms))
    assert late.readings == punctual.readings


def test_a_shell_that_was_away_for_long_gets_its_readings_in_portions():
    script = DeviceScript(link=ROOMY)
    script.device.advance(START_MS + 60_000)
    assert script.account.tally.taken == CATCH_UP_MAX
    assert script.device.next_due_ms < START_MS + 60_000


def test_without_a_connection_readings_wait_and_the_oldest_make_room():
    script = DeviceScript()
    script.is_reachable = False
    script.run(2_000)
    assert script.sent == []
    script.is_reachable = True
    script.run(60_000)
    lost = script.account.tally.overflowed
    assert lost >= 10
    assert script.seqs == list(range(lost, script.account.tally.taken))


def test_the_buffer_never_exceeds_its_bound():
    script = DeviceScript()
    script.is_reachable = False
    for _ in range(50):
        script.run(100)
        assert script.device.publisher.outbox.waiting <= LINK.buffer_max


def test_what_is_unacknowledged_is_sent_again_with_dup_and_in_order():
    script = DeviceScript()
    script.acknowledges = False
    script.run(300)
    first = list(script.sent)
    assert len(first) == 3
    script.acknowledges = True
    script.break_connection()
    script.run(60)
    again = script.sent[3:6]
    assert again == [(seq, packet_id, True) for seq, packet_id, _ in first]


def test_a_reconnect_loses_nothing():
    script = DeviceScript([fault(FaultKind.RECONNECT, 1_000)])
    script.run(20_000)
    assert script.account.tally.faults["reconnect"] > 10
    script.perform(script.device.settle(script.now_ms))
    script.run(1_000)
    assert sorted(set(script.seqs)) == list(range(script.account.tally.taken))
    assert script.device.is_idle


def test_lost_acknowledgements_lead_to_repeats_with_the_same_identifiers():
    script = DeviceScript([fault(FaultKind.RESEND, 5_000, 350)])
    script.run(20_000)
    repeated = [(seq, packet_id) for seq, packet_id, dup in script.sent if dup]
    originals = [(seq, packet_id) for seq, packet_id, dup in script.sent if not dup]
    assert repeated
    assert set(repeated) <= set(originals)


def test_a_silent_device_takes_no_readings_and_stays_connected():
    script = DeviceScript([fault(FaultKind.SILENCE, 10_000, 4_000)])
    script.run(60_000)
    times = [reading["ts"] for reading in script.readings]
    gaps = [after - before for before, after in pairwise(times)]
    long = [gap for gap in gaps if gap > 100]
    assert long
    assert all(4_000 <= gap <= 4_200 for gap in long)
    assert all(gap % 100 == 0 for gap in gaps)
    assert script.device.publisher.line.connects == 1
    assert script.seqs == list(range(len(script.sent)))


def test_radio_loss_delays_readings_and_loses_none_that_fit():
    script = DeviceScript([fault(FaultKind.RADIO_LOSS, 20_000, 5_000)], link=ROOMY)
    script.run(60_000)
    script.perform(script.device.settle(script.now_ms))
    script.run(1_000)
    assert script.account.tally.faults["radio_loss"] >= 2
    assert script.account.tally.overflowed == 0
    assert sorted(set(script.seqs)) == list(range(script.account.tally.taken))


def test_a_half_open_connection_is_noticed_by_its_silence():
    script = DeviceScript([fault(FaultKind.HALF_OPEN, 30_000)])
    while script.account.tally.faults["half_open"] == 0:
        script.run(100)
    sent = len(script.sent)
    script.run(4_000)
    assert len(script.sent) == sent
    script.run(3_000)
    assert script.device.publisher.line.losses == 1
    assert any(dup for _, _, dup in script.sent)


def test_power_loss_forgets_the_session_and_keeps_the_flash():
    script = DeviceScript([fault(FaultKind.POWER_LOSS, 30_000, 3_000)], link=ROOMY)
    script.acknowledges = False
    while script.account.tally.faults["power_loss"] == 0:
        script.run(100)
    in_flight = {seq for seq, _, _ in script.sent[-4:]}
    sent = len(script.sent)
    script.acknowledges = True
    script.run(3_500)
    after = script.sent[sent:]
    assert in_flight <= {seq for seq, _, _ in after}
    assert not any(dup for _, _, dup in after)
    assert script.account.tally.repeats >= len(in_flight)


def test_a_fault_of_the_connection_spares_a_device_without_one():
    script = DeviceScript([fault(FaultKind.RECONNECT, 1_000)])
    script.is_reachable = False
    script.run(5_000)
    assert script.account.tally.faults["reconnect"] == 0


def test_a_settled_device_takes_no_more_and_comes_back_at_once():
    script = DeviceScript([fault(FaultKind.RADIO_LOSS, 20_000, 9_000)])
    while script.device.phase is not Phase.RESTING or script.account.tally.taken == 0:
        script.run(50)
    script.run(500)
    taken = script.account.tally.taken
    script.perform(script.device.settle(script.now_ms))
    script.run(1)
    assert script.device.phase is Phase.UP
    assert script.device.is_idle
    script.run(60_000)
    assert script.account.tally.taken == taken
    assert script.device.next_due_ms is None


def test_a_closed_device_is_never_due_again():
    script = DeviceScript([fault(FaultKind.RECONNECT, 1_000)])
    script.run(500)
    script.device.close(script.now_ms)
    assert script.device.next_due_ms is None


def test_every_reading_is_acknowledged_whatever_befell_the_device():
    faults = [fault(kind, 15_000, 1_000) for kind in FaultKind]
    script = DeviceScript(faults, link=ROOMY)
    script.run(200_000)
    script.perform(script.device.settle(script.now_ms))
    script.run(30_000)
    tally = script.account.tally
    assert set(tally.faults) == {kind.value for kind in FaultKind}
    assert tally.acknowledged == tally.taken == tally.published
    assert sorted(set(script.seqs)) == list(range(tally.taken))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("x", Constant(2.3456)), 2.35),
        (Field("x", Constant(-0.001)), 0.0),
        (Field("x", Constant(2.6), FieldType.INTEGER), 3),
        (Field("x", Constant(0.6), FieldType.BOOLEAN), True),
        (Field("x", Constant(0.0), text="north"), "north"),
    ],
)
def test_fields_are_written_as_their_type_says(field, value):
    kind = dataclasses.replace(make_kind(), fields=(field,))
    script = DeviceScript()
    member = next(load_scenario("demo").members(1))._replace(kind=kind, name="pump-1")
    account = Ledger(keeps_readings=True).open_account("pump-1")
    script.device = Device(member, RunPlan(1, START_MS), LineOptions("pump-1"), account)
    script.run(200)
    shown = script.readings[0]["x"]
    assert shown == value
    assert type(shown) is type(value)
    assert str(shown) != "-0.0"


def ended(script, ms=60_000):
    """Run a device under its faults, then bring everything out."""
    script.run(ms)
    script.perform(script.device.settle(script.now_ms))
    script.run(30_000)
    assert script.device.is_idle
    return script


def stored(script):
    """The account when the log has just what was sent."""
    for _, payload in script.payloads:
        script.ledger.stored("pump-1", payload)
    return script.ledger.settle()


def test_a_duplicate_is_a_message_of_its_own_and_counts_as_a_repeat():
    script = ended(DeviceScript([fault(FaultKind.DUPLICATE, 10_000, 3_000)], link=ROOMY))
    twice = [seq for seq in set(script.seqs) if script.seqs.count(seq) == 2]
    assert 50 < len(twice) < len(set(script.seqs))
    assert all(not dup for _, _, dup in script.sent)
    tally = script.account.tally
    assert tally.repeats == len(twice)
    assert tally.acknowledged == tally.taken == tally.published
    verdict = stored(script)
    assert (verdict.stored_again, verdict.strangers, verdict.disordered) == (len(twice), 0, 0)


def test_readings_that_were_held_back_come_all_and_the_device_is_to_blame_for_their_order():
    script = ended(DeviceScript([fault(FaultKind.REORDER, 10_000, 3_000)], link=ROOMY))
    assert script.seqs != sorted(script.seqs)
    assert sorted(script.seqs) == list(range(script.account.tally.taken))
    assert stored(script).disordered == 0


def test_a_copy_may_overtake_its_original_by_a_fault_of_the_device():
    faults = [fault(FaultKind.REORDER, 10_000, 3_000), fault(FaultKind.DUPLICATE, 10_000, 4_000)]
    script = ended(DeviceScript(faults, link=ROOMY))
    assert script.account.tally.repeats > 50
    assert stored(script).disordered == 0


def test_a_server_that_swaps_two_records_is_to_blame():
    script = ended(DeviceScript([fault(FaultKind.REORDER, 10_000, 3_000)], link=ROOMY))
    script.payloads[40], script.payloads[41] = script.payloads[41], script.payloads[40]
    assert stored(script).disordered == 1


def test_a_damaged_payload_is_accounted_for_as_it_was_sent():
    script = ended(DeviceScript([fault(FaultKind.CORRUPT, 10_000, 3_000)], link=ROOMY))
    assert len(script.account.altered) > 50
    verdict = stored(script)
    assert verdict.strangers == verdict.missing == 0
    assert verdict.stored_once == verdict.taken


def test_a_server_that_damages_a_payload_is_found_out():
    script = ended(DeviceScript([fault(FaultKind.CORRUPT, 10_000, 3_000)], link=ROOMY))
    seq, payload = script.payloads[0]
    script.payloads[0] = (seq, payload.replace(b"}", b" }"))
    verdict = stored(script)
    assert (verdict.strangers, verdict.missing) == (1, 1)


def test_a_clock_jumps_and_is_set_right_while_the_sensors_show_the_truth():
    jump = FaultSpec(FaultKind.CLOCK_JUMP, 10_000, 3_000, by_ms=-3_600_000)
    script = ended(DeviceScript([jump], link=ROOMY))
    errors = {reading["ts"] - START_MS - reading["value"] for reading in script.readings}
    assert errors == {0, -3_600_000}


def test_a_power_cut_strikes_the_whole_site_at_once():
    cut = FaultSpec(FaultKind.POWER_LOSS, 20_000, 4_000, is_common=True)
    kind = make_kind([cut])
    plans = [
        Device(
            Member(kind, rank, f"pump-{rank}"),
            RunPlan(1, START_MS),
            LineOptions(f"pump-{rank}"),
            Ledger(keeps_readings=False).open_account(f"pump-{rank}"),
        )
        for rank in range(5)
    ]
    for device in plans:
        while not device._account.tally.faults:
            device.advance(device.next_due_ms)
    first_dial = {device.publisher.line.next_due_ms for device in plans}
    assert len(first_dial) == 1


def test_a_battery_runs_out_and_the_device_comes_back_with_a_full_one():
    kind = dataclasses.replace(make_kind(link=ROOMY), battery=BatterySpec(10_000, 2_000, 10))
    script = ended(DeviceScript(kind=kind))
    assert script.account.tally.faults["battery"] >= 4
    levels = [reading["battery"] for reading in script.readings]
    assert max(levels) == 100
    assert min(levels) <= 2
    rises = [after for before, after in pairwise(levels) if after > before]
    assert len(rises) == script.account.tally.faults["battery"]
    assert min(rises) >= 98


SERVICES = ServicesSpec(
    TwinSpec(thresholds=(ThresholdSpec("most", "value", 1e18, is_above=True, shows="is_over"),)),
    CommandsSpec(restart_ms=2_000),
    UpdatesSpec(install_ms=3_000),
)


def serving(faults=(), link=LINK):
    kind = dataclasses.replace(make_kind(tuple(faults), link=link), services=SERVICES)
    script = DeviceScript(kind=kind)
    script.run(1_000)
    return script


def tell(script, topic, message):
    payload = message if isinstance(message, bytes) else orjson.dumps(message)
    script.say(Publish(topic, payload, qos=1, packet_id=7))


def said(script, topic):
    return [orjson.loads(payload) for name, payload in script.told if name == topic]


def test_a_device_with_services_subscribes_and_reports_what_it_is():
    script = serving()
    assert "command/pump-1/request/+" in script.subscribed
    (report,) = said(script, "twin/pump-1/reported")
    assert report == {"interval_s": 0.1, "most": 1e18, "firmware": "1.0.0", "boots": 1}
    assert script.readings[0]["is_over"] is False


def test_a_desired_interval_changes_the_grid_and_the_threshold_what_readings_show():
    script = serving()
    tell(script, "twin/pump-1/desired", {"version": 1, "desired": {"interval_s": 1, "most": 0}})
    assert script.acknowledged == [7]
    before = len(script.readings)
    script.run(10_000)
    times = [reading["ts"] for reading in script.readings[before - 1 :]]
    assert [after - first for first, after in pairwise(times)] == [1_000] * 10
    assert script.readings[-1]["is_over"] is True
    assert said(script, "twin/pump-1/reported")[-1] == {"interval_s": 1, "most": 0}
    assert script.seqs == list(range(len(script.sent)))


def test_a_shorter_interval_does_not_end_a_silence():
    script = serving([fault(FaultKind.SILENCE, 20_000, 8_000)])
    while script.account.tally.faults["silence"] == 0:
        script.run(10)
    before, since_ms = len(script.readings), script.now_ms
    tell(script, "twin/pump-1/desired", {"version": 1, "desired": {"interval_s": 0.2}})
    script.run(7_000)
    assert len(script.readings) == before
    script.run(3_000)
    assert script.readings[before]["ts"] >= since_ms + 7_900


def test_a_reboot_answers_first_and_comes_back_with_its_settings():
    script = serving()
    tell(script, "twin/pump-1/desired", {"version": 1, "desired": {"interval_s": 0.5}})
    tell(script, "command/pump-1/request/r1", {"name": "reboot"})
    assert said(script, "command/pump-1/response/r1") == [{"status": 200, "result": {"boots": 1}}]
    script.run(200)
    assert script.device.phase is Phase.UP
    script.run(500)
    assert script.device.phase is Phase.RESTING
    script.run(5_000)
    assert script.device.phase is Phase.UP
    assert said(script, "twin/pump-1/reported")[-1] == {"boots": 2}
    times = [reading["ts"] for reading in script.readings[-3:]]
    assert [after - first for first, after in pairwise(times)] == [500] * 2


def test_a_request_that_comes_again_after_a_loss_of_power_is_not_obeyed_again():
    script = serving()
    for _ in range(2):
        tell(script, "command/pump-1/request/r1", {"name": "reboot"})
        script.run(4_000)
    assert script.account.tally.services["restarts"] == 1
    assert len(said(script, "command/pump-1/response/r1")) == 2
    assert script.account.obedience == {"r1": 1}
    assert script.ledger.settle().commands == 1
    assert script.ledger.settle().commands_repeated == 0


def test_a_message_for_another_device_is_held_against_the_server():
    script = serving()
    tell(script, "command/pump-2/request/r1", {"name": "ping"})
    verdict = script.ledger.settle()
    assert verdict.misdelivered == 1
    assert not verdict.is_good


def test_a_device_that_settles_obeys_nobody_any_more():
    script = serving()
    script.perform(script.device.settle(script.now_ms))
    tell(script, "command/pump-1/request/r1", {"name": "ping"})
    script.run(1_000)
    assert not said(script, "command/pump-1/response/r1")
    assert script.acknowledged == []
    assert script.device.is_idle


def test_readings_of_a_device_that_is_stored_exactly_once_carry_their_number():
    kind = dataclasses.replace(make_kind(), is_exactly_once=True)
    script = DeviceScript(kind=kind, version=ProtocolVersion.V5)
    script.run(300)
    marks = [dict(properties.user_properties) for properties in script.properties]
    assert marks == [{"penstock-seq": f"{START_MS}-{seq}"} for seq in range(3)]
