from __future__ import annotations

import pytest

from gateway.mqtt import Connect, Properties, ProtocolVersion, ReasonCode
from gateway.session import SessionOptions
from gateway.session.offering import (
    check_connect,
    granted_expiry_ms,
    granted_keep_alive_s,
    offer,
)

V3, V5 = ProtocolVersion.V3_1_1, ProtocolVersion.V5
OPTIONS = SessionOptions(client_id_bytes_max=20, session_expiry_ms_max=60_000, keep_alive_s_max=30)


@pytest.mark.spec("MQTT5-3.1.4-2")
@pytest.mark.parametrize(
    ("connect", "reason_code"),
    [
        (Connect("c", V5), None),
        (Connect("x" * 20, V3), None),
        (Connect("x" * 21, V3), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (Connect("$rules", V5), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (
            Connect("c", V5, properties=Properties(authentication_method="x")),
            ReasonCode.BAD_AUTHENTICATION_METHOD,
        ),
    ],
)
def test_who_can_not_be_served_is_told_why(connect, reason_code):
    refusal = check_connect(connect, OPTIONS)
    if reason_code is None:
        assert refusal is None
    else:
        assert refusal[0] == reason_code
        assert refusal[1]


@pytest.mark.parametrize(
    ("version", "clean", "asked_s", "granted_ms"),
    [
        (V3, True, None, 0),
        (V3, False, None, 60_000),
        (V5, False, None, 0),
        (V5, True, 5, 5_000),
        (V5, False, 0xFFFFFFFF, 60_000),
    ],
)
def test_a_session_lasts_as_long_as_asked_up_to_the_limit(version, clean, asked_s, granted_ms):
    asked = Properties(session_expiry_interval_s=asked_s)
    connect = Connect("c", version, clean_start=clean, properties=asked)
    assert granted_expiry_ms(connect, OPTIONS) == granted_ms


@pytest.mark.spec("MQTT5-3.2.2-22")
@pytest.mark.parametrize(
    ("version", "asked_s", "granted_s"),
    [(V3, 0, 0), (V3, 100, 100), (V5, 0, 30), (V5, 29, 29), (V5, 100, 30)],
)
def test_who_can_be_told_gets_no_longer_keep_alive_than_the_limit(version, asked_s, granted_s):
    connect = Connect("c", version, keep_alive_s=asked_s)
    assert granted_keep_alive_s(connect, OPTIONS) == granted_s
    told = offer(connect, OPTIONS, "auto").server_keep_alive_s
    assert told == (None if version is V3 or asked_s == granted_s else granted_s)


def test_without_a_limit_every_keep_alive_is_as_asked():
    options = SessionOptions(keep_alive_s_max=65_535)
    for asked_s in (0, 1, 65_535):
        assert granted_keep_alive_s(Connect("c", V5, keep_alive_s=asked_s), options) == asked_s


def test_only_what_differs_from_the_request_is_told():
    offered = offer(Connect("c", V5, keep_alive_s=10), OPTIONS, "auto")
    assert (offered.session_expiry_interval_s, offered.server_keep_alive_s) == (None, None)
    assert offered.assigned_client_id is None
    assert offer(Connect("", V5), OPTIONS, "auto").assigned_client_id == "auto"
    assert offer(Connect("", V3), OPTIONS, "auto") == Properties()
