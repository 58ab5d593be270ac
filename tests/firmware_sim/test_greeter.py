from __future__ import annotations

from firmware_sim.effects import Dial, HangUp
from firmware_sim.greeter import Greeter
from firmware_sim.line import LineOptions
from gateway.mqtt import Connack, ProtocolVersion, ReasonCode, encode_packet


def dialled():
    greeter = Greeter(LineOptions("x", clean_start=True))
    greeter.line.wake(0)
    assert greeter.advance(0) == [Dial()]
    return greeter


def answered(reason_code):
    greeter = dialled()
    greeter.opened(1)
    answer = encode_packet(Connack(reason_code=reason_code), ProtocolVersion.V3_1_1)
    return greeter, greeter.received(answer, 2)


def test_a_server_that_accepts_is_left_at_once():
    greeter, effects = answered(ReasonCode.SUCCESS)
    assert effects[-1] == HangUp(is_abrupt=False)
    assert greeter.is_done
    assert (greeter.line.connects, greeter.next_due_ms) == (1, None)


def test_a_server_that_refuses_is_not_asked_again():
    greeter, effects = answered(ReasonCode.NOT_AUTHORIZED)
    assert effects == [HangUp(is_abrupt=True)]
    assert greeter.is_done
    assert (greeter.line.refusals, greeter.next_due_ms) == (1, None)


def test_a_failed_dial_is_the_end():
    greeter = dialled()
    greeter.lost(1, "Connection refused")
    assert greeter.is_done
    assert greeter.block(1, is_blocked=True) == []
