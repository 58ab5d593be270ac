from __future__ import annotations

import msgspec

from gateway.devices import Campaign, Course, DeviceQuery, Image, Step, Update

IMAGE = Image("pump", "1.2.0", "ab" * 32, 1_000)


def course(state, stage=0):
    return Course(Campaign("c1", IMAGE, DeviceQuery(), stages=(10, 100), state=state, stage=stage))


def steps(own):
    found = []
    while (step := own.next_step()) is not None:
        found.append(step)
    return found


def put_in(own, state):
    own.campaign = msgspec.structs.replace(own.campaign, state=state)


def test_devices_are_enlisted_but_for_those_that_are():
    own = course("preparing")
    own.plan([["a", "b"], ["c"]], enlisted=["b"])
    assert own.has_work
    assert steps(own) == [Step("enlist", "a", 0), Step("enlist", "c", 1)]


def test_only_the_stages_so_far_are_offered():
    own = course("running")
    own.enlist("a", Update(0))
    own.enlist("b", Update(1))
    assert steps(own) == [Step("offer", "a")]
    assert not own.has_work
    own.campaign = msgspec.structs.replace(own.campaign, stage=1)
    assert steps(own) == [Step("offer", "b")]


def test_what_is_paused_is_withdrawn_and_offered_again():
    own = course("paused")
    own.enlist("a", Update(0, "downloading"), is_on_offer=True)
    own.enlist("b", Update(0, "installed"))
    assert steps(own) == [Step("withdraw", "a")]
    put_in(own, "running")
    assert steps(own) == [Step("offer", "a")]


def test_what_was_withdrawn_before_a_restart_is_offered_again():
    own = course("running")
    own.enlist("a", Update(0, "verifying"))
    assert steps(own) == [Step("offer", "a")]


def test_who_has_come_to_an_end_is_left_alone():
    own = course("paused")
    own.enlist("a", Update(0, "offered"), is_on_offer=True)
    own.drop("a")
    assert steps(own) == []
    put_in(own, "running")
    assert not own.has_work


def test_a_course_is_over_when_the_last_offer_is_withdrawn():
    own = course("aborted")
    own.enlist("a", Update(0, "offered"), is_on_offer=True)
    assert not own.is_over
    assert steps(own) == [Step("withdraw", "a")]
    assert own.is_over
