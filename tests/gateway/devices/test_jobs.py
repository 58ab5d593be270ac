from __future__ import annotations

import orjson
import pytest

from gateway.devices.jobs import (
    FAILURES_SHOWN_MAX,
    Job,
    JobWish,
    Query,
    advanced,
    decode_job,
    encode_job,
    finished,
    read_wish,
    shown_job,
)
from gateway.devices.registry import Device
from gateway.errors import PenstockError

WISH = {"id": "j1", "kind": "set", "content": {"a": 1}, "query": {"pattern": "pump-*"}}


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        (Query(), True),
        (Query("pump-*"), True),
        (Query("valve-*"), False),
        (Query(profile="pump"), True),
        (Query(profile="valve"), False),
        (Query(tags={"site": "north"}), True),
        (Query(tags={"site": "north", "line": "2"}), False),
    ],
)
def test_a_query_means_those_that_fit_everything(query, fits):
    assert query.fits(Device("pump-7", profile="pump", tags={"site": "north"})) == fits


def test_who_is_disabled_or_no_device_is_not_meant():
    assert not Query().fits(Device("pump-7", status="disabled"))
    assert not Query().fits(Device("anna", role="operator"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "other"}, "no job: Invalid enum value 'other'"),
        ({"more": 1}, "unknown field `more`"),
        ({"id": "a/b"}, "can't name a command"),
        ({"rate_per_s": 0}, "'rate_per_s' is 0"),
        ({"content": {"$x": 1}}, "can't be a name"),
        ({"kind": "command"}, "missing required field `name`|unknown field `a`"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(change, complaint):
    with pytest.raises(PenstockError, match=complaint):
        read_wish(orjson.dumps(WISH | change))
    with pytest.raises(PenstockError, match="no job"):
        read_wish(b"{")


def test_a_job_survives_the_table():
    job = Job(read_wish(orjson.dumps(WISH)), 5, total=3)
    job = advanced(job, "pump-2", {"pump-1": "no"}, done=1)
    assert decode_job(encode_job(job)) == job
    assert decode_job(b"\xc1") is None
    assert shown_job(finished(job, "done", 9)) == {
        **WISH,
        "query": {"pattern": "pump-*", "profile": "", "tags": {}},
        "by": "",
        "rate_per_s": 100,
        "state": "done",
        "created": 5,
        "ended": 9,
        "total": 3,
        "done": 1,
        "failed": 1,
        "failures": {"pump-1": "no"},
    }


def test_only_some_failures_are_told():
    job = Job(JobWish("j1", "set", {}, Query()), 5)
    job = advanced(job, "x", {str(number): "no" for number in range(50)}, done=0)
    assert (job.failed, len(job.failures)) == (50, FAILURES_SHOWN_MAX)
