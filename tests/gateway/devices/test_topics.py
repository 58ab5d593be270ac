from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices import DeviceTopics, TopicTemplate, TopicTemplateInvalid

LEVELS = ["a", "b", "", "$x", "pump-7"]


def naive_match(template, topic):
    """Walk both level by level, one at a time: what the captures are, or None."""
    captured = {}
    wanted, found = template.split("/"), topic.split("/")
    while wanted:
        level = wanted.pop(0)
        if level == "#":
            found = []
            break
        if not found:
            return None
        name = found.pop(0)
        if level.startswith("{"):
            captured[level.strip("{}")] = name
        elif level not in ("+", name):
            return None
    return captured if not found and captured["device"] else None


def test_the_default_takes_the_second_level():
    topics = DeviceTopics()
    assert topics.device_of("plant/pump-7/temp/inner") == "pump-7"
    assert topics.device_of("plant/pump-7") == "pump-7"


def test_a_topic_that_fits_no_template_is_its_own_device():
    topics = DeviceTopics()
    assert topics.device_of("lonely") == "lonely"
    assert topics.device_of("plant//temp") == "plant//temp"


def test_the_first_template_that_fits_wins():
    topics = DeviceTopics(["site/{site}/{device}/#", "{device}/#"])
    assert topics.device_of("site/north/pump-7/temp") == "pump-7"
    assert topics.device_of("site/north") == "site"


def test_without_templates_every_topic_is_its_own_device():
    assert DeviceTopics([]).device_of("a/b") == "a/b"


def test_every_capture_is_told():
    template = TopicTemplate("{site}/+/{device}/#")
    assert template.match(["north", "x", "pump", "t", "u"]) == {"site": "north", "device": "pump"}


def test_a_closed_template_wants_exactly_its_levels():
    template = TopicTemplate("a/{device}")
    assert template.match(["a", "d"]) == {"device": "d"}
    assert template.match(["a", "d", "e"]) is None
    assert template.match(["a"]) is None
    assert template.match(["b", "d"]) is None


def test_an_open_template_also_fits_its_own_parent():
    assert TopicTemplate("a/{device}/#").match(["a", "d"]) == {"device": "d"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("plant/+/#", "'plant/+/#' names no device; write {device} for one level"),
        ("", "'' names no device; write {device} for one level"),
        ("#", "'#' names no device; write {device} for one level"),
        ("{site}/#", "'{site}/#' names no device; write {device} for one level"),
        ("{device}/{device}", "'{device}/{device}' names {device} twice"),
        ("{a}/{a}/{device}", "'{a}/{a}/{device}' names {a} twice"),
        ("#/{device}", "'#/{device}': '#' is no level; write text, +, {name}, or # at the end"),
        ("x-{device}", "'x-{device}': 'x-{device}' is no level; write text"),
        ("{device", "'{device': '{device' is no level; write text"),
        ("{Device}/{device}", "'{Device}/{device}': '{Device}' is no level"),
        ("{}/{device}", "'{}/{device}': '{}' is no level"),
        ("a+/{device}", "'a+/{device}': 'a+' is no level"),
        ("{device}/a#", "'{device}/a#': 'a#' is no level"),
    ],
)
def test_a_wrong_template_says_what_would_be_right(text, complaint):
    with pytest.raises(TopicTemplateInvalid) as caught:
        TopicTemplate(text)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("seed", range(5))
def test_matching_agrees_with_walking_level_by_level(seed):
    rng = random.Random(seed)
    for _ in range(400):
        levels = [rng.choice([*LEVELS, "+"]) for _ in range(rng.randint(0, 4))]
        levels.insert(rng.randint(0, len(levels)), "{device}")
        if rng.random() < 0.4:
            levels.insert(rng.randint(0, len(levels)), "{site}")
        if rng.random() < 0.5:
            levels.append("#")
        topic = [rng.choice(LEVELS) for _ in range(rng.randint(1, 5))]
        template = "/".join(levels)
        expected = naive_match(template, "/".join(topic))
        assert TopicTemplate(template).match(topic) == expected, f"{template} {topic}"


WRITTEN_LEVELS = st.sampled_from(["a", "b", "+", "{x}"])


@settings(deadline=None, max_examples=300)
@given(
    one=st.lists(WRITTEN_LEVELS, max_size=2), other=st.lists(WRITTEN_LEVELS, max_size=2),
    ends=st.tuples(st.booleans(), st.booleans()),
)  # fmt: skip
def test_templates_overlap_when_one_topic_fits_both(one, other, ends):
    try:
        templates = [
            TopicTemplate("/".join([*levels, "{device}", *(["#"] if is_open else [])]))
            for levels, is_open in zip((one, other), ends, strict=True)
        ]
    except TopicTemplateInvalid:
        return
    topics = [levels for size in range(1, 5) for levels in product("ab", repeat=size)]
    both = any(all(own.match(levels) for own in templates) for levels in topics)
    assert templates[0].overlaps(templates[1]) == both == templates[1].overlaps(templates[0])
