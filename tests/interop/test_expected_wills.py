"""What clients of both versions expect of will messages."""

from __future__ import annotations

import uuid

import pytest

from tests.harness.raw_client import PINGREQ, PUBLISH
from tests.harness.scripted_client import ScriptedClient, Will, encode_properties, opened

pytestmark = pytest.mark.interop
V3, V5 = 4, 5
DISCONNECT = 14
versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])


@pytest.fixture
def root():
    """A topic that no other test uses."""
    return f"wills/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def listener(gateway, root):
    with opened(gateway.port) as client:
        client.ask((f"{root}/#", 2))
        yield client


def assert_no_will(listener, root):
    listener.tell(f"{root}/end", b"!")
    assert listener.take(1)[0].payload == b"!"


@pytest.mark.spec("MQTT5-3.1.2-7")
@pytest.mark.spec("MQTT5-3.1.2-8")
@pytest.mark.spec("MQTT5-3.1.2-14")
@pytest.mark.spec("MQTT311-3.1.2-8")
@pytest.mark.spec("MQTT311-3.1.2-16")
@versions
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_will_is_published_when_its_client_is_lost(gateway, root, listener, version, qos):
    client = opened(gateway.port, version=version, will=Will(root, b"gone", qos))
    client.close()
    (heard,) = listener.take(1)
    assert (heard.payload, heard.qos, heard.retain) == (b"gone", qos, False)
    with opened(gateway.port) as late:
        late.ask((root, 0), (f"{root}/end", 0))
        assert_no_will(late, root)


@pytest.mark.spec("MQTT5-3.1.2-15")
@pytest.mark.spec("MQTT311-3.1.2-17")
@versions
def test_a_will_may_be_retained_and_empty(gateway, root, listener, version):
    opened(gateway.port, version=version, will=Will(root, b"gone", 1, retain=True)).close()
    assert listener.take(1)[0].payload == b"gone"
    with opened(gateway.port) as late:
        late.ask((root, 0))
        assert late.take(1)[0].retain
    opened(gateway.port, version=version, will=Will(root, b"", 1, retain=True)).close()
    assert listener.take(1)[0].payload == b""
    with opened(gateway.port) as late:
        late.ask((root, 0), (f"{root}/end", 0))
        assert_no_will(late, root)


@pytest.mark.spec("MQTT5-3.1.2-10")
@pytest.mark.spec("MQTT5-3.14.4-3")
@pytest.mark.spec("MQTT311-3.1.2-10")
@pytest.mark.spec("MQTT311-3.14.4-3")
@versions
def test_who_says_goodbye_takes_its_will_along(gateway, root, listener, version):
    opened(gateway.port, version=version, will=Will(root, b"never")).leave()
    assert_no_will(listener, root)


@pytest.mark.spec("MQTT311-3.1.2-12")
@versions
def test_who_has_no_will_leaves_none(gateway, root, listener, version):
    opened(gateway.port, version=version).close()
    assert_no_will(listener, root)


@pytest.mark.spec("MQTT5-3.1.2-8")
def test_who_leaves_with_its_will_has_it_published(gateway, root, listener):
    opened(gateway.port, will=Will(root, b"on purpose")).leave(0x04)
    assert listener.take(1)[0].payload == b"on purpose"


@versions
def test_who_breaks_the_rules_has_its_will_published(gateway, root, listener, version):
    with opened(gateway.port, version=version, will=Will(root, b"thrown out")) as client:
        client.say(PINGREQ, flags=1)
        client.farewell()
    assert listener.take(1)[0].payload == b"thrown out"


@versions
def test_who_is_silent_too_long_has_its_will_published(gateway, root, listener, version):
    with opened(gateway.port, version=version, keep_alive_s=1, will=Will(root, b"silent")):
        assert listener.take(1)[0].payload == b"silent"


