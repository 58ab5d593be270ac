from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import orjson

from firmware_sim.services.deeds import Restart, Tell
from firmware_sim.services.desk import RESTART_DELAY_MS, DeskPlan, ServiceDesk
from firmware_sim.services.spec import CommandsSpec, ServicesSpec, TwinSpec, UpdatesSpec
from gateway.mqtt import Puback, Publish
from tests.firmware_sim.device_script import ROOMY, DeviceScript, make_kind

ALL = ServicesSpec(TwinSpec(), CommandsSpec(), UpdatesSpec(install_ms=3_000))


class Journal:
    def __init__(self):
        self.counts = Counter()

    def served(self, what):
        self.counts[what] += 1

    def obeyed(self, request_id, outcome):
        self.counts[outcome] += 1


def open_desk(spec=ALL):
    desk = ServiceDesk(spec, DeskPlan("p", 1, 1_000), Journal())
    desk.boot()
    return desk


def hear(desk, topic, message, now_ms=0):
    payload = message if isinstance(message, bytes) else orjson.dumps(message)
    return desk.hear(Publish(topic, payload), now_ms, now_ms)


def test_a_device_subscribes_to_its_own_topics_and_to_those_of_its_services_only():
    filters = open_desk().filters()
    assert all(topic_filter.split("/")[1] == "p" for topic_filter in filters)
    assert len(filters) == 7
    only = open_desk(ServicesSpec(commands=CommandsSpec()))
    assert only.filters() == ["command/p/request/+"]
    assert only.connected() == []


def test_the_first_report_says_what_the_device_is():
    (told,) = open_desk().connected()
    assert told.topic == "twin/p/reported"
    assert orjson.loads(told.payload) == {"interval_s": 1, "firmware": "1.0.0", "boots": 1}


def test_a_reboot_waits_until_its_answer_has_left():
    desk = open_desk()
    said = hear(desk, "command/p/request/1", {"name": "reboot"}, 50)
    assert all(isinstance(deed, Tell) for deed in said)
    assert desk.next_due_ms == 50 + RESTART_DELAY_MS
    assert desk.advance(desk.next_due_ms - 1) == []
    assert [type(deed) for deed in desk.advance(desk.next_due_ms)] == [Restart]
    assert desk.next_due_ms is None


def test_what_a_command_sets_is_reported():
    desk = open_desk()
    desk.connected()
    said = hear(desk, "command/p/request/1", {"name": "set", "payload": {"interval_s": 9}})
    assert [deed.topic for deed in said] == ["command/p/response/1", "twin/p/reported"]


def test_an_update_goes_from_its_offer_to_the_report_of_the_new_firmware():
    desk = open_desk()
    desk.connected()
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    offer = {"campaign": "c", "version": "2", "size": 3, "sha256": digest, "chunk": 100}
    hear(desk, "ota/p/offer", offer)
    hear(desk, "ota/p/chunk/0", b"abc")
    (restart,) = desk.advance(desk.next_due_ms)
    assert isinstance(restart, Restart)
    assert orjson.loads(desk.boot()[0].payload)["state"] == "installed"
    assert orjson.loads(desk.connected()[0].payload) == {"boots": 2, "firmware": "2"}


def test_messages_for_others_and_messages_of_no_sense_are_counted_and_do_nothing():
    desk = open_desk()
    assert hear(desk, "command/q/request/1", {"name": "ping"}) == []
    assert hear(desk, "short", {}) == []
    assert desk._journal.counts["misdelivered"] == 2
    for topic in ("twin/p/desired", "command/p/elsewhere", "weather/p/today/1"):
        assert hear(desk, topic, b"{") == []
    assert hear(desk, "ota/p/chunk/x", b"abc") == []
    assert hear(desk, "ota/p/chunk/" + "9" * 11, b"abc") == []
    assert desk._journal.counts["not_understood"] == 3
    assert desk._journal.counts["chunks_ignored"] == 2


def test_a_lost_connection_ends_the_wait_for_a_chunk():
    desk = open_desk()
    offer = {"campaign": "c", "version": "2", "size": 3, "sha256": "0" * 64, "chunk": 100}
    hear(desk, "ota/p/offer", offer)
    assert desk.next_due_ms is not None
    desk.lost()
    assert desk.next_due_ms is None


def serving():
    """A device with all services, a second after its start."""
    kind = dataclasses.replace(make_kind(link=ROOMY), services=ALL)
    script = DeviceScript(kind=kind)
    script.run(1_000)
    return script


def tell(script, topic, message):
    payload = message if isinstance(message, bytes) else orjson.dumps(message)
    script.say(Publish(topic, payload, qos=1, packet_id=7))


def said(script, topic):
    return [orjson.loads(payload) for name, payload in script.told if name == topic]


def test_an_answer_that_was_not_acknowledged_is_said_again_after_the_connection_broke():
    script = serving()
    script.acknowledges = False
    tell(script, "command/pump-1/request/r1", {"name": "ping"})
    script.break_connection()
    script.acknowledges = True
    script.run(1_000)
    assert len(said(script, "command/pump-1/response/r1")) == 2
    assert script.account.tally.services["answered"] == 1


def test_answers_go_ahead_of_readings_that_wait():
    script = serving()
    script.acknowledges = False
    script.run(3_000)
    tell(script, "command/pump-1/request/r1", {"name": "ping"})
    assert script.device.publisher.outbox.waiting > 10
    script.acknowledges = True
    for packet_id in range(1, 60):
        script.say(Puback(packet_id))
    assert said(script, "command/pump-1/response/r1")


def test_an_update_survives_a_loss_of_power_and_ends_installed():
    script = serving()
    image = b"firmware" * 50
    offer = {
        "campaign": "c",
        "version": "2.0.0",
        "size": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
        "chunk": 100,
    }
    tell(script, "ota/pump-1/offer", offer)
    tell(script, "ota/pump-1/chunk/0", image[:100])
    script.perform(script.device._lose_power(script.now_ms + 500, script.now_ms))
    script.run(3_000)
    tell(script, "ota/pump-1/offer", offer)
    for at in range(100, len(image), 100):
        tell(script, f"ota/pump-1/chunk/{at}", image[at : at + 100])
    script.run(10_000)
    asked = [name for name, _ in script.told if "/get/" in name]
    assert asked == [f"ota/pump-1/get/{at}" for at in (0, 100, 100, 200, 300)]
    assert said(script, "ota/pump-1/status")[-1]["state"] == "installed"
    assert said(script, "twin/pump-1/reported")[-1] == {"boots": 3, "firmware": "2.0.0"}
