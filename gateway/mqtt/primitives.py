"""The data representations of the wire: integers, strings, binary fields; each way there and back.

`FieldReader` walks the body of one packet that has arrived whole. What the fields mean is its
callers' affair.
"""

from __future__ import annotations

import re

from gateway.errors import MalformedPacket

SEVEN_BITS = 0x7F
CONTINUATION_BIT = 0x80
VARIABLE_BYTE_INTEGER_BYTES_MAX = 4
VARIABLE_BYTE_INTEGER_MAX = 268_435_455
TWO_BYTE_INTEGER_MAX = 0xFFFF
FOUR_BYTE_INTEGER_MAX = 0xFFFF_FFFF
SHOWN_CHARACTERS_MAX = 64
NULL_CHARACTER = "\x00"
# The last two code points of each of Unicode's 17 planes are no characters, nor are 32 others.
LAST_OF_PLANES = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
UNPRINTABLE = re.compile(f"[\x01-\x1f\x7f-\x9f\ufdd0-\ufdef{LAST_OF_PLANES}]")


def read_variable_byte_integer(
    buffer: bytes | bytearray | memoryview, start: int
) -> tuple[int, int] | None:
    """Read the variable byte integer that begins at `buffer[start]`, however many bytes it took.

    Returns ``(value, end)``, where `end` is the index just after its last byte, or None when
    `buffer` stops before the integer does.

    Raises:
        MalformedPacket: it is longer than four bytes.

    Spec: MQTT5 §1.5.5, MQTT311 §2.2.3
    """
    if start < len(buffer) and buffer[start] < CONTINUATION_BIT:
        return buffer[start], start + 1
    value = 0
    for length in range(VARIABLE_BYTE_INTEGER_BYTES_MAX):
        if start + length >= len(buffer):
            return None
        byte = buffer[start + length]
        value |= (byte & SEVEN_BITS) << (7 * length)
        if not byte & CONTINUATION_BIT:
            return value, start + length + 1
    raise MalformedPacket("a variable byte integer is longer than four bytes")


def check_is_shortest(value: int, length: int) -> None:
    """Refuse a variable byte integer that took more bytes than its value needs.

    Raises:
        MalformedPacket: it did. (MQTT 5 only; 3.1.1 doesn't forbid it.)
    """
    if length > 1 and value < 1 << 7 * (length - 1):  # [MQTT5-1.5.5-1]
        raise MalformedPacket("a variable byte integer is longer than its value needs")


def encode_variable_byte_integer(value: int) -> bytes:
    """Write a number in as few bytes as it needs.

    Raises:
        ValueError: it is negative or more than four bytes hold.
    """
    if 0 <= value <= SEVEN_BITS:
        return bytes((value,))
    if not 0 <= value <= VARIABLE_BYTE_INTEGER_MAX:
        raise ValueError(f"{value} does not fit a variable byte integer")
    encoded = bytearray()
    while value > SEVEN_BITS:
        encoded.append(value & SEVEN_BITS | CONTINUATION_BIT)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_byte(value: int) -> bytes:
    """Write a number as one byte; ValueError when it does not fit."""
    return bytes((value,))


def encode_two_byte_integer(value: int) -> bytes:
    """Write a number big-endian in two bytes; ValueError when it does not fit."""
    if not 0 <= value <= TWO_BYTE_INTEGER_MAX:
        raise ValueError(f"{value} does not fit two bytes")
    return value.to_bytes(2, "big")


def encode_four_byte_integer(value: int) -> bytes:
    """Write a number big-endian in four bytes; ValueError when it does not fit."""
    if not 0 <= value <= FOUR_BYTE_INTEGER_MAX:
        raise ValueError(f"{value} does not fit four bytes")
    return value.to_bytes(4, "big")


def encode_binary(value: bytes) -> bytes:
    """Write bytes behind their length; ValueError when they are longer than 65,535."""
    return encode_two_byte_integer(len(value)) + value


