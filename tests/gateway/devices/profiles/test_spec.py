from __future__ import annotations

from gateway.devices import Profile
from gateway.devices.decoders.frame_layout import Bits, Part
from gateway.devices.profiles.spec import PayloadSpec


def test_a_format_knows_its_names_or_takes_any():
    assert PayloadSpec("json").names is None
    assert PayloadSpec("csv", columns=("a", "-")).names == ("a",)
    assert PayloadSpec("number").names == ()
    assert PayloadSpec("text", name="t").names == ("t",)
    layout = (Part("", "u8", bits=(Bits("a", 0, 0),)), Part("b", "u8"))
    assert PayloadSpec("frame", layout=layout).names == ("a", "b")


def test_payloads_are_looked_at_before_they_are_stored_only_where_they_can_be_refused():
    assert not Profile("p").checks_on_ingest
    assert Profile("p", undecodable="reject").checks_on_ingest
    assert Profile("p", invalid="reject").checks_on_ingest


def test_dead_letters_are_looked_for_only_where_there_can_be_some():
    assert Profile("p").is_inspected
    assert not Profile("p", undecodable="ignore").is_inspected
