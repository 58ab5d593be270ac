from __future__ import annotations

import pytest

from gateway.mqtt import (
    ProtocolVersion,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    encode_packet,
)
from tests.wire.vectors import check, load_vectors

V3_1_1 = ProtocolVersion.V3_1_1
V5 = ProtocolVersion.V5


@pytest.mark.parametrize(
    "packet",
    [
        Subscribe(1, ()),
        Subscribe(0, (Subscription("t"),)),
        Subscribe(1, (Subscription("t", 3),)),
        Subscribe(1, (Subscription("t", -1),)),
        Subscribe(1, (Subscription("a#"),)),
        Unsubscribe(1, ()),
        Unsubscribe(1, ("",)),
        Suback(1, ()),
        Suback(1, (ReasonCode.NO_SUBSCRIPTION_EXISTED,)),
    ],
)
def test_what_is_against_the_rules_is_not_written(packet):
    for version in (V3_1_1, V5):
        with pytest.raises(ValueError, match=r"\w"):
            encode_packet(packet, version)


@pytest.mark.spec("MQTT5-3.8.3-4")
@pytest.mark.parametrize(
    "packet",
    [
        Subscribe(1, (Subscription("$share/g/t", no_local=True),)),
        Subscribe(1, (Subscription("t", retain_handling=3),)),
        Unsuback(1, ()),
        Unsuback(1, (ReasonCode.GRANTED_QOS_1,)),
    ],
)
def test_what_is_against_the_rules_of_mqtt_5_is_not_written(packet):
    with pytest.raises(ValueError, match=r"\w"):
        encode_packet(packet, V5)


@pytest.mark.parametrize(
    "option", [{"no_local": True}, {"retain_as_published": True}, {"retain_handling": 1}]
)
def test_3_1_1_has_no_subscription_options_beside_the_qos(option):
    with pytest.raises(ValueError, match="no subscription options"):
        encode_packet(Subscribe(1, (Subscription("t", **option),)), V3_1_1)


@pytest.mark.spec("MQTT311-3.9.3-2")
def test_every_failure_is_one_return_code_in_3_1_1():
    codes = (ReasonCode.GRANTED_QOS_2, ReasonCode.NOT_AUTHORIZED, ReasonCode.QUOTA_EXCEEDED)
    assert encode_packet(Suback(1, codes), V3_1_1) == bytes.fromhex("9005 0001 02 80 80")


def test_3_1_1_has_no_place_for_the_reason_codes_of_an_unsuback():
    codes = (ReasonCode.NO_SUBSCRIPTION_EXISTED,)
    assert encode_packet(Unsuback(1, codes), V3_1_1) == bytes.fromhex("B002 0001")


@pytest.mark.parametrize("vector", load_vectors("subscribe", "unsubscribe"), ids=str)
def test_its_wire_vectors_hold(vector):
    check(vector)
