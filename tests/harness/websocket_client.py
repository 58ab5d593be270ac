"""WebSocket bytes by hand, from RFC 6455: requests and frames of a client, answers of a server."""

from __future__ import annotations

from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
# The key and the answer to it that RFC 6455 §1.3 works out.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def request(path: str = "/mqtt", **headers: str | None) -> bytes:
    """An upgrade request; a header is left out when its value is None."""
    fields = {
        "Host": "127.0.0.1:8083",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Protocol": "mqtt",
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes | None = b"\1\2\3\4"
) -> bytes:
    """A frame of a client, masked as it must be; `mask=None` makes one as servers send it."""
    length = len(payload)
    if length < 126:
        size = bytes([length])
    elif length < 1 << 16:
        size = b"\x7e" + length.to_bytes(2, "big")
    else:
        size = b"\x7f" + length.to_bytes(8, "big")
    head = bytes([fin << 7 | opcode])
    if mask is None:
        return head + size + payload
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return head + bytes([size[0] | 0x80]) + size[1:] + mask + masked


class Frame(NamedTuple):
    """A frame of the server; those of ours are never fragmented."""

    opcode: int
    payload: bytes


def read_frames(stream: bytes) -> list[Frame]:
    """Every frame of a server's stream, which must end with the last of them."""
    frames = []
    while stream:
        assert stream[0] & 0xF0 == 0x80, "fragmented, or reserved bits"
        length, start = stream[1], 2
        assert length < 128, "a server masks nothing"
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(stream[2:start], "big")
        assert len(stream) >= start + length, "half a frame"
        frames.append(Frame(stream[0] & 0x0F, stream[start : start + length]))
        stream = stream[start + length :]
    return frames
