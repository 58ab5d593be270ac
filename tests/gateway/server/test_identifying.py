from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.devices import Device, GroupBook, Registry, encode_device, key_of, new_key
from gateway.server.access_options import AccessOptions
from gateway.server.identifying import Certificate, Identifier, check_admitted
from gateway.server.permits import CLAIM, Proof
from gateway.server.vouching import NotAdmitted, Vouching
from gateway.session import OpenState

SECRET = new_key(bytes(32))
KEY = Proof("key")


@pytest.fixture
def identifier():
    devices = [Device("p", has_certificate=True), Device("q", keys=(key_of(SECRET, 0),))]
    registry = Registry({one.id: encode_device(one) for one in devices})
    options = AccessOptions()
    vouching = Vouching(registry, GroupBook(), options, ManualClock())
    return Identifier(registry, options, vouching)


def certificate(name):
    return Certificate({"subject": ((("commonName", name),),)})


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
    check_admitted(Device("p"), wish("p/x"), "auto-1", KEY)
    check_admitted(Device("p"), wish("auto-1", KEY), "auto-1", KEY)
    with pytest.raises(NotAdmitted, match="must be 'p', or begin with 'p/'"):
        check_admitted(Device("p"), wish("auto-2"), "auto-1", KEY)


def test_who_enrols_names_the_id_that_it_wishes_for():
    check_admitted(Device("p", status="pending"), wish("p"), "auto-1", Proof(CLAIM))
    with pytest.raises(NotAdmitted, match="can't be empty"):
        check_admitted(Device("auto-1"), wish("auto-1"), "auto-1", Proof(CLAIM))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("enrol/none", SECRET.encode()),
        ("q", b"group=none&device=q&expires=1&sig=" + b"0" * 64),
        ("q", b"group=none"),
    ],
)
def test_a_group_that_there_is_not_vouches_for_nobody(identifier, username, password):
    with pytest.raises(NotAdmitted, match="wrong user name or key") as caught:
        identifier.identify(wish("q", username, password), None)
    assert caught.value.is_guess
