from __future__ import annotations

import pytest

from gateway.mqtt import ProtocolVersion
from tests.wire.vectors import check, decode, load_vectors

VECTORS = load_vectors()
GOOD = [vector for vector in VECTORS if vector.error is None]
BAD = [vector for vector in VECTORS if vector.error is not None]


def marked(vectors):
    return [
        pytest.param(
            vector, id=str(vector), marks=[pytest.mark.spec(statement) for statement in vector.spec]
        )
        for vector in vectors
    ]


@pytest.mark.parametrize("vector", marked(GOOD))
def test_a_good_vector_is_read_and_written_as_its_packet(vector):
    check(vector)


@pytest.mark.parametrize("vector", marked(BAD))
def test_a_bad_vector_is_refused_with_its_reason(vector):
    check(vector)


@pytest.mark.parametrize("vector", GOOD, ids=str)
def test_a_good_vector_is_incomplete_at_every_cut(vector):
    for length in range(len(vector.wire)):
        assert decode(vector, vector.wire[:length]) is None


@pytest.mark.parametrize("vector", GOOD, ids=str)
def test_a_good_vector_is_read_in_the_middle_of_any_buffer(vector):
    for kind in (bytes, bytearray, memoryview):
        buffer = kind(b"\xff\xff" + vector.wire + b"\xff")
        assert decode(vector, buffer, 2) == (vector.packet, 2 + len(vector.wire))


def test_every_statement_is_written_as_one():
    for vector in VECTORS:
        for statement in vector.spec:
            version, section, number = statement.split("-")
            assert version in {"MQTT5", "MQTT311"}
            assert section.replace(".", "").isdigit()
            assert number.isdigit()


def test_every_version_has_vectors_of_every_kind():
    for version in ProtocolVersion:
        assert sum(vector.version == version for vector in GOOD) > 15
        assert sum(vector.version == version for vector in BAD) > 40
