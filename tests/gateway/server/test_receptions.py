from __future__ import annotations

from gateway.server.receptions import Receptions


def test_what_is_underway_is_known_by_client_and_in_order():
    receptions = Receptions()
    receptions.begin("a", [b"\x00\x02"])
    receptions.begin("a", [b"\x00\x01", b"\x00\x02"])
    receptions.begin("b", [b"\x00\x09"])
    assert receptions.of("a") == [b"\x00\x02", b"\x00\x01"]
    receptions.end("a", [b"\x00\x02", b"\x00\x07"])
    assert (receptions.of("a"), receptions.of("b")) == ([b"\x00\x01"], [b"\x00\x09"])


def test_nothing_is_kept_of_a_client_whose_packets_are_in_the_log():
    receptions = Receptions()
    receptions.begin("a", [b"\x00\x01"])
    receptions.end("a", [b"\x00\x01"])
    receptions.end("a", [b"\x00\x01"])
    assert (receptions.of("a"), vars(receptions)) == ([], {"_by_client": {}})
