"""Merge patches of JSON objects: applied, found between two objects, held within limits.

An object is never changed in place, so that older versions may be kept.

Spec: RFC 7396
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.errors import PenstockError

Document = dict[str, Any]
DOCUMENT_BYTES_MAX: Final = 32 << 10
DEPTH_MAX: Final = 10
KEYS_MAX: Final = 1_000
KEY_BYTES_MAX: Final = 256
RESERVED: Final = "$"


class DocumentRefused(PenstockError):
    """A patch, or what it would make, is beyond a limit; the message says which."""


def read_object(payload: bytes) -> Document:
    """A JSON object from bytes that anybody may have sent.

    Raises:
        DocumentRefused: it is something else, or too large.
    """
    if len(payload) > DOCUMENT_BYTES_MAX:
        raise DocumentRefused(f"{len(payload)} bytes; at most {DOCUMENT_BYTES_MAX} are taken")
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DocumentRefused(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DocumentRefused('a JSON object is needed, such as {"interval_s": 5}')
    return found


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> Document:
    """The object that a patch makes of another; null removes."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Document:
    """The smallest patch that makes `after` of `before`; empty if they are equal."""
    patch: Document = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
            continue
        old = before[key]
        if isinstance(old, dict) and isinstance(value, dict):
            below = difference(old, value)
            if below:
                patch[key] = below
        elif not _are_same(old, value):
            patch[key] = value
    return patch


def _are_same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where true is not 1."""
    return one is other or orjson.dumps(one) == orjson.dumps(other)


def check_document(document: Mapping[str, Any], what: str) -> None:
    """See that an object is within the limits.

    Raises:
        DocumentRefused: it isn't; `what` it is stands in the message.
    """
    count = 0
    for key, depth in _keys(document):
        count += 1
        if depth > DEPTH_MAX:
            raise DocumentRefused(f"{what} is nested deeper than {DEPTH_MAX} levels")
        if not key or key.startswith(RESERVED) or not key.isprintable():
            raise DocumentRefused(
                f"{what}: {key[:40]!r} can't be a name: use printable characters, no $ in front"
            )
        if len(key.encode()) > KEY_BYTES_MAX:
            raise DocumentRefused(f"{what}: a name has more than {KEY_BYTES_MAX} bytes")
    if count > KEYS_MAX:
        raise DocumentRefused(f"{what} has {count} names; at most {KEYS_MAX}")
    size = len(orjson.dumps(document))
    if size > DOCUMENT_BYTES_MAX:
        raise DocumentRefused(f"{what} would have {size} bytes; at most {DOCUMENT_BYTES_MAX}")


def _keys(document: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every name in an object, with how deep it stands; lists count as a level."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict):
            for key, below in value.items():
                yield key, depth
                waiting.append((below, depth + 1))
        elif isinstance(value, list):
            if depth > DEPTH_MAX + 1:
                yield "list", depth
                return
            waiting.extend((item, depth + 1) for item in value)
