from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.listeners.proxy_protocol import (
    REST_BYTES_MAX,
    SIGNATURE,
    Header,
    ProxyHeaderInvalid,
    decode_proxy_header,
)

# The specification's own example of a line, and binary headers written out by hand from its §2.2.
VECTORS = {
    "a line for IPv4": (
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        ("192.168.0.1", 56324),
    ),
    "a line for IPv6": (
        b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n",
        ("2001:db8::7", 1),
    ),
    "a line about nobody": (b"PROXY UNKNOWN\r\n", None),
    "a line about nobody, with words to ignore": (
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        None,
    ),
    "binary, IPv4": (
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a"  # signature
            "21"  # version 2, PROXY
            "11"  # TCP over IPv4
            "000c"  # 12 bytes follow
            "c0000207 7f000001"  # 192.0.2.7, 127.0.0.1
            "d431 075b"  # 54321, 1883
        ),
        ("192.0.2.7", 54321),
    ),
    "binary, IPv6, with a TLV behind": (
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a"
            "21"
            "21"  # TCP over IPv6
            "0029"  # 36 bytes of addresses, 5 of TLV
            "20010db8000000000000000000000007"
            "00000000000000000000000000000001"
            "0001 22b3"
            "04 0002 0000"  # PP2_TYPE_NOOP
        ),
        ("2001:db8::7", 1),
    ),
    "binary, the balancer itself": (
        bytes.fromhex("0d0a0d0a000d0a515549540a 20 00 0000"),
        None,
    ),
    "binary, itself, with addresses to ignore": (
        bytes.fromhex("0d0a0d0a000d0a515549540a 20 11 000c c0000207 7f000001 d431 075b"),
        None,
    ),
    "binary, a UNIX socket": (
        bytes.fromhex("0d0a0d0a000d0a515549540a 21 31 00d8") + bytes(216),
        None,
    ),
    "binary, UDP": (
        bytes.fromhex("0d0a0d0a000d0a515549540a 21 12 000c c0000207 7f000001 d431 075b"),
        None,
    ),
}

BROKEN = {
    "an MQTT CONNECT": bytes.fromhex("100c00044d51545404020000000000"),
    "a TLS ClientHello": bytes.fromhex("160301020001"),
    "a wrong signature": SIGNATURE[:-1] + b"\r",
    "version 1 in binary": SIGNATURE + bytes.fromhex("1111000c") + bytes(12),
    "version 3": SIGNATURE + bytes.fromhex("3111000c") + bytes(12),
    "an unknown command": SIGNATURE + bytes.fromhex("2211000c") + bytes(12),
    "too short for its addresses": SIGNATURE + bytes.fromhex("2111000b") + bytes(11),
    "too short for IPv6": SIGNATURE + bytes.fromhex("2121000c") + bytes(12),
    "more than anybody sends": SIGNATURE + bytes.fromhex("2111ffff"),
    "a line of another protocol": b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "a line with too few words": b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "a line with too many words": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    "a line with two spaces": b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
    "a line with a family that doesn't fit": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "a line with a host name": b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n",
    "a port with a zero in front": b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    "a port that is too large": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    "a port below zero": b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    "a line that never ends": b"PROXY UNKNOWN" + b" " * 100,
    "an end beyond the longest line": b"PROXY UNKNOWN" + b" " * 93 + b"\r\n",
    "a line that is not ASCII": "PROXY TCP4 1.2.3.4 1.2.3.4 \u0661 2\r\n".encode(),
    "small letters": b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
}


@pytest.mark.parametrize(("header", "client"), VECTORS.values(), ids=VECTORS.keys())
def test_a_header_tells_the_client_and_where_it_ends(header, client):
    assert decode_proxy_header(header) == Header(client, len(header))
    assert decode_proxy_header(header + b"\x10\r\n") == Header(client, len(header))


@pytest.mark.parametrize(("header", "client"), VECTORS.values(), ids=VECTORS.keys())
def test_a_header_cut_anywhere_is_incomplete(header, client):
    assert [decode_proxy_header(header[:length]) for length in range(len(header))] == [None] * len(
        header
    )


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_anything_else_is_refused(data):
    with pytest.raises(ProxyHeaderInvalid):
        decode_proxy_header(data)


def test_the_longest_line_is_taken():
    line = b"PROXY UNKNOWN" + b" " * 92 + b"\r\n"
    assert len(line) == 107
    assert decode_proxy_header(line) == Header(None, 107)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=64),
        st.binary(max_size=64).map(lambda rest: SIGNATURE + rest),
        st.binary(max_size=64).map(lambda rest: b"PROXY " + rest),
        st.binary(max_size=64).map(lambda rest: b"PROXY TCP4 1.2.3.4 " + rest + b"\r\n"),
    )
)
def test_any_bytes_are_a_header_or_incomplete_or_refused(data):
    try:
        header = decode_proxy_header(data)
    except ProxyHeaderInvalid:
        return
    if header is None:
        assert len(data) < 16 + REST_BYTES_MAX
    else:
        assert 0 < header.end <= len(data)


addresses = st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)) | st.tuples(
    st.ip_addresses(v=6), st.ip_addresses(v=6)
)
ports = st.integers(0, 0xFFFF)


@settings(max_examples=300, deadline=None)
@given(addresses, ports, ports, st.binary(max_size=40), st.booleans())
def test_what_a_balancer_writes_is_read_back(pair, source_port, target_port, tlvs, is_binary):
    source, target = pair
    if is_binary:
        family = b"\x11" if isinstance(source, ipaddress.IPv4Address) else b"\x21"
        body = source.packed + target.packed
        body += source_port.to_bytes(2, "big") + target_port.to_bytes(2, "big") + tlvs
        header = SIGNATURE + b"\x21" + family + len(body).to_bytes(2, "big") + body
    else:
        line = f"PROXY TCP{source.version} {source} {target} {source_port} {target_port}\r\n"
        header = line.encode()
    assert decode_proxy_header(header + b"\x10") == Header((str(source), source_port), len(header))
