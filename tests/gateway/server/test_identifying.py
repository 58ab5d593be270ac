from __future__ import annotations

import pytest

from gateway.devices import Device, Registry, encode_device, key_of, new_key
from gateway.server.access_options import AccessOptions
from gateway.server.identifying import Identifier, NotAdmitted, check_admitted
from gateway.session import OpenState

SECRET = new_key(bytes(32))


@pytest.fixture
def identifier():
    devices = [Device("p", has_certificate=True), Device("q", keys=(key_of(SECRET, 0),))]
    registry = Registry({one.id: encode_device(one) for one in devices})
    return Identifier(registry, AccessOptions())


def certificate(name):
    return {"subject": ((("commonName", name),),)}


def wish(client_id="p", username=None, password=None):
    return OpenState(client_id, True, 0, username, password)


def test_a_certificate_says_who_its_client_is(identifier):
    for username in (None, "p"):
        shown = identifier.identify(wish(username=username), certificate("p"))
        assert (shown.device.id, shown.proof.kind) == ("p", "certificate")


@pytest.mark.parametrize(
    ("name", "username", "message"),
    [
        ("p", "q", "the certificate is that of 'p'"),
        ("q", None, "no device 'q' is registered with a certificate"),
        ("x", None, "no device 'x' is registered with a certificate"),
    ],
)
def test_a_certificate_is_no_proof_for_another(identifier, name, username, message):
    with pytest.raises(NotAdmitted, match=message):
        identifier.identify(wish(username=username), certificate(name))


def test_a_key_says_it_too_and_nothing_shows_nothing(identifier):
    shown = identifier.identify(wish(username="q", password=SECRET.encode()), None)
    assert (shown.device.id, shown.proof.kind) == ("q", "key")
    assert identifier.identify(wish(), None) is None


@pytest.mark.parametrize("username", ["q", "p", "x", None])
def test_what_is_wrong_is_wrong_in_one_way(identifier, username):
    with pytest.raises(NotAdmitted, match="wrong user name or key") as caught:
        identifier.identify(wish(username=username, password=b"x"), None)
    assert caught.value.is_guess


def test_a_client_is_named_for_its_device():
    check_admitted(Device("p"), wish("p/x"), "auto-1")
    check_admitted(Device("p"), wish("auto-1"), "auto-1")
    with pytest.raises(NotAdmitted, match="must be 'p', or begin with 'p/'"):
        check_admitted(Device("p"), wish("auto-2"), "auto-1")
