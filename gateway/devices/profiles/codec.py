"""From a profile to the functions that decode its payloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.devices.decoders.cbor import cbor_decoder
from gateway.devices.decoders.fields import Finish, fields_decoder
from gateway.devices.decoders.frame_code import frame_decoder
from gateway.devices.decoders.json_text import json_decoder
from gateway.devices.decoders.limits import Decode, PayloadInvalid
from gateway.devices.decoders.messagepack import messagepack_decoder
from gateway.devices.decoders.plain_text import csv_decoder, number_decoder, text_decoder
from gateway.devices.decoders.protobuf import protobuf_decoder
from gateway.devices.decoders.schemas import Check, schema_check
from gateway.devices.profiles.spec import INVALID_FIELD, Format, Profile


def build_decoder(profile: Profile) -> Decode:
    """A function from payloads to what rules and readers see of them.

    It raises PayloadInvalid for a payload with wrong values, unless they are tagged or ignored.

    Raises:
        PenstockError: the schema or the descriptor of the profile can't be used.
    """
    decode = build_format(profile)
    finish = _finish_with(profile)
    is_json = profile.payload.format == "json"
    if profile.schema is not None:
        decode = _checked(decode, schema_check(profile.schema), finish)
        is_json = False
    if not profile.fields and profile.time is None:
        return decode
    json_limits = profile.limits if is_json else None
    return fields_decoder(decode, profile.fields, profile.time, finish, json_limits)


def _checked(decode: Decode, check: Check, finish: Finish) -> Decode:
    """Hold each payload against a schema, as it was sent."""

    def decode_checked(raw: bytes) -> Any:
        value = decode(raw)
        complaint = check(value)
        return finish(value, [complaint]) if complaint else value

    return decode_checked


def build_format(profile: Profile) -> Decode:
    """A function from payloads to JSON values, as the profile's format has them.

    Raises:
        PenstockError: the descriptor of the profile can't be used.
    """
    return FORMATS[profile.payload.format](profile)


def _csv(profile: Profile) -> Decode:
    texts = frozenset(field.source[0] for field in profile.fields if field.type == "text")
    payload = profile.payload
    return csv_decoder(profile.limits, payload.columns, payload.separator, texts)


FORMATS: Mapping[Format, Callable[[Profile], Decode]] = {
    "json": lambda profile: json_decoder(profile.limits),
    "cbor": lambda profile: cbor_decoder(profile.limits),
    "messagepack": lambda profile: messagepack_decoder(profile.limits),
    "protobuf": lambda profile: protobuf_decoder(
        profile.limits, profile.payload.descriptor, profile.payload.message
    ),
    "number": lambda profile: number_decoder(profile.limits, profile.payload.name),
    "text": lambda profile: text_decoder(profile.limits, profile.payload.name),
    "csv": _csv,
    "frame": lambda profile: frame_decoder(profile.payload.layout, profile.limits),
}


def _finish_with(profile: Profile) -> Finish:
    """What becomes of a payload with wrong values."""
    if profile.invalid == "ignore":
        return lambda value, bad: value

    def refuse(value: Any, bad: list[str]) -> Any:
        raise PayloadInvalid("; ".join(bad))

    def tag(value: Any, bad: list[str]) -> Any:
        if type(value) is not dict:
            return refuse(value, bad)
        value[INVALID_FIELD] = "; ".join(bad)
        return value

    return tag if profile.invalid == "tag" else refuse
