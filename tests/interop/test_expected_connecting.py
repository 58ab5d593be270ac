"""What clients of both versions expect of CONNECT, by Paho's and Mosquitto's tests of servers.

Said in our words, against a running gateway.
"""

from __future__ import annotations

import pytest

from tests.harness.raw_client import CONNACK, CONNECT, DISCONNECT, PINGREQ, SUBSCRIBE
from tests.harness.scripted_client import AUTH, ScriptedClient, encode_properties, opened

pytestmark = pytest.mark.interop
V3, V5 = 4, 5
versions = pytest.mark.parametrize("version", [V3, V5], ids=["3.1.1", "5"])
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.spec("MQTT5-3.1.4-5")
@pytest.mark.spec("MQTT5-3.2.0-1")
@pytest.mark.spec("MQTT5-3.2.0-2")
@pytest.mark.spec("MQTT311-3.1.4-4")
@pytest.mark.spec("MQTT311-3.2.0-1")
@versions
def test_the_first_answer_is_a_connack_and_the_only_one(gateway, version):
    client = ScriptedClient(gateway.port, version=version)
    client.send(client.encode_connect() + b"\xc0\x00")
    assert client.hear().kind == CONNACK
    assert client.hear().kind == 13
    client.close()


@pytest.mark.spec("MQTT5-3.1.3-5")
@pytest.mark.spec("MQTT311-3.1.3-5")
@versions
@pytest.mark.parametrize("name", [LETTERS[:23], LETTERS[23:46], LETTERS[39:], "a"])
def test_every_plain_name_is_allowed(gateway, version, name):
    with opened(gateway.port, name, version=version) as client:
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT5-3.1.3-6")
@pytest.mark.spec("MQTT5-3.1.3-7")
@pytest.mark.spec("MQTT5-3.2.2-16")
def test_clients_of_5_without_a_name_are_each_given_one(gateway):
    with ScriptedClient(gateway.port, "") as first, ScriptedClient(gateway.port, "") as second:
        names = [
            client.open(clean=clean).properties["AssignedClientIdentifier"]
            for client, clean in ((first, True), (second, False))
        ]
        assert len(set(names)) == 2
        assert first.ping_is_answered()


@pytest.mark.spec("MQTT311-3.1.3-6")
def test_a_clean_client_of_3_1_1_without_a_name_is_served(gateway):
    with opened(gateway.port, "", version=V3) as client, opened(gateway.port, "", version=V3):
        assert client.ping_is_answered()


@pytest.mark.spec("MQTT311-3.1.3-7")
@pytest.mark.spec("MQTT311-3.1.3-8")
@pytest.mark.spec("MQTT311-3.2.2-5")
def test_a_client_of_3_1_1_without_a_name_that_wants_a_session_is_refused(gateway):
    with ScriptedClient(gateway.port, "", version=V3) as client:
        assert client.open(clean=False).codes == b"\x02"
        assert client.is_closed_by_server()


@pytest.mark.spec("MQTT5-3.1.3-8")
@pytest.mark.spec("MQTT5-3.2.2-7")
@pytest.mark.spec("MQTT311-3.1.3-9")
@versions
def test_a_name_that_is_refused_is_told_so_and_closed(gateway, version):
    with ScriptedClient(gateway.port, "$rules", version=version) as client:
        assert client.open().codes == (b"\x85" if version == V5 else b"\x02")
        assert client.is_closed_by_server()


@pytest.mark.spec("MQTT5-3.1.0-2")
@pytest.mark.spec("MQTT311-3.1.0-2")
@versions
def test_a_second_connect_ends_the_connection(gateway, version):
    with opened(gateway.port, version=version) as client:
        client.send(client.encode_connect())
        last = client.farewell()
        assert (last and last.code) == (0x82 if version == V5 else None)


@pytest.mark.spec("MQTT5-3.1.0-1")
@pytest.mark.spec("MQTT5-3.14.0-1")
@pytest.mark.spec("MQTT311-3.1.0-1")
@versions
@pytest.mark.parametrize("kind", [PINGREQ, SUBSCRIBE, DISCONNECT, AUTH])
def test_before_a_connect_nothing_is_heard_or_said(gateway, version, kind):
    with ScriptedClient(gateway.port, version=version) as client:
        client.say(kind)
        assert client.farewell() is None


@pytest.mark.spec("MQTT5-3.1.2-1")
@pytest.mark.spec("MQTT311-3.1.2-1")
@versions
def test_another_protocol_is_not_served(gateway, version):
    with ScriptedClient(gateway.port, version=version) as client:
        client.send(client.encode_connect().replace(b"\x00\x04MQTT", b"\x00\x04hjxx"))
        assert client.farewell() is None


@pytest.mark.spec("MQTT5-3.1.4-3")
@pytest.mark.spec("MQTT311-3.1.4-2")
@versions
def test_who_comes_with_the_same_name_takes_it_over(gateway, version):
    with (
        opened(gateway.port, "taken", version=version) as first,
        opened(gateway.port, "taken", version=version) as second,
    ):
        last = first.farewell()
        assert (last and last.code) == (0x8E if version == V5 else None)
        assert second.ping_is_answered()


