"""Reads the wire vectors: hex with a note per field, and the packet or the error that it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from gateway import mqtt
from gateway.documents import Node, read_document
from gateway.errors import MqttError
from gateway.mqtt import ProtocolVersion, ReasonCode, Sender

FOLDER = Path(__file__).parent
TOKEN = r"(?:'[^']*'|[0-9A-F]{2})"
LINE = re.compile(rf"((?:{TOKEN}\s+)+)# (\S.*)")
VERSIONS = {
    "3.1.1": (ProtocolVersion.V3_1_1,),
    "5": (ProtocolVersion.V5,),
    "both": (ProtocolVersion.V3_1_1, ProtocolVersion.V5),
}
KEYS = {
    "name", "version", "sender", "spec", "wire", "packet", "fields", "canonical", "error", "says",
    "maximum_packet_size",
}  # fmt: skip

READERS = {
    bool: {"true": True, "false": False}.__getitem__,
    ReasonCode: ReasonCode.__getitem__,
    ProtocolVersion: lambda number: ProtocolVersion(int(number)),
}


@dataclass(frozen=True)
class Vector:
    """One packet on the wire, in one version; `version` is None for the first of a connection."""

    name: str
    file: str
    wire: bytes
    version: ProtocolVersion | None
    sender: Sender
    spec: tuple[str, ...]
    packet: Any
    error: tuple[str, int] | None
    says: str
    canonical: bool
    maximum_packet_size: int

    def __str__(self) -> str:
        version = "" if self.version is None else f" v{self.version}"
        return f"{self.file}{version}: {self.name}"


def load_vectors(*names: str) -> list[Vector]:
    """Every vector of the files of these names, or of all files, in each of its versions."""
    return [
        vector
        for path in sorted(FOLDER.glob("*.yaml"))
        if not names or path.stem in names
        for entry in read_document(path).get("vectors").value
        for vector in read_entry(texts(entry), path.stem)
    ]


def decode(vector: Vector, wire: Any, start: int = 0) -> Any:
    """Read bytes as the vector's own would be read."""
    if vector.version is None:
        return mqtt.decode_connect(wire, start, vector.maximum_packet_size)
    return mqtt.decode_packet(
        wire, start, vector.version, vector.maximum_packet_size, vector.sender
    )


def check(vector: Vector) -> None:
    """Assert that the codec reads and writes what the vector says."""
    if vector.error is None:
        assert decode(vector, vector.wire) == (vector.packet, len(vector.wire))
        if vector.canonical:
            version = vector.version or vector.packet.version
            assert mqtt.encode_packet(vector.packet, version) == vector.wire
        return
    with pytest.raises(MqttError) as caught:
        decode(vector, vector.wire)
    assert (type(caught.value).__name__, caught.value.reason_code) == vector.error
    assert vector.says in str(caught.value)


def texts(node: Node) -> Any:
    """A node as lists and dicts of text, as it is written."""
    if node.kind == "list":
        return [texts(item) for item in node.value]
    if node.kind == "mapping":
        return {key.source: texts(item) for key, item in node.value}
    return node.source


def read_entry(entry: dict[str, Any], file: str) -> list[Vector]:
    assert set(entry) <= KEYS, f"{file}: {entry['name']}: {set(entry) - KEYS}"
    assert ("packet" in entry) != ("error" in entry), entry["name"]
    versions = VERSIONS[entry["version"]] if "version" in entry else (None,)
    return [
        Vector(
            name=entry["name"],
            file=file,
            wire=read_wire(entry["wire"]),
            version=version,
            sender=Sender(entry.get("sender", "client")),
            spec=tuple(entry.get("spec", ())),
            packet=read_packet(entry) if "packet" in entry else None,
            error=read_error(entry["error"]) if "error" in entry else None,
            says=entry.get("says", ""),
            canonical=entry.get("canonical") != "false",
            maximum_packet_size=int(entry.get("maximum_packet_size", 1 << 29)),
        )
        for version in versions
    ]


def read_wire(text: str) -> bytes:
    wire = b""
    for line in text.strip().splitlines():
        match = LINE.fullmatch(line.strip())
        assert match, f"write hex and 'text', then # and a note: {line}"
        for token in re.findall(TOKEN, match[1]):
            wire += token[1:-1].encode() if token[0] == "'" else bytes.fromhex(token)
    return wire


def read_error(text: str) -> tuple[str, int]:
    name, code = text.split()
    return name, int(code, 16)


def read_packet(entry: dict[str, Any]) -> Any:
    return build(getattr(mqtt, entry["packet"]), entry["fields"])


def build(kind: Any, values: dict[str, Any]) -> Any:
    """A packet, or a part of one, from texts; what they become is in the hints of its class."""
    hints = get_type_hints(kind)
    return kind(**{name: read_value(hints[name], value) for name, value in values.items()})


def read_value(hint: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return build(mqtt.Properties if hint is mqtt.Properties else mqtt.Will, value)
    if isinstance(value, list):
        return tuple(read_item(str(hint), each) for each in value)
    if hint in READERS:
        return READERS[hint](value)
    if "bytes" in str(hint):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
    return int(value) if "int" in str(hint) else value


def read_item(hint: str, value: Any) -> Any:
    if isinstance(value, dict):
        return build(mqtt.Subscription, value)
    if isinstance(value, list):
        return tuple(value)
    if "ReasonCode" in hint:
        return ReasonCode[value]
    return int(value) if "int" in hint else value
