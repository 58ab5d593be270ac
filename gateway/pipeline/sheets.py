"""One record on its way into a run, and how a derived one is marked."""

from __future__ import annotations

from typing import NamedTuple

from gateway.events import Flag, Origin
from gateway.mqtt import Properties, encode_properties

ID_PROPERTY = "penstock-id"
"""The user property that carries an output's id: equal ids are one output, delivered again."""

QOS_FLAGS = (0, Flag.QOS_1, Flag.QOS_2)


class Sheet(NamedTuple):
    """One record on its way into a run."""

    origin: Origin
    payload: bytes
    flags: int
    properties: bytes


def id_properties(output_id: str) -> bytes:
    """The properties of a record whose id is this."""
    return encode_properties(Properties(user_properties=((ID_PROPERTY, output_id),)))
