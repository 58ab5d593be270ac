from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple

import pytest

from gateway.server.listeners.handshakes import PATIENCE_MS
from gateway.server.listeners.tls import TlsLayer
from gateway.server.listeners.tls_files import build_context
from tests.harness.tls_client import TlsClient
from tests.harness.transports import FakeTransport, Listener

CONNECT = bytes.fromhex("100c00044d51545404020000000000")


class Ends(NamedTuple):
    """A TLS connection with everything around it."""

    client: TlsClient
    wire: FakeTransport
    layer: TlsLayer
    upper: Listener


@pytest.fixture
def build(certificates_made, handshakes):
    """Make both ends of a connection; the handshake is still to come."""
    plain = build_context(certificates_made.options())

    def make(server=plain, client=None):
        wire, upper = FakeTransport(), Listener()
        layer = TlsLayer(upper, lambda: server, handshakes)
        wire.connect(layer)
        client = TlsClient(wire, client or certificates_made.client_context())
        return Ends(client, wire, layer, upper)

    return make


@pytest.fixture
async def ends(build):
    """A connection whose handshake is done."""
    ends = build()
    await ends.client.connect()
    return ends


def pinned(context, version):
    context.minimum_version = context.maximum_version = version
    return context


async def readable(wire):
    async with asyncio.timeout(10):
        await wire.readable.wait()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 20])
async def test_plain_bytes_pass_both_ways(build, certificates_made, version, piece_bytes):
    client, _, layer, upper = build(client=pinned(certificates_made.client_context(), version))
    await client.connect(piece_bytes=piece_bytes)
    client.send(b"up", piece_bytes=piece_bytes)
    layer.write(b"down")
    assert (upper.received, client.receive()) == (b"up", b"down")
    assert client.tls.version().replace(".", "_") == version.name


async def test_old_versions_are_refused(build, certificates_made):
    context = certificates_made.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        pinned(context, ssl.TLSVersion.TLSv1_1)
    ends = build(client=context)
    with pytest.raises(ssl.SSLError):
        await ends.client.connect()
    assert ends.upper.is_lost


async def test_a_read_with_many_records_is_delivered_as_one(ends):
    for number in range(20):
        ends.client.tls.write(b"%02d" % number)
    ends.wire.deliver(ends.client.outgoing.read())
    assert ends.upper.received == b"".join(b"%02d" % number for number in range(20))
    assert ends.upper.deliveries == 1


async def test_large_amounts_pass_both_ways(ends):
    large = bytes(range(256)) * 4_000
    ends.client.send(large)
    ends.layer.write(memoryview(large))
    assert ends.upper.received == large
    assert ends.client.receive() == large


async def test_what_was_written_before_the_handshake_is_dropped(build):
    ends = build()
    ends.layer.write(b"early")
    assert ends.wire.take() == b""
    await ends.client.connect()
    assert ends.client.receive() == b""


async def test_nothing_is_read_during_a_step_whatever_the_protocol_above_wants(build):
    ends = build()
    with pytest.raises(ssl.SSLWantReadError):
        ends.client.tls.do_handshake()
    ends.wire.deliver(ends.client.outgoing.read())
    ends.layer.resume_reading()
    assert not ends.wire.is_reading_now
    await readable(ends.wire)


async def test_both_say_goodbye(ends):
    ends.layer.write(b"last")
    ends.layer.close()
    ends.layer.write(b"late")
    assert ends.client.receive() == b"last"
    assert ends.client.has_heard_goodbye
    assert not ends.wire.is_open


async def test_a_clients_goodbye_ends_the_connection(ends):
    ends.client.tls.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        ends.client.tls.unwrap()
    ends.wire.deliver(ends.client.outgoing.read())
    assert (ends.upper.received, ends.upper.is_lost) == (b"last", True)


async def test_a_damaged_record_ends_the_connection(ends):
    ends.client.tls.write(b"whole")
    ends.client.tls.write(b"damaged")
    records = bytearray(ends.client.outgoing.read())
    records[-1] ^= 1
    ends.wire.deliver(bytes(records))
    assert (ends.upper.received, ends.upper.is_lost) == (b"whole", True)


