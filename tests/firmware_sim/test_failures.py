from __future__ import annotations

from firmware_sim.failures import ServerAbsent, ServerRefused
from gateway.errors import PenstockError


def test_an_absent_server_is_one_line_that_says_where_why_and_what_to_do():
    error = ServerAbsent("10.0.0.7", 1883, "Connection refused")
    assert isinstance(error, PenstockError)
    assert str(error) == (
        "no MQTT server at 10.0.0.7:1883: Connection refused; "
        "start one with 'penstock serve', or say --host and --port"
    )


def test_a_refusal_names_the_client_and_the_reason():
    error = ServerRefused("localhost", 1883, "pump-1", "NOT_AUTHORIZED")
    assert "refuses client 'pump-1': NOT_AUTHORIZED" in str(error)
