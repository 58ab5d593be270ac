from pathlib import Path

import pytest

from gateway.events import Flag, Record
from gateway.functions import FunctionSpec
from gateway.mqtt import Properties, encode_properties
from gateway.pipeline.handlers import occasions
from gateway.pipeline.handlers.occasions import Occasions, content_of, headers_of, key_of
from gateway.store import Reference, encode_reference

PROPERTIES = Properties(user_properties=(("unit", "m"), ("unit", "cm"), ("site", "east")))


def record(topic="plant/t1/level", payload=b'{"cm": 3}', client="c", properties=b""):
    return Record("s", 1, 7, 1_000, topic, "t1", client, payload, 0, properties)


def spec(topic_filter="plant/+/level", where=""):
    return FunctionSpec("h", "m:f", Path(), topic_filter, where=where)


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (record(), True),
        (record("plant/t1/temp"), False),
        (record(client="$handler:h"), False),
        (record(payload=b'{"cm": 1}'), False),
        (record(payload=b"no json"), False),
    ],
)
def test_topic_condition_and_publisher_decide(own, wanted):
    occasions = Occasions(spec(where="payload.cm > 2"))
    assert [occasions.wants(own) for _ in range(2)] == [wanted, wanted]


def test_what_is_known_of_topics_is_bounded(monkeypatch):
    monkeypatch.setattr(occasions, "TOPICS_KNOWN_MAX", 3)
    own = Occasions(spec())
    assert all(own.wants(record(f"plant/t{n}/level")) for n in range(10))
    assert len(own._verdicts) <= 3


def test_an_event_has_a_key_for_ever():
    assert key_of(record(), "h") == content_of(record(), "h", 3)["key"] == "s/1/7/h"


def test_the_blob_of_a_large_payload_is_a_header():
    reference = encode_reference(Reference("ab" * 32, 5_000))
    for properties in (b"", encode_properties(PROPERTIES), b"\xff\xff"):
        claim = record(payload=reference, properties=properties)._replace(flags=Flag.CLAIM)
        assert headers_of(claim)["penstock-blob"] == "ab" * 32


def test_headers_are_the_user_properties_of_the_message():
    assert headers_of(record(properties=encode_properties(PROPERTIES))) == {
        "unit": "cm",
        "site": "east",
    }
    assert headers_of(record()) == headers_of(record(properties=b"\xff\xff")) == {}
