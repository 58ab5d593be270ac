"""Entries of the registry as rows of CSV and JSON files, there and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.cli.devices.quota_options import FIELDS, parts_of, quota_with
from gateway.devices import (
    DEVICE_ROLE,
    NO_QUOTA,
    STATUSES,
    Device,
    DeviceInvalid,
    Key,
    check_device,
    key_of,
)
from gateway.errors import Complaint

TAG_PREFIX = "tag:"
HASHES = ("key_sha256", "key2_sha256")
HASH_BYTES = 32
QUOTA_PREFIX = "quota_"
QUOTAS = tuple(f"{QUOTA_PREFIX}{name}" for name in FIELDS)
TEXTS = ("status", "role", "profile", "group", "password_argon2")
COLUMNS = ("device", *TEXTS[:4], "certificate", *HASHES, "password_argon2", "unused", *QUOTAS)
KNOWN = frozenset({*COLUMNS, "key", "tags"})
YES, NO = ("yes", "true", "1"), ("no", "false", "0", "")


class Row(NamedTuple):
    """One entry of a file, and the line that it stands on."""

    line: int
    fields: Mapping[str, Any]


class RowsInvalid(DeviceInvalid):
    """A file can't be read as rows."""


def read_rows(text: str, path: str) -> Iterator[Row]:
    """The rows of a file: JSON objects, in a list or one a line, or else CSV with a header.

    Raises:
        RowsInvalid: it is neither.
    """
    begin = text.lstrip()[:1]
    try:
        if begin == "[":
            for number, fields in enumerate(orjson.loads(text), start=1):
                yield Row(number, fields)
        elif begin == "{":
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip():
                    yield Row(number, orjson.loads(line))
        else:
            reader = csv.DictReader(io.StringIO(text), strict=True)
            for fields in reader:
                yield Row(reader.line_num, fields)
    except (orjson.JSONDecodeError, csv.Error) as error:
        raise RowsInvalid(f"{path} is neither JSON nor CSV: {error}") from error


def device_of(row: Row, now_ms: int) -> Device:
    """The entry that a row describes.

    Raises:
        DeviceInvalid: it describes none; says why.
    """
    fields = row.fields
    if not isinstance(fields, Mapping):
        raise DeviceInvalid("a row is an object with at least 'device'")
    unknown = [str(name) for name in fields if not is_known(str(name))]
    if unknown:
        raise DeviceInvalid(f"unknown column '{unknown[0]}'; known: {', '.join(sorted(KNOWN))}")
    texts = {name: str(fields[name]) for name in TEXTS if fields.get(name)}
    status = texts.get("status", "active")
    if status not in STATUSES:
        raise DeviceInvalid(f"status '{status}' is not one of {', '.join(STATUSES)}")
    device = Device(
        str(fields.get("device") or ""),
        status=status,  # type: ignore[arg-type] # it is one of STATUSES
        tags=tags_of(fields),
        keys=tuple(keys_of(fields, now_ms)),
        role=texts.get("role", DEVICE_ROLE),
        profile=texts.get("profile", ""),
        password=texts.get("password_argon2", ""),
        has_certificate=is_yes("certificate", fields),
        group=texts.get("group", ""),
        is_unused=is_yes("unused", fields),
        quota=quota_with(quota_parts(fields), NO_QUOTA),
    )
    check_device(device)
    return device


def is_known(name: str) -> bool:
    """Whether a column means something."""
    return name in KNOWN or name.startswith(TAG_PREFIX)


def quota_parts(fields: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a quota that a row names."""
    return {
        name.removeprefix(QUOTA_PREFIX): str(fields[name])
        for name in QUOTAS
        if fields.get(name) not in (None, "")
    }


def is_yes(name: str, fields: Mapping[str, Any]) -> bool:
    """Read a flag.

    Raises:
        DeviceInvalid: it is none.
    """
    value = fields.get(name, "")
    if isinstance(value, bool):
        return value
    text = str(value or "").lower()
    if text not in YES + NO:
        raise DeviceInvalid(f"{name} '{text}' is not yes or no")
    return text in YES


def tags_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a row: columns `tag:site` in CSV, an object `tags` in JSON."""
    tags = fields.get("tags") or {}
    if not isinstance(tags, Mapping):
        raise DeviceInvalid("tags is an object of names and texts")
    columns = {
        str(name).removeprefix(TAG_PREFIX): text
        for name, text in fields.items()
        if str(name).startswith(TAG_PREFIX)
    }
    return {str(name): str(text) for name, text in {**tags, **columns}.items() if text}


def keys_of(fields: Mapping[str, Any], now_ms: int) -> Iterator[Key]:
    """The keys of a row: a key itself, or what is kept of it."""
    if fields.get("key"):
        yield key_of(str(fields["key"]), now_ms)
    for name in HASHES:
        text = str(fields.get(name) or "")
        if text:
            try:
                digest = bytes.fromhex(text)
            except ValueError:
                digest = b""
            if len(digest) != HASH_BYTES:
                raise DeviceInvalid(f"{name} is not a SHA-256 of {2 * HASH_BYTES} hex digits")
            yield Key(digest, now_ms)


def row_of(device: Device) -> dict[str, Any]:
    """An entry as a row of JSON, all of it but for times; `device_of` reads it back."""
    hashes = dict(zip(HASHES, (key.sha256.hex() for key in device.keys), strict=False))
    return {
        "device": device.id,
        "status": device.status,
        "role": device.role,
        "profile": device.profile,
        "certificate": device.has_certificate,
        "tags": device.tags,
        **({"group": device.group} if device.group else {}),
        **({"unused": True} if device.is_unused else {}),
        **{f"{QUOTA_PREFIX}{name}": value for name, value in parts_of(device.quota).items()},
        **hashes,
        **({"password_argon2": device.password} if device.password else {}),
    }


def write_csv(devices: Iterable[Device]) -> str:
    """Entries as CSV, a column for each tag that any of them has."""
    rows = [row_of(device) for device in devices]
    names = sorted({name for row in rows for name in row["tags"]})
    output = io.StringIO()
    columns = [*COLUMNS, *(f"{TAG_PREFIX}{name}" for name in names)]
    writer = csv.DictWriter(output, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        tags = {f"{TAG_PREFIX}{name}": text for name, text in row.pop("tags").items()}
        row["certificate"] = "yes" if row["certificate"] else "no"
        row["unused"] = "yes" if row.get("unused") else ""
        writer.writerow({**row, **tags})
    return output.getvalue()


def merged(before: Device | None, device: Device) -> Device:
    """An entry as an update leaves it: what the row does not say of credentials or quotas stays."""
    if before is None:
        return device
    return msgspec.structs.replace(
        device,
        keys=device.keys or before.keys,
        password=device.password or before.password,
        has_certificate=device.has_certificate or before.has_certificate,
        group=device.group or before.group,
        is_unused=device.is_unused or (before.is_unused and not device.has_credentials),
        quota=device.quota.over(before.quota),
    )


def complaint_of(row: Row, path: str, error: DeviceInvalid) -> Complaint:
    """What is wrong with a row, and where."""
    return Complaint(path, row.line, 1, str(error))
