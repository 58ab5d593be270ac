from __future__ import annotations

import pytest

from gateway.devices.twins.patches import DocumentRefused
from gateway.devices.twins.twin import (
    Twin,
    TwinConflict,
    changed,
    decode_twin,
    encode_twin,
    told_of,
)


def test_each_side_counts_its_own_changes():
    twin, effect = changed(Twin(), "desired", {"interval_s": 5, "gone": None}, now_ms=10)
    assert effect == {"interval_s": 5}
    twin, _ = changed(twin, "reported", {"interval_s": 5}, now_ms=20)
    twin, _ = changed(twin, "reported", {"on": True}, now_ms=30)
    assert (twin.desired_version, twin.reported_version, twin.etag) == (1, 2, "1.2")
    assert (twin.desired_ms, twin.reported_ms) == (10, 30)


def test_what_changes_nothing_is_no_new_version():
    twin, _ = changed(Twin(), "desired", {"a": {"b": 1}}, now_ms=1)
    again, effect = changed(twin, "desired", {"a": {"b": 1}}, now_ms=2)
    assert (again, effect) == (twin, {})


def test_a_change_for_another_version_is_refused():
    twin, _ = changed(Twin(), "desired", {"a": 1}, now_ms=1, if_version=0)
    with pytest.raises(TwinConflict, match="has version 1, not 0"):
        changed(twin, "desired", {"a": 2}, now_ms=2, if_version=0)
    with pytest.raises(TwinConflict, match="has version 1, not 7"):
        changed(twin, "desired", {"a": 2, "$version": 7}, now_ms=2)
    with pytest.raises(DocumentRefused, match="whole number, such as 1"):
        changed(twin, "desired", {"a": 2, "$version": True}, now_ms=2)
    assert changed(twin, "desired", {"a": 2, "$version": 1}, now_ms=2).twin.desired == {"a": 2}


def test_changes_that_nobody_heard_of_are_told_as_one():
    twin = Twin()
    for patch in ({"a": 1, "b": {"c": 1}}, {"a": 2}, {"b": None, "d": 4}):
        twin, _ = changed(twin, "desired", patch, now_ms=1)
    told, delta = told_of(twin)
    assert delta == {"a": 2, "d": 4}
    assert told_of(told).patch == {}
    twin, _ = changed(told, "desired", {"a": None}, now_ms=2)
    assert told_of(twin).patch == {"a": None}


def test_what_was_undone_need_not_be_told():
    told, _ = told_of(changed(Twin(), "desired", {"a": 1}, now_ms=1).twin)
    twin, _ = changed(told, "desired", {"a": 2}, now_ms=1)
    twin, _ = changed(twin, "desired", {"a": 1}, now_ms=1)
    assert told_of(twin).patch == {}


def test_a_twin_survives_the_table():
    twin, _ = changed(Twin(), "desired", {"a": {"b": [1, None, "x"]}}, now_ms=1)
    assert decode_twin(encode_twin(twin)) == twin
    assert decode_twin(None) == Twin()
    with pytest.raises(DocumentRefused, match="can't be read"):
        decode_twin(b"\xc1")


def test_a_patch_that_would_make_it_too_large_is_refused_as_a_whole():
    twin = Twin()
    for name in "ab":
        twin, _ = changed(twin, "reported", {name: "x" * 15_000}, now_ms=1)
    with pytest.raises(DocumentRefused, match="what is reported would have"):
        changed(twin, "reported", {"c": "x" * 15_000}, now_ms=1)
