from __future__ import annotations

import msgspec
import orjson

from gateway.devices.edits import DEVICE_EDIT, Edit, edit_runs
from gateway.devices.registry import Device, Key

PUMP = Device("p-7", tags={"site": "north"}, keys=(Key(b"\x01" * 32),), password="argon")


def changes(before, after):
    return Edit("p-7", before, after).differences()


def test_of_a_new_entry_everything_is_told_that_is_no_default_and_no_secret():
    assert changes(None, PUMP) == {
        "tags": [None, {"site": "north"}],
        "keys": [None, ["01010101"]],
        "password": [False, True],
    }


def test_a_change_tells_what_was_and_what_is():
    after = msgspec.structs.replace(
        PUMP, status="disabled", generation=2, changed_ms=9, password="other"
    )
    assert changes(PUMP, after) == {"status": ["active", "disabled"], "password": [True, True]}
    assert changes(PUMP, PUMP) == {}


def test_each_edit_is_an_event_under_the_name_of_what_it_is_about():
    edits = [Edit("p-7", None, PUMP), Edit("p-8", PUMP, None)]
    (run,) = edit_runs(DEVICE_EDIT, edits, "anna", 5)
    assert [origin.topic for origin in run.origins] == [
        "audit/device-added/p-7",
        "audit/device-removed/p-8",
    ]
    content = orjson.loads(run.payloads[0])
    assert (content["by"], content["time"], content["generation"]) == ("anna", 5, 1)
    assert b"argon" not in b"".join(run.payloads)
    assert edit_runs(DEVICE_EDIT, [], "anna", 5) == []


def test_who_is_not_named_is_unknown():
    (run,) = edit_runs(DEVICE_EDIT, [Edit("p-7", PUMP, PUMP)], "", 5)
    assert orjson.loads(run.payloads[0])["by"] == "unknown"