def encode_string(value: str) -> bytes:
    """Write a text as UTF-8 behind its length in bytes.

    Raises:
        ValueError: it holds U+0000 or a surrogate, or is longer than 65,535 bytes.
    """
    if NULL_CHARACTER in value:  # [MQTT5-1.5.4-2] [MQTT311-1.5.3-2]
        raise ValueError("a string of the wire must not hold U+0000")
    return encode_binary(value.encode())  # [MQTT5-1.5.4-1] [MQTT311-1.5.3-1]


def encode_string_pair(pair: tuple[str, str]) -> bytes:
    """Write a name and a value, both as strings."""
    name, value = pair
    return encode_string(name) + encode_string(value)


def decode_string(encoded: bytes, what: str) -> str:
    """Read UTF-8 text as the specification allows it; U+FEFF stays the character that it is.

    Raises:
        MalformedPacket: it is not well-formed UTF-8 (which includes surrogates), or holds U+0000.
    """
    try:
        # The codec takes no byte order mark away [MQTT5-1.5.4-3] [MQTT311-1.5.3-3].
        text = encoded.decode()  # [MQTT5-1.5.4-1] [MQTT311-1.5.3-1]
    except UnicodeDecodeError as error:
        raise MalformedPacket(f"the {what} is not UTF-8: {error.reason} at {error.start}") from None
    # [MQTT5-1.5.4-2] [MQTT5-4.7.3-2] [MQTT311-1.5.3-2] [MQTT311-4.7.3-2]
    if NULL_CHARACTER in text:
        raise MalformedPacket(f"the {what} holds U+0000")
    return text


def shown(text: str) -> str:
    """A text from outside as an error may show it: short, quoted, control characters escaped."""
    return repr(text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "…")


def check_name(text: str, what: str) -> None:
    """Refuse control characters and non-characters in what others will see as a name.

    The specification leaves that to us; names end up in logs and on terminals, so there we do.

    Raises:
        MalformedPacket: `text` has such a character.

    Spec: MQTT5 §1.5.4, MQTT311 §1.5.3
    """
    # Nearly every name is plain; the search is for the others.
    if not text.isprintable() and (found := UNPRINTABLE.search(text)):
        raise MalformedPacket(f"the {what} holds the control character U+{ord(found[0]):04X}")


def encode_name(value: str, what: str) -> bytes:
    """Write a text that others will see as a name."""
    check_name(value, what)
    return encode_string(value)


class FieldReader:
    """Takes one field after the other from the bytes of a packet, or of a part of it.

    Every method takes `what`, the name of the field, for the error that says where the bytes ran
    out; all raise MalformedPacket then.
    """

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._body) - self._at

    def take(self, length: int, what: str) -> bytes:
        """The next `length` bytes."""
        start = self._at
        end = start + length
        if end > len(self._body):
            raise MalformedPacket(
                f"the {what} needs {length} bytes, and {self.remaining} are left in its place"
            )
        self._at = end
        return self._body[start:end]

    def rest(self) -> bytes:
        """All bytes that are left; maybe none."""
        return self.take(self.remaining, "rest")

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def two_byte_integer(self, what: str) -> int:
        return int.from_bytes(self.take(2, what), "big")

    def four_byte_integer(self, what: str) -> int:
        return int.from_bytes(self.take(4, what), "big")

    def variable_byte_integer(self, what: str) -> int:
        found = read_variable_byte_integer(self._body, self._at)
        if found is None:
            raise MalformedPacket(f"the {what} is cut short")
        value, end = found
        check_is_shortest(value, end - self._at)
        self._at = end
        return value

    def binary(self, what: str) -> bytes:
        return self.take(self.two_byte_integer(what), what)

    def string(self, what: str) -> str:
        return decode_string(self.binary(what), what)

    def name(self, what: str) -> str:
        """A string that others will see as a name."""
        text = self.string(what)
        check_name(text, what)
        return text

    def string_pair(self, what: str) -> tuple[str, str]:
        return self.string(what), self.string(what)  # [MQTT5-1.5.7-1]

    def finish(self, packet_name: str) -> None:
        """Refuse bytes after the last field."""
        if self.remaining:
            raise MalformedPacket(f"{packet_name} has {self.remaining} bytes after its last field")