@versions
def test_who_is_taken_over_has_its_will_published(gateway, root, listener, version):
    name = root[-8:]
    with (
        opened(gateway.port, name, version=version, will=Will(root, b"first")),
        opened(gateway.port, name, version=version, will=Will(root, b"second")) as second,
    ):
        assert listener.take(1)[0].payload == b"first"
        second.leave()
    assert_no_will(listener, root)


def test_a_refused_client_has_no_will(gateway, root, listener):
    with ScriptedClient(gateway.port, "$no") as client:
        assert client.open(will=Will(root, b"never")).code == 0x85
    assert_no_will(listener, root)


@pytest.mark.spec("MQTT5-3.1.3-10")
def test_a_will_has_its_properties(gateway, root, listener):
    said = {
        "PayloadFormatIndicator": 1,
        "ContentType": "text/plain",
        "ResponseTopic": f"{root}/answers",
        "CorrelationData": b"\x01\x02",
        "UserProperty": [("b", "2"), ("a", "1"), ("b", "2")],
    }
    opened(gateway.port, will=Will(root, b"gone", 1, properties=said)).close()
    assert listener.take(1)[0].properties == said


@pytest.mark.spec("MQTT5-3.3.2-6")
def test_the_life_of_a_will_begins_when_it_is_published(gateway, root, listener):
    will = Will(root, b"gone", properties={"MessageExpiryInterval": 10})
    opened(gateway.port, will=will).close()
    assert 9 <= listener.take(1)[0].properties["MessageExpiryInterval"] <= 10


@pytest.mark.spec("MQTT5-3.1.2-8")
@pytest.mark.parametrize(("delay_s", "expiry_s"), [(1, 60), (60, 1), (60, 0)])
def test_a_delayed_will_comes_with_its_delay_or_the_end_of_its_session(
    gateway, root, listener, delay_s, expiry_s
):
    will = Will(root, b"gone", properties={"WillDelayInterval": delay_s})
    opened(gateway.port, will=will, SessionExpiryInterval=expiry_s).close()
    heard = listener.hear_one(PUBLISH)
    assert (heard.payload, "WillDelayInterval" in heard.properties) == (b"gone", False)


@pytest.mark.spec("MQTT5-3.1.3-9")
def test_who_is_back_in_time_has_no_will_published(gateway, root, listener):
    name = root[-8:]
    will = Will(root, b"never", properties={"WillDelayInterval": 60})
    opened(gateway.port, name, will=will, SessionExpiryInterval=60).close()
    with opened(gateway.port, name, clean=False, SessionExpiryInterval=60) as client:
        client.leave(SessionExpiryInterval=0)
    assert_no_will(listener, root)


@pytest.mark.spec("MQTT5-3.1.2-8")
def test_a_clean_start_ends_the_session_and_its_will_is_published(gateway, root, listener):
    name = root[-8:]
    will = Will(root, b"gone", properties={"WillDelayInterval": 60})
    opened(gateway.port, name, will=will, SessionExpiryInterval=60).close()
    with opened(gateway.port, name):
        assert listener.take(1)[0].payload == b"gone"


@pytest.mark.spec("MQTT5-3.1.2-13")
@pytest.mark.spec("MQTT5-3.1.2-11")
@versions
@pytest.mark.parametrize("flags", [0x08, 0x10, 0x20, 0x1C, 0x03])
def test_impossible_will_flags_are_refused(gateway, version, flags):
    with ScriptedClient(gateway.port, version=version) as client:
        connect = bytearray(client.encode_connect())
        connect[9] = flags | 2
        client.send(bytes(connect))
        last = client.farewell()
        assert (last and last.code) in ({0x81, 0x82} if version == V5 else {None})


def test_a_will_can_not_have_what_only_a_connect_has(gateway, root):
    with ScriptedClient(gateway.port) as client:
        stray = encode_properties(1, {"ReceiveMaximum": 7})
        connect = client.encode_connect(will=Will(root, b"x"))
        body = connect[2:].replace(
            client.client_id.encode() + b"\0", client.client_id.encode() + stray
        )
        client.say(1, body)
        assert client.farewell().code == 0x81
