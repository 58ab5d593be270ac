from __future__ import annotations

import hashlib
import ssl
from types import SimpleNamespace

import pytest

from gateway.devices import EnrolmentGroup, GroupBook, encode_group
from gateway.server.certificates import authorities_of, certificate_of
from tests.harness.certificates import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def handshaken(certificates):
    """The server's end of a connection whose client has shown a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.folder / "server.pem", certificates.folder / "server.key")
    context.load_verify_locations(certificates.folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    pipes = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    server = context.wrap_bio(pipes[0], pipes[1], server_side=True)
    client_context = certificates.client_context(certificates.client_leaf("pump-7"))
    client = client_context.wrap_bio(pipes[1], pipes[0], server_hostname="localhost")
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return server


def connection_of(tls):
    extra = {"peercert": tls.getpeercert(), "ssl_object": tls}
    return SimpleNamespace(transport=SimpleNamespace(get_extra_info=extra.get))


def book(*authorities):
    groups = GroupBook()
    group = EnrolmentGroup("ca", "authority", "*", authorities=authorities)
    groups.put("ca", encode_group(group))
    return groups


def test_the_authority_that_signed_is_known_by_its_certificate(certificates, handshaken):
    pem = certificates.client_ca.cert_pem.bytes().decode()
    der = ssl.PEM_cert_to_DER_cert(pem)
    assert list(authorities_of(handshaken)) == [der]
    sign = hashlib.sha256(der).digest()
    found = certificate_of(connection_of(handshaken), book(b"other", sign))
    assert (found.group.id, found.sign) == ("ca", sign)


def test_a_certificate_of_another_authority_is_of_no_group(handshaken):
    for groups in (GroupBook(), book(b"other")):
        found = certificate_of(connection_of(handshaken), groups)
        assert found.group is None
        assert found.names["subject"]


def test_without_a_certificate_there_is_none():
    assert certificate_of(SimpleNamespace(transport=None), GroupBook()) is None
    mute = SimpleNamespace(get_extra_info=lambda _: None)
    assert certificate_of(SimpleNamespace(transport=mute), GroupBook()) is None
    assert authorities_of(None) == []


def test_newer_pythons_offer_the_chain_themselves():
    tls = SimpleNamespace(get_verified_chain=lambda: [b"leaf", b"ca"])
    assert authorities_of(tls) == [b"ca"]
