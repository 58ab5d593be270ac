from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import ROLES, Device, Rights, Role, TopicTemplate, covers, rights_of
from gateway.devices.access import fill
from gateway.mqtt import matches

LEVELS = st.sampled_from(["a", "b", "+", "$x"])
TOPIC = st.lists(st.sampled_from(["a", "b", "c", "$x"]), min_size=1, max_size=4).map("/".join)


@st.composite
def filters(draw):
    levels = draw(st.lists(LEVELS, min_size=1, max_size=3))
    if draw(st.booleans()):
        levels.append("#")
    return "/".join(levels)


@given(filters(), filters(), st.lists(TOPIC, min_size=5, max_size=20))
@settings(max_examples=300, deadline=None)
def test_what_is_covered_matches_nothing_beyond(pattern, topic_filter, topics):
    if covers(pattern, topic_filter):
        assert all(matches(pattern, one) for one in topics if matches(topic_filter, one))


@pytest.mark.parametrize(
    ("pattern", "topic_filter", "is_covered"),
    [
        ("#", "#", True),
        ("#", "a/+/b", True),
        ("#", "$SYS/#", False),
        ("$SYS/#", "$SYS/#", True),
        ("a/#", "a", True),
        ("a/#", "+/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/+", "a", False),
        ("a/b", "a/+", False),
        ("+/b/#", "+/b/c", True),
    ],
)
def test_a_filter_is_covered_when_it_asks_for_no_more(pattern, topic_filter, is_covered):
    assert covers(pattern, topic_filter) is is_covered


@pytest.mark.parametrize(
    ("values", "filled"),
    [
        ({"site": "north", "device": "p"}, "plant/north/p/#"),
        ({"device": "p"}, None),
        ({"site": "", "device": "p"}, None),
        ({"site": "a/b", "device": "p"}, None),
        ({"site": "+", "device": "p"}, None),
    ],
)
def test_a_pattern_that_cant_be_filled_in_allows_nothing(values, filled):
    assert fill("plant/{site}/{device}/#", values) == filled


def test_names_in_braces_are_the_device_its_profile_and_its_tags():
    role = Role(write=("{site}/{profile}/{device}", "{line}/x"))
    device = Device("p-7", role="r", profile="pump", tags={"site": "north", "device": "forged"})
    assert rights_of(device, {"r": role}).write == ("north/pump/p-7",)


def test_a_role_that_nobody_knows_allows_nothing():
    assert rights_of(Device("p", role="unknown"), ROLES) == Rights()


@pytest.mark.parametrize(
    ("role", "topic", "may_write"),
    [
        ("device", "plant/p-7/t", True),
        ("device", "p-7", True),
        ("device", "plant/p-8/t", False),
        ("device", "alerts/p-7/x", False),
        ("device", "presence/p-7", False),
        ("operator", "plant/p-8/t", True),
        ("operator", "alarms/rule/key/ack", True),
        ("operator", "presence/p-7", False),
        ("operator", "audit/x", False),
        ("reader", "plant/p-7/t", False),
    ],
)
def test_who_may_write_where(role, topic, may_write):
    assert rights_of(Device("p-7", role=role), ROLES).may_write(topic) is may_write


def test_the_audit_is_heard_only_by_whom_a_pattern_names_it():
    reader = rights_of(Device("r", role="reader"), ROLES)
    operator = rights_of(Device("o", role="operator"), ROLES)
    assert (reader.may_read("audit/cut/x"), operator.may_read("audit/cut/x")) == (False, True)
    assert reader.may_subscribe("#")
    assert (reader.reads_all_of("#"), operator.reads_all_of("#")) == (False, True)
    assert reader.reads_all_of("plant/#")


def test_a_filter_may_be_asked_for_that_is_read_in_part():
    rights = Rights(read=("plant/a/#",), subscribe=("plant/#",))
    assert rights.may_subscribe("plant/+/t")
    assert not rights.reads_all_of("plant/+/t")
    assert (rights.may_read("plant/a/t"), rights.may_read("plant/b/t")) == (True, False)


# Captures of the profile

PUMPS = [TopicTemplate("plant/{site}/{device}/telemetry"), TopicTemplate("log/{device}")]


@pytest.mark.parametrize(
    ("pattern", "tags", "filled"),
    [
        ("plant/{site}/{device}/#", {}, "plant/+/p/#"),
        ("plant/{site}/{device}/#", {"site": "n"}, "plant/n/p/#"),
        # Without the device's own level it would be everybody's.
        ("plant/{site}/#", {}, None),
        ("plant/{site}/all/{device}", {}, None),
        ("site/{hall}/{device}/#", {}, None),
        ("x/{device}/{site}", {}, None),
    ],
)
def test_a_name_without_a_tag_is_any_level_where_the_profile_has_it_so(pattern, tags, filled):
    assert fill(pattern, {**tags, "device": "p"}, PUMPS) == filled


def test_a_wildcard_in_a_tag_is_no_wildcard():
    assert fill("plant/{hall}/{device}", {"hall": "+", "device": "p"}, PUMPS) is None


def test_the_topics_of_a_profile_can_be_a_pattern():
    role = Role(write=("{topics}",), read=("{topics}", "log/{device}"), subscribe=("{topics}",))
    device = Device("p", tags={"site": "n"})
    found = rights_of(device, {"device": role}, PUMPS)
    expected = ("plant/n/p/telemetry", "log/p")
    assert (found.write, found.read, found.subscribe) == (expected, expected, expected)
    assert rights_of(device, {"device": role}) == Rights((), ("log/p",), ())
    free = rights_of(Device("p"), {"device": role}, PUMPS)
    assert free.may_write("plant/anywhere/p/telemetry")
    assert not free.may_write("plant/n/q/telemetry")
    assert free.may_subscribe("plant/+/p/telemetry")
    assert not free.may_subscribe("plant/+/+/telemetry")


def test_nobody_publishes_to_the_topics_of_enrolment():
    assert not Rights(("enrol/#", "#")).may_write("enrol/p/request")


@pytest.mark.parametrize(
    ("topic", "may_device", "may_operator"),
    [
        ("twin/pump-7/reported", True, True),
        ("twin/pump-7/get", True, True),
        ("command/pump-7/response/c1", True, True),
        ("twin/pump-7/desired", False, False),
        ("twin/pump-7/changed", False, False),
        ("command/pump-7/request/c1", False, False),
        ("twin/pump-7/set", False, True),
        ("command/pump-7/send/c1", False, True),
        ("twin/pump-8/reported", False, True),
        ("command/pump-8/send/c1", False, True),
    ],
)
def test_a_device_speaks_for_itself_and_commands_nobody(topic, may_device, may_operator):
    device = rights_of(Device("pump-7"), ROLES)
    operator = rights_of(Device("anna", role="operator"), ROLES)
    assert (device.may_write(topic), operator.may_write(topic)) == (may_device, may_operator)


def test_what_applications_say_takes_a_role_that_names_the_root():
    assert not Rights(("#",)).may_write("twin/pump-7/set")
    assert not Rights(("+/pump-7/#",)).may_write("command/pump-7/send/c1")
    assert Rights(("twin/pump-7/set",)).may_write("twin/pump-7/set")
