from __future__ import annotations

from gateway.rules.instants import NEVER
from gateway.rules.spec import TimeSpec
from gateway.rules.tides import Tides
from gateway.rules.timelines import Timeline
from gateway.rules.watermarks import TimePlan


def timeline_with(text, held_ms):
    timeline = Timeline(text, text, [])
    timeline.held = [(held_ms, 0, None)]
    return timeline


def tides_of(*timelines):
    tides = Tides(TimePlan(TimeSpec()), {one.text: one for one in timelines}, lambda: NEVER)
    return tides, tides.tide(("s", 0)), tides.tide(("s", 1))


def test_a_key_comes_up_when_the_lowest_of_its_tides_has_passed():
    key = timeline_with("k", 50)
    tides, first, second = tides_of(key)
    tides.join(key, first)
    tides.join(key, second)
    tides.queue(key)
    first.rise(60)
    assert tides.passed([first]) == []
    second.rise(49)
    assert tides.passed([second]) == []
    second.rise(50)
    assert tides.passed([second]) == [key]
    assert key.watermark_ms == 50


def test_a_key_of_which_no_event_has_come_waits_for_all_tides():
    key = timeline_with("k", 50)
    tides = Tides(TimePlan(TimeSpec()), {"k": key}, lambda: NEVER)
    tides.queue(key)
    first, second = tides.tide(("s", 0)), tides.tide(("s", 1))
    for tide in (first, second):
        tide.rise(70)
    assert tides.passed([first, second]) == [key]


def test_a_watermark_never_goes_back():
    key = timeline_with("k", 50)
    tides, first, second = tides_of(key)
    tides.join(key, first)
    first.rise(40)
    first.rise(30)
    tides.join(key, second)
    tides.refresh(key)
    assert (first.watermark_ms, key.watermark_ms, tides.lowest_ms()) == (40, 40, 0)


def test_a_forgotten_key_is_passed_over():
    key = timeline_with("k", 50)
    timelines = {"k": key}
    tides = Tides(TimePlan(TimeSpec()), timelines, lambda: NEVER)
    tide = tides.tide(("s", 0))
    tides.join(key, tide)
    tides.queue(key)
    timelines.clear()
    tides.leave(key)
    tide.rise(60)
    assert tides.passed([tide]) == []
