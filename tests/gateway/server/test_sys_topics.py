from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from gateway.metrics import Counters, Reading
from gateway.server.sys_topics import FIGURES, LOADS, ROOT, SysTopics

GUIDE = Path(__file__).parents[3] / "docs" / "mqtt.md"
ZEROS = {one.name: 0 for one in fields(Reading) if one.name not in {"counters", "others"}}
READING = Reading(Counters(), **ZEROS)


def test_names_are_those_of_mosquitto():
    payloads = SysTopics().write(replace(READING, clients_connected=3), 10_000)
    assert payloads["$SYS/broker/clients/connected"] == b"3"
    assert payloads["$SYS/broker/uptime"] == b"0 seconds"
    assert payloads["$SYS/broker/load/messages/received/15min"] == b"0.00"
    assert payloads["$SYS/broker/version"].startswith(b"penstock version ")


def test_a_load_is_the_growth_of_its_total():
    topics = SysTopics()
    counters = Counters()
    for _ in range(200):
        counters.bytes_received += 1_000
        payloads = topics.write(replace(READING, counters=counters), 10_000)
    assert payloads[f"{ROOT}load/bytes/received/1min"] == b"6000.00"
    assert payloads[f"{ROOT}load/bytes/sent/1min"] == b"0.00"


def test_what_works_beside_the_server_has_its_topics():
    payloads = SysTopics().write(replace(READING, others={"rules/lag": 7}), 0)
    assert payloads[f"{ROOT}penstock/rules/lag"] == b"7"


def test_what_is_not_known_has_no_topic():
    payloads = SysTopics().write(replace(READING, memory_bytes=None), 0)
    assert f"{ROOT}heap/current size" not in payloads
    assert f"{ROOT}heap/maximum size" in payloads


def test_every_topic_is_documented():
    guide = GUIDE.read_text()
    missing = [name for name in FIGURES if f"`{name}`" not in guide]
    assert missing == []
    assert [name for name in LOADS if f"`load/{name}/" not in guide] == []
