from __future__ import annotations

import pytest

from gateway.config.deriving import DerivedConfig, read_derived
from gateway.documents import open_document
from gateway.errors import DocumentInvalid
from gateway.store import StreamSpec

DAY_MS = 86_400_000


def read(text):
    top = open_document(text, "g.yaml")
    found = read_derived(top)
    top.finish()
    top.raise_complaints()
    return found


def test_derived_streams_keep_what_streams_keep_when_nothing_is_written():
    assert read("derived: {}\n") == DerivedConfig()
    assert DerivedConfig().spec_of("power") == StreamSpec("power", partitions=1)


def test_what_is_written_holds_for_all_but_the_named():
    found = read(
        "derived:\n  durability: os\n  retention: {age: 1d}\n"
        "  streams:\n    - {name: power-1m, retention: {age: 30d}}\n"
    )
    assert found.spec_of("other").retention_age_ms == DAY_MS
    named = found.spec_of("power-1m")
    assert (named.retention_age_ms, named.durability) == (30 * DAY_MS, "os")


def test_a_stream_is_named_once():
    with pytest.raises(DocumentInvalid, match="duplicate stream name 'a'"):
        read("derived:\n  streams:\n    - {name: a}\n    - {name: a}\n")
