"""Protobuf payloads as JSON values, by the descriptor that `protoc --descriptor_set_out` writes."""

from __future__ import annotations

from typing import Any

from gateway.devices.decoders.limits import Decode, DecodeLimits, Undecodable
from gateway.devices.decoders.settling import Settling
from gateway.errors import PenstockError


class DescriptorInvalid(PenstockError):
    """A Protobuf descriptor can't be used; the text says why."""


def protobuf_decoder(limits: DecodeLimits, descriptor: bytes, message: str) -> Decode:
    """Decode messages of the type `message`; fields keep the names of the .proto file.

    Fields without a value have their default, as Protobuf has it; enums are their names, bytes
    hexadecimal text.

    Raises:
        DescriptorInvalid: the descriptor is none, lacks the message, or the library is missing.
    """
    kind = message_class(descriptor, message)
    from google.protobuf.message import DecodeError

    settling = Settling(limits)

    def decode(raw: bytes) -> Any:
        limits.check_size(raw)
        read = kind()
        try:
            read.ParseFromString(raw)
        except (DecodeError, ValueError, RecursionError) as error:
            raise Undecodable(f"not a {message}: {error}") from None
        return settling.settle(_plain(read, limits.depth_max))

    return decode


def message_class(descriptor: bytes, message: str) -> Any:
    """The class of one message type of a descriptor set.

    Raises:
        DescriptorInvalid: the descriptor is none, lacks the message, or the library is missing.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf.message import DecodeError
    except ImportError:
        raise DescriptorInvalid(
            "Protobuf needs the extra 'protobuf': pip install penstock[protobuf]"
        ) from None
    pool = descriptor_pool.DescriptorPool()
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor)
        for file in files.file:
            pool.Add(file)
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
    except KeyError:
        known = ", ".join(
            f"{file.package}.{own.name}".lstrip(".")
            for file in files.file
            for own in file.message_type
        )
        raise DescriptorInvalid(f"has no message '{message}'; it has {known or 'none'}") from None
    except (DecodeError, TypeError, ValueError) as error:
        raise DescriptorInvalid(f"is no descriptor set: {error}") from error


def _plain(message: Any, depth_left: int) -> dict[str, Any]:
    if depth_left <= 0:
        raise Undecodable("nested too deep")
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        found[field.name] = _field(field, value, depth_left)
    return found


def _field(field: Any, value: Any, depth_left: int) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"]
        return {
            key
            if isinstance(key, (str, int)) and not isinstance(key, bool)
            else str(key).lower(): _single(inner, value[key], depth_left)
            for key in value
        }
    if _is_repeated(field):
        return [_single(field, one, depth_left) for one in value]
    return _single(field, value, depth_left)


def _is_repeated(field: Any) -> bool:
    known = getattr(field, "is_repeated", None)
    return bool(field.label == field.LABEL_REPEATED if known is None else known)


def _single(field: Any, value: Any, depth_left: int) -> Any:
    if field.message_type is not None:
        return _plain(value, depth_left - 1)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    return value
