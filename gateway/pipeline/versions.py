"""Look-up files for commands that read them without running rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.rules import Lookup, Version


def read_version(lookup: Lookup) -> Version:
    """What the file of a look-up holds.

    Raises:
        OSError: it can't be read.
        ValueError: something in it is wrong; the message is for people.
    """
    # A gateway whose rules run elsewhere imports this package, and none of the engine.
    from gateway.pipeline import lookup_files

    return lookup_files.read_version(lookup)