async def test_an_answer_to_what_came_before_the_damage_does_no_harm(ends):
    ends.upper.data_received = ends.layer.write
    ends.client.tls.write(b"whole")
    ends.client.tls.write(b"damaged")
    records = bytearray(ends.client.outgoing.read())
    records[-1] ^= 1
    ends.wire.deliver(bytes(records))
    assert ends.upper.is_lost
    ends.layer.data_received(b"late")


async def test_a_connection_that_closes_itself_hears_nothing_more(ends):
    ends.upper.data_received = lambda data: ends.layer.close()
    ends.client.send(bytes(200_000))
    assert ends.upper.is_lost


async def test_plain_mqtt_is_refused_with_its_cause(build, handshakes, caplog):
    ends = build()
    ends.wire.deliver(CONNECT)
    await readable(ends.wire)
    assert ends.upper.is_lost
    assert (handshakes.failed, len(handshakes)) == (1, 0)
    caplog.set_level("INFO")
    handshakes.tell()
    assert caplog.messages == [
        "1 TLS handshakes failed, the last from 192.0.2.9:5000: WRONG_VERSION_NUMBER"
    ]


async def test_a_client_that_leaves_during_a_step_leaves_nothing_behind(build, handshakes):
    ends = build()
    with pytest.raises(ssl.SSLWantReadError):
        ends.client.tls.do_handshake()
    ends.wire.deliver(ends.client.outgoing.read())
    ends.wire.close()
    other = build()
    await other.client.connect()
    assert ends.wire.take() == b""
    assert len(handshakes) == 0


async def test_a_handshake_beyond_the_budget_is_cut_off(build, handshakes):
    idlers = [build() for _ in range(3)]
    for ends in idlers:
        ends.wire.deliver(CONNECT[:1])
        await readable(ends.wire)
    late = build()
    late.wire.deliver(CONNECT[:1])
    assert late.wire.was_aborted
    assert handshakes.refused == 1


async def test_the_slowest_client_makes_room_for_the_next(build, clock):
    idlers = [build() for _ in range(3)]
    for ends in idlers:
        ends.wire.deliver(b"\x16")
        await readable(ends.wire)
    clock.advance(PATIENCE_MS)
    late = build()
    await late.client.connect()
    assert [ends.wire.was_aborted for ends in idlers] == [True, False, False]


async def test_a_certificate_is_asked_for_when_it_is_required(build, certificates_made):
    # In TLS 1.3 a client thinks that it is through before its certificate was looked at.
    client_context = pinned(certificates_made.client_context(), ssl.TLSVersion.TLSv1_2)
    ends = build(build_context(certificates_made.options("required")), client_context)
    with pytest.raises(ssl.SSLError):
        await ends.client.connect()
    assert ends.upper.is_lost


@pytest.mark.parametrize("mode", ["optional", "required"])
async def test_the_name_in_a_clients_certificate_can_be_asked(build, certificates_made, mode):
    client_context = certificates_made.client_context(certificates_made.client_leaf("pump-7"))
    ends = build(build_context(certificates_made.options(mode)), client_context)
    assert ends.layer.get_extra_info("peercert") is None
    await ends.client.connect()
    subject = dict(pair for (pair,) in ends.layer.get_extra_info("peercert")["subject"])
    assert subject["commonName"] == "pump-7"
    assert ends.layer.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_without_a_certificate_a_client_may_come_when_it_is_optional(
    build, certificates_made
):
    ends = build(build_context(certificates_made.options("optional")))
    await ends.client.connect()
    assert not ends.layer.get_extra_info("peercert")
    assert ends.wire.is_open


async def test_a_certificate_of_a_stranger_is_refused(build, certificates_made):
    stranger = certificates_made.server_ca.issue_cert(common_name="pump-7")
    client_context = certificates_made.client_context(stranger)
    ends = build(build_context(certificates_made.options("required")), client_context)
    await ends.client.connect()
    assert ends.upper.is_lost
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        ends.client.receive()


async def test_a_revoked_certificate_is_refused(build, certificates):
    good, bad = certificates.client_leaf("good"), certificates.client_leaf("bad")
    certificates.write_crl(bad)
    context = build_context(certificates.options("required", crl=True))
    refused = build(context, certificates.client_context(bad))
    await refused.client.connect()
    assert refused.upper.is_lost
    with pytest.raises(ssl.SSLError, match="REVOKED"):
        refused.client.receive()
    accepted = build(context, certificates.client_context(good))
    await accepted.client.connect()
    assert accepted.wire.is_open
