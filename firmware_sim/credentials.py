"""The keys of a fleet: what `penstock devices import --new-keys` writes, or a file like it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from firmware_sim.failures import SimulationFailed

NAMES_SHOWN = 3


def read_credentials(path: Path) -> dict[str, str]:
    """The key of each device in a file: CSV with the columns device and key, or JSON objects.

    Raises:
        SimulationFailed: it can't be read, or there is no key in it.
    """
    try:
        text = path.read_text()
        rows = list(_rows(text))
    except (OSError, UnicodeDecodeError) as error:
        raise SimulationFailed(f"can't read {path}: {error}") from error
    except (orjson.JSONDecodeError, csv.Error) as error:
        raise SimulationFailed(f"{path} is neither JSON nor CSV: {error}") from error
    keys = {str(row["device"]): str(row["key"]) for row in rows if row.get("key")}
    keys.pop("", None)
    if not keys:
        raise SimulationFailed(
            f"{path} has no keys, in columns 'device' and 'key'; an export has none, "
            "'penstock devices import --new-keys' writes them"
        )
    return keys


def _rows(text: str) -> Iterable[Mapping[str, Any]]:
    begin = text.lstrip()[:1]
    if begin == "[":
        found = orjson.loads(text)
    elif begin == "{":
        found = [orjson.loads(line) for line in text.splitlines() if line.strip()]
    else:
        found = csv.DictReader(io.StringIO(text), strict=True)
    return [row for row in found if isinstance(row, Mapping) and row.get("device")]


def check_credentials(keys: Mapping[str, str], names: Iterable[str], path: Path) -> None:
    """See that every device of a fleet has a key.

    Raises:
        SimulationFailed: some have none; names the first of them.
    """
    missing = [name for name in names if name not in keys]
    if missing:
        shown = ", ".join(missing[:NAMES_SHOWN])
        more = f" and {len(missing) - NAMES_SHOWN} more" if len(missing) > NAMES_SHOWN else ""
        raise SimulationFailed(
            f"{path} has no key for {shown}{more}; 'penstock sim devices' lists a fleet's names"
        )
