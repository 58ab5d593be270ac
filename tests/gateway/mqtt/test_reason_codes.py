from __future__ import annotations

import pytest

from gateway.errors import MalformedPacket, ProtocolError
from gateway.mqtt import (
    REASON_CODES_ALLOWED,
    PacketType,
    ReasonCode,
    Sender,
    connack_return_code,
    suback_return_code,
)
from gateway.mqtt.reason_codes import (
    check_own_reason_code,
    check_reason_code,
    connack_reason_code,
    suback_reason_code,
)

# MQTT5 §2.4, table 2-6, by packet; c or s: only a client, only a server may send it (§3.14, §3.15).
TABLE = {
    "CONNACK": "00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F",
    "PUBACK": "00 10 80 83 87 90 91 97 99",
    "PUBREC": "00 10 80 83 87 90 91 97 99",
    "PUBREL": "00 92",
    "PUBCOMP": "00 92",
    "SUBACK": "00 01 02 80 83 87 8F 91 97 9E A1 A2",
    "UNSUBACK": "00 11 80 83 87 8F 91",
    "DISCONNECT": "00 04c 80 81 82 83 87s 89s 8Bs 8Cs 8Ds 8Es 8Fs 90 93 94 95 96 97 98 99 9As 9Bs"
    " 9Cs 9Ds 9Es 9Fs A0s A1s A2s",
    "AUTH": "00s 18 19c",
}
ONLY_SERVERS_SEND = {"CONNACK", "SUBACK", "UNSUBACK"}


def table_for(name: str, sender: Sender) -> set[int]:
    other = {Sender.CLIENT: "s", Sender.SERVER: "c"}[sender]
    return {int(cell[:2], 16) for cell in TABLE[name].split() if not cell.endswith(other)}


@pytest.mark.spec("MQTT5-3.2.2-8")
@pytest.mark.spec("MQTT5-3.4.2-1")
@pytest.mark.spec("MQTT5-3.5.2-1")
@pytest.mark.spec("MQTT5-3.6.2-1")
@pytest.mark.spec("MQTT5-3.7.2-1")
@pytest.mark.spec("MQTT5-3.9.3-2")
@pytest.mark.spec("MQTT5-3.11.3-2")
@pytest.mark.spec("MQTT5-3.14.2-1")
@pytest.mark.spec("MQTT5-3.15.2-1")
@pytest.mark.parametrize("name", TABLE)
def test_each_packet_has_the_reason_codes_of_the_table(name):
    for sender in Sender:
        if sender is Sender.CLIENT and name in ONLY_SERVERS_SEND:
            assert (PacketType[name], sender) not in REASON_CODES_ALLOWED
        else:
            found = REASON_CODES_ALLOWED[PacketType[name], sender]
            assert {int(reason_code) for reason_code in found} == table_for(name, sender)


def test_each_reason_code_has_a_packet():
    used = frozenset().union(*REASON_CODES_ALLOWED.values())
    assert used == set(ReasonCode)
    assert len(used) == 43


def test_a_reason_code_from_0x80_on_is_a_failure():
    assert not ReasonCode.RE_AUTHENTICATE.is_failure
    assert ReasonCode.UNSPECIFIED_ERROR.is_failure


def test_a_reason_code_that_its_sender_can_not_say_is_refused():
    assert check_reason_code(0x8E, PacketType.DISCONNECT, Sender.SERVER) is (
        ReasonCode.SESSION_TAKEN_OVER
    )
    with pytest.raises(ProtocolError, match="a client's DISCONNECT can't say 0x8E"):
        check_reason_code(0x8E, PacketType.DISCONNECT, Sender.CLIENT)
    check_own_reason_code(ReasonCode.SESSION_TAKEN_OVER, PacketType.DISCONNECT)
    with pytest.raises(ProtocolError, match="CONNACK can't say"):
        check_own_reason_code(ReasonCode.SESSION_TAKEN_OVER, PacketType.CONNACK)


def test_3_1_1_has_five_refusals():
    assert [connack_reason_code(number) for number in range(6)] == [
        ReasonCode.SUCCESS,
        ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        ReasonCode.SERVER_UNAVAILABLE,
        ReasonCode.BAD_USER_NAME_OR_PASSWORD,
        ReasonCode.NOT_AUTHORIZED,
    ]
    assert [connack_return_code(connack_reason_code(number)) for number in range(6)] == [*range(6)]
    with pytest.raises(MalformedPacket):
        connack_reason_code(6)


@pytest.mark.spec("MQTT311-3.2.2-6")
def test_3_1_1_has_no_return_code_for_most_reasons():
    assert connack_return_code(ReasonCode.SERVER_BUSY) == 3
    assert connack_return_code(ReasonCode.BANNED) == 5
    assert connack_return_code(ReasonCode.MALFORMED_PACKET) is None


@pytest.mark.spec("MQTT311-3.9.3-2")
def test_3_1_1_has_one_failure_of_a_subscription():
    for reason_code in REASON_CODES_ALLOWED[PacketType.SUBACK, Sender.SERVER]:
        return_code = suback_return_code(reason_code)
        assert return_code == (0x80 if reason_code.is_failure else reason_code)
        assert suback_reason_code(return_code).is_failure == reason_code.is_failure
    for reserved in (0x03, 0x7F, 0x81, 0xFF):
        with pytest.raises(MalformedPacket):
            suback_reason_code(reserved)
