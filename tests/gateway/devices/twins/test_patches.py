from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices.twins.patches import (
    DOCUMENT_BYTES_MAX,
    DocumentRefused,
    check_document,
    difference,
    merged,
    read_object,
)

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0, "x"]))
VALUES = st.recursive(
    st.one_of(LEAVES, st.lists(LEAVES, max_size=2)),
    lambda below: st.dictionaries(NAMES, below, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
PATCHES = st.dictionaries(
    NAMES,
    st.recursive(
        st.one_of(LEAVES, st.none()),
        lambda below: st.dictionaries(NAMES, below, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


def merge_patch(target, patch):
    """The pseudo code of RFC 7396 §2."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    target = json.loads(json.dumps(target))
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge_patch(target.get(name), value)
    return target


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, PATCHES)
def test_a_patch_is_applied_as_the_rfc_says(document, patch):
    before = json.dumps(document)
    assert orjson.dumps(merged(document, patch)) == orjson.dumps(merge_patch(document, patch))
    assert json.dumps(document) == before


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_makes_one_object_of_the_other(before, after):
    sorted_keys = orjson.OPT_SORT_KEYS
    patch = difference(before, after)
    made = merged(before, patch)
    assert orjson.dumps(made, option=sorted_keys) == orjson.dumps(after, option=sorted_keys)
    assert (patch == {}) == (
        orjson.dumps(before, option=sorted_keys) == orjson.dumps(after, option=sorted_keys)
    )


def test_only_what_changed_is_in_a_difference():
    before = {"a": {"b": 1, "c": 2}, "d": [1], "e": 1}
    after = {"a": {"b": 1, "c": 3}, "d": [True], "f": {}}
    assert difference(before, after) == {"a": {"c": 3}, "d": [True], "e": None, "f": {}}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"k": 1}}}}}}}}}}}, "deeper"),
        ({"a": [[[[[[[[[[[[[1]]]]]]]]]]]]]}, "deeper"),
        ({"$version": 1}, "can't be a name"),
        ({"": 1}, "can't be a name"),
        ({"a": {"b\n": 1}}, "can't be a name"),
        ({"x" * 257: 1}, "256 bytes"),
        ({str(number): 1 for number in range(1_001)}, "1001 names"),
        ({"a": "x" * DOCUMENT_BYTES_MAX}, "32776 bytes"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(document, complaint):
    with pytest.raises(DocumentRefused, match=complaint):
        check_document(document, "it")


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "not JSON"),
        (b"[1]", "a JSON object"),
        (b"[" * 20_000, "not JSON"),
        (b" " * (DOCUMENT_BYTES_MAX + 1), "at most"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_is_no_object_is_refused(payload, complaint):
    with pytest.raises(DocumentRefused, match=complaint):
        read_object(payload)
