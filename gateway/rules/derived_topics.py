"""The topics of derived records: `derived/<stream>/<key>`."""

from __future__ import annotations

DERIVED_PREFIX = "derived/"
UNSAFE_IN_TOPIC = str.maketrans({"+": "%2B", "#": "%23", "\x00": "%00"})


def derived_topic(stream: str, key: str) -> str:
    """The topic of a derived record; characters that no topic name may hold are escaped."""
    name = f"{DERIVED_PREFIX}{stream}"
    return f"{name}/{key.translate(UNSAFE_IN_TOPIC)}" if key else name


def derived_filter(stream: str) -> str:
    """What the topics of a derived stream match."""
    return f"{DERIVED_PREFIX}{stream}/#"
