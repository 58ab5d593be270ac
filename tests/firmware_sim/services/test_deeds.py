from __future__ import annotations

from firmware_sim.services.deeds import Tell
from gateway.mqtt import Properties


def test_what_is_told_has_no_properties_unless_it_is_given_some():
    assert Tell("a", b"x", "answered").properties == Properties()