@pytest.mark.spec("MQTT5-3.1.4-6")
@pytest.mark.spec("MQTT311-3.1.4-5")
@versions
def test_what_follows_a_refused_connect_is_not_heard(gateway, version):
    with (
        opened(gateway.port) as listener,
        ScriptedClient(gateway.port, "$no", version=version) as client,
    ):
        listener.ask(("refused/#", 0))
        other = ScriptedClient(gateway.port, version=version)
        publish = other.encode_publish("refused/a", b"never")
        client.send(client.encode_connect() + publish)
        assert client.is_closed_by_server()
        listener.tell("refused/b", b"marker")
        assert listener.take(1)[0].payload == b"marker"
        other.close()


@pytest.mark.spec("MQTT5-4.12.0-1")
def test_an_authentication_method_is_refused_as_a_bad_one(gateway):
    with ScriptedClient(gateway.port) as client:
        connack = client.open(AuthenticationMethod="SCRAM-SHA-256", AuthenticationData=b"n,,n=u")
        assert connack.code == 0x8C
        assert connack.properties["ReasonString"]
        assert client.is_closed_by_server()


@pytest.mark.spec("MQTT5-4.12.0-6")
def test_who_names_no_method_hears_of_none(gateway):
    with ScriptedClient(gateway.port) as client:
        assert "AuthenticationMethod" not in client.open().properties


@pytest.mark.spec("MQTT5-4.12.0-7")
def test_an_auth_out_of_nowhere_ends_the_connection(gateway):
    with opened(gateway.port) as client:
        client.say(AUTH, b"\x19" + encode_properties(AUTH, {"AuthenticationMethod": "x"}))
        last = client.farewell()
        assert (last.kind, last.code) == (DISCONNECT, 0x82)


@pytest.mark.spec("MQTT5-3.2.2-21")
@pytest.mark.spec("MQTT5-3.2.2-22")
@pytest.mark.parametrize(("asked_s", "told_s"), [(120, 60), (0, 60), (61, 60), (60, None)])
def test_a_client_of_5_is_told_the_keep_alive_that_it_gets(gateway, asked_s, told_s):
    with ScriptedClient(gateway.port) as client:
        properties = client.open(keep_alive_s=asked_s).properties
        assert properties.get("ServerKeepAlive") == told_s


@pytest.mark.spec("MQTT5-3.1.2-22")
@pytest.mark.spec("MQTT311-3.1.2-24")
@versions
def test_who_is_silent_too_long_is_closed(gateway, version):
    with opened(gateway.port, version=version, keep_alive_s=1) as client:
        last = client.farewell()
        assert (last and last.code) == (0x8D if version == V5 else None)


@pytest.mark.spec("MQTT5-3.1.2-28")
def test_response_information_is_not_given(gateway):
    with ScriptedClient(gateway.port) as client:
        connack = client.open(RequestResponseInformation=0)
        assert "ResponseInformation" not in connack.properties


@pytest.mark.spec("MQTT5-3.1.2-29")
def test_who_wants_no_reasons_hears_them_only_where_they_may_be(gateway):
    with opened(gateway.port, RequestProblemInformation=0) as client:
        suback = client.ask(("a/" * 240, 0))
        assert (suback.codes, suback.properties) == (b"\x8f", {})
        packet_id = client.tell("$not/mine", b"x", 1)
        puback = client.hear()
        assert (puback.packet_id, puback.code, puback.properties) == (packet_id, 0x87, {})
        client.say(AUTH, b"\x19" + encode_properties(AUTH, {"AuthenticationMethod": "x"}))
        assert client.farewell().properties["ReasonString"]


def test_every_refusal_gives_its_reason(gateway):
    with opened(gateway.port) as client:
        assert "200 levels" in client.ask(("a/" * 240, 0)).properties["ReasonString"]
        client.tell("$not/mine", b"x", 1)
        assert "'$not/mine'" in client.hear().properties["ReasonString"]
        client.say(CONNECT)
        assert client.farewell().properties["ReasonString"]


@pytest.mark.spec("MQTT5-3.1.2-24")
@pytest.mark.parametrize("most", [1, 4, 5, 12])
def test_who_can_not_take_a_connack_is_not_sent_one(gateway, most):
    with ScriptedClient(gateway.port) as client:
        client.send(client.encode_connect(MaximumPacketSize=most))
        last = client.farewell()
        assert last is None or (most >= 5 and last.codes == b"\x95" and not last.properties)


@pytest.mark.spec("MQTT5-3.2.2-19")
@pytest.mark.spec("MQTT5-3.14.2-3")
def test_a_reason_that_does_not_fit_is_left_out(gateway):
    with opened(gateway.port, MaximumPacketSize=20) as client:
        client.send(client.encode_connect())
        last = client.farewell()
        assert (last.code, last.properties) == (0x82, {})
    with ScriptedClient(gateway.port, "$no") as client:
        client.send(client.encode_connect(MaximumPacketSize=20))
        assert client.hear().properties == {}


@pytest.mark.spec("MQTT5-3.9.2-1")
def test_an_answer_to_more_filters_than_fit_ends_the_connection(gateway):
    with opened(gateway.port, MaximumPacketSize=40) as client:
        assert len(client.ask(*((f"a/{number}", 0) for number in range(30))).codes) == 30
        body = b"\0\x63\0" + b"".join(b"\0\x01a\0" for _ in range(50))
        client.say(SUBSCRIBE, body)
        assert client.farewell().code == 0x95
