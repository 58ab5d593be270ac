from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import (
    UPDATE_OVER,
    Campaign,
    Device,
    DeviceQuery,
    Image,
    Update,
    UpdateRefused,
    UpdateStatus,
    changed_state,
    check_campaign,
    counted,
    decode_campaign,
    decode_update,
    encode_campaign,
    encode_update,
    noted,
    settled,
    shown_campaign,
    staged,
)

IMAGE = Image("pump", "1.2.0", "ab" * 32, 1_000)
PERCENTAGES = st.sets(st.integers(1, 99), max_size=5).map(lambda found: (*sorted(found), 100))


def campaign(**fields):
    return Campaign("c1", IMAGE, DeviceQuery(), **fields)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (DeviceQuery(), True),
        (DeviceQuery(("valve-*", "pump-?")), True),
        (DeviceQuery(("valve-*",)), False),
        (DeviceQuery(profile="pump", tags={"site": "north"}), True),
        (DeviceQuery(profile="valve"), False),
        (DeviceQuery(tags={"site": "south"}), False),
    ],
)
def test_a_query_finds_what_fits_every_part(query, expected):
    device = Device("pump-7", profile="pump", tags={"site": "north", "line": "2"})
    assert query.matches(device) is expected
    assert not query.matches(msgspec.structs.replace(device, status="disabled"))
    assert not query.matches(msgspec.structs.replace(device, role="operator"))


@settings(max_examples=50, deadline=None)
@given(stages=PERCENTAGES, count=st.integers(0, 200))
def test_the_stages_are_a_partition_with_each_percentage_rounded_up(stages, count):
    devices = [f"d{number}" for number in range(count)]
    found = staged("c1", stages, devices)
    assert sorted(one for stage in found for one in stage) == sorted(devices)
    reached = 0
    for percent, stage in zip(stages, found, strict=True):
        reached += len(stage)
        assert reached == -(-count * percent // 100)
    assert found == staged("c1", stages, devices[::-1])


def test_another_campaign_begins_with_other_devices():
    devices = [f"d{number}" for number in range(1_000)]
    assert staged("c1", (5, 100), devices)[0] != staged("c2", (5, 100), devices)[0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": "a b"}, "campaign 'a b'"),
        ({"stages": ()}, "growing percentages"),
        ({"stages": (5, 5, 100)}, "growing percentages"),
        ({"stages": (5, 50)}, "growing percentages"),
        ({"failures_percent": 101}, "0 to 100 percent"),
        ({"advance_percent": 0}, "1 to 100 percent"),
        ({"chunk_bytes": 10}, "64 to 65536 bytes"),
    ],
)
def test_what_a_campaign_cannot_be_is_said(change, complaint):
    check_campaign(campaign(stages=(5, 100)))
    with pytest.raises(UpdateRefused, match=complaint):
        check_campaign(msgspec.structs.replace(campaign(), **change))


def running(counts, **fields):
    sizes = {"stages": (10, 100), "stage_sizes": (10, 90), "state": "running"}
    return campaign(counts=counts, **{**sizes, **fields})


@pytest.mark.parametrize(
    ("counts", "state", "stage"),
    [
        ({"offered": 10, "pending": 90}, "running", 0),
        ({"installed": 8, "offered": 2, "pending": 90}, "running", 0),
        ({"installed": 9, "offered": 1, "pending": 90}, "running", 1),
        ({"failed": 1, "offered": 9, "pending": 90}, "running", 0),
        ({"failed": 1, "rolled_back": 1, "offered": 8, "pending": 90}, "halted", 0),
        ({"skipped": 10, "pending": 90}, "running", 1),
        ({"installed": 100}, "done", 0),
    ],
)
def test_a_campaign_follows_its_counts(counts, state, stage):
    after = settled(running(counts), 7)
    assert (after.state, after.stage) == (state, stage)


def test_a_stage_that_cannot_be_enough_any_more_halts():
    after = settled(running({"installed": 8, "failed": 2, "pending": 90}, failures_percent=50), 7)
    assert (after.state, after.reason) == ("halted", "only 8 of 10 devices installed it")


def test_who_resumes_forgives_the_failures_so_far():
    halted = settled(running({"failed": 3, "offered": 7, "pending": 90}), 7)
    assert halted.reason == "3 of 10 devices failed"
    again = changed_state(halted, "running", 8)
    assert settled(again, 9).state == "running"
    worse = counted(again, [("offered", "failed"), ("offered", "rolled_back")])
    assert settled(worse, 9).state == "halted"


def test_moves_are_counted_and_empty_counts_dropped():
    after = counted(campaign(counts={"offered": 1}), [("offered", "installed"), ("", "pending")])
    assert after.counts == {"installed": 1, "pending": 1}


STATES = sorted([*UPDATE_OVER, "pending", "offered", "downloading", "verifying"])


@settings(max_examples=100, deadline=None)
@given(
    state=st.sampled_from(STATES),
    told=st.sampled_from(["downloading", "verifying", "installed", "failed", "rolled_back"]),
    progress=st.none() | st.floats(allow_nan=False),
)
def test_what_is_over_stays_over_but_for_a_rollback(state, told, progress):
    status = UpdateStatus("c1", told, progress, "r" * 1_000, "v")
    after = noted(Update(2, state, 0.5), status, 7)
    if (state, told) == ("installed", "rolled_back"):
        assert after.state == "rolled_back"
    elif state in UPDATE_OVER or state == "pending":
        assert after is None
    elif after is not None:
        assert (after.stage, after.state, len(after.reason)) == (2, told, 256)
        assert 0 <= after.progress <= 1


def test_small_steps_are_not_written_down():
    update = Update(0, "downloading", 0.5)
    assert noted(update, UpdateStatus("c1", "downloading", 0.505), 7) is None
    assert noted(update, UpdateStatus("c1", "downloading", 0.52), 7).progress == 0.52


def test_campaigns_and_updates_come_back_as_they_were():
    one = campaign(stages=(5, 100), counts={"failed": 3}, reason="r")
    assert decode_campaign(encode_campaign(one)) == one
    update = Update(1, "failed", 0.5, "flash", "1.2.0", 9)
    assert decode_update(encode_update(update)) == update
    assert decode_update(None) is None
    assert decode_update(b"\xc1") is None
    with pytest.raises(UpdateRefused, match="can't be read"):
        decode_campaign(b"\xc1")
    assert shown_campaign(one)["stage"] == 1
