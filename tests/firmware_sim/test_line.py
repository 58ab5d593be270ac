from __future__ import annotations

import pytest

from firmware_sim.effects import Dial, HangUp, Send
from firmware_sim.line import Line, LineOptions, Phase
from gateway.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    ProtocolVersion,
    ReasonCode,
    decode_connect,
    encode_packet,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
OPTIONS = LineOptions("pump-1", keep_alive_s=30, response_ms=5_000)
PING = Send(encode_packet(Pingreq(), V3))
PONG = encode_packet(Pingresp(), V3)
CONNACK = encode_packet(Connack(), V3)
DROPPED = [HangUp(is_abrupt=True)]


def line_up(options=OPTIONS, now_ms=0):
    line = Line(options, key=7)
    line.wake(now_ms)
    assert line.advance(now_ms) == [Dial()]
    line.opened(now_ms)
    line.received(encode_packet(Connack(), options.version), now_ms)
    assert line.phase is Phase.UP
    return line


def test_a_line_dials_when_its_time_has_come():
    line = Line(OPTIONS, key=7)
    assert line.next_due_ms is None
    line.wake(100)
    assert line.advance(99) == []
    assert line.advance(100) == [Dial()]
    assert line.phase is Phase.DIALING


@pytest.mark.parametrize("version", [V3, V5])
def test_the_first_words_are_a_connect_that_keeps_its_session(version):
    line = Line(LineOptions("pump-1", version, username="u", password=b"p"), key=7)
    line.wake(0)
    line.advance(0)
    (greeting,) = line.opened(0)
    connect, _ = decode_connect(greeting.payload, 0, 1_000)
    assert connect.client_id == "pump-1"
    assert (connect.clean_start, connect.keep_alive_s) == (False, 30)
    assert (connect.username, connect.password) == ("u", b"p")
    assert (connect.properties.session_expiry_interval_s is not None) is (version is V5)


def test_a_clean_start_asks_for_no_session_expiry():
    connect = LineOptions("x", V5, clean_start=True).connect()
    assert isinstance(connect, Connect)
    assert connect.properties.session_expiry_interval_s is None


def test_silence_on_our_side_is_broken_by_a_ping():
    line = line_up()
    assert line.next_due_ms == 30_000
    assert line.advance(29_999) == []
    assert line.advance(30_000) == [PING]


def test_what_is_said_puts_the_ping_off():
    line = line_up()
    line.say(b"x", 20_000)
    assert line.next_due_ms == 50_000


def test_a_keep_alive_of_zero_pings_never():
    line = line_up(LineOptions("x", keep_alive_s=0))
    assert line.next_due_ms is None


def test_an_unanswered_ping_ends_the_connection():
    line = line_up()
    line.advance(30_000)
    assert line.next_due_ms == 35_000
    assert line.advance(35_000) == DROPPED
    assert line.phase is Phase.RESTING
    assert line.latest_error == "no answer for 5000 ms"


def test_any_answer_shows_that_the_server_is_there():
    line = line_up()
    line.advance(30_000)
    line.received(PONG, 30_010)
    assert line.next_due_ms == 60_000


def test_a_greeting_that_is_never_answered_ends_the_connection():
    line = Line(OPTIONS, key=7)
    line.wake(0)
    line.advance(0)
    line.opened(10)
    line.received(CONNACK[:2], 4_000)
    assert line.advance(9_000) == DROPPED


def test_waits_double_up_to_the_most_and_never_exceed_it():
    line = Line(LineOptions("x", back_off_first_ms=100, back_off_most_ms=1_000), key=7)
    line.wake(0)
    now_ms, waits = 0, []
    for _ in range(8):
        line.advance(now_ms)
        line.lost(now_ms, "refused")
        waits.append(line.next_due_ms - now_ms)
        now_ms = line.next_due_ms
    for wait, full in zip(waits, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000], strict=True):
        assert full // 2 <= wait <= full


def test_lines_of_different_keys_come_back_at_different_times():
    lines = [Line(OPTIONS, key) for key in range(20)]
    for line in lines:
        line.lost(0)
    assert len({line.next_due_ms for line in lines}) > 15


def test_a_success_lets_the_waits_start_anew():
    line = Line(LineOptions("x", back_off_first_ms=100, back_off_most_ms=60_000), key=7)
    for _ in range(6):
        line.lost(0)
    assert line.next_due_ms > 1_000
    line.advance(line.next_due_ms)
    line.opened(5_000)
    line.received(CONNACK, 5_000)
    line.lost(6_000)
    assert line.next_due_ms <= 6_100


def test_a_refusal_is_counted_named_and_hung_up():
    line = Line(OPTIONS, key=7)
    line.wake(0)
    line.advance(0)
    line.opened(0)
    refusal = Connack(reason_code=ReasonCode.NOT_AUTHORIZED)
    _, effects = line.received(encode_packet(refusal, V3), 5)
    assert effects == DROPPED
    assert (line.refusals, line.connects) == (1, 0)
    assert line.latest_error == "refused: NOT_AUTHORIZED"


def test_a_server_that_breaks_the_protocol_is_hung_up_on():
    line = line_up()
    _, effects = line.received(bytes.fromhex("c000"), 5)
    assert effects == DROPPED
    assert line.latest_error.startswith("the server broke the protocol")


def test_a_server_that_says_goodbye_is_left():
    line = line_up(LineOptions("x", V5))
    goodbye = encode_packet(Disconnect(ReasonCode.SERVER_SHUTTING_DOWN), V5)
    _, effects = line.received(goodbye, 5)
    assert effects == DROPPED
    assert line.latest_error == "the server hung up: SERVER_SHUTTING_DOWN"


def test_a_deaf_line_hears_nothing_until_it_is_cut():
    line = line_up()
    line.hears = False
    arrivals, effects = line.received(bytes.fromhex("40020001"), 5)
    assert (arrivals.acknowledged, effects) == ([], [])
    assert line.cut(10) == DROPPED
    assert line.hears


def test_a_mute_line_sends_nothing():
    line = line_up()
    line.speaks = False
    assert line.say(b"x", 5) == []


def test_a_cut_line_stays_away_for_as_long_as_it_is_told():
    line = line_up()
    line.cut(1_000, away_ms=9_000)
    line.cut(1_100)
    assert line.next_due_ms == 10_000


def test_a_recovered_line_dials_at_once():
    line = line_up()
    line.cut(1_000, away_ms=60_000)
    assert line.recover(2_000) == []
    assert line.advance(2_000) == [Dial()]


def test_a_recovered_line_drops_a_connection_that_only_looks_alive():
    line = line_up()
    line.hears = line.speaks = False
    assert line.recover(2_000) == DROPPED
    assert line.advance(2_000) == [Dial()]


def test_closing_says_goodbye_and_is_final():
    line = line_up()
    goodbye = Send(encode_packet(Disconnect(), V3))
    assert line.close(5) == [goodbye, HangUp(is_abrupt=False)]
    assert line.close(6) == []
    line.lost(7)
    assert line.next_due_ms is None


def test_closing_without_a_connection_says_nothing():
    line = Line(OPTIONS, key=7)
    assert line.close(0) == []
    line = Line(OPTIONS, key=7)
    line.wake(0)
    line.advance(0)
    assert line.close(0) == DROPPED
