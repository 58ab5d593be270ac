import pytest

from gateway.mqtt import check_topic_name, matches
from gateway.rules.derived_topics import derived_filter, derived_topic


@pytest.mark.parametrize("key", ["", "m1", "a/b", "a+b#c", "x\0y"])
def test_every_key_makes_a_topic_that_the_stream_s_filter_takes(key):
    topic = derived_topic("power-1m", key)
    check_topic_name(topic)
    assert matches(derived_filter("power-1m"), topic)
    assert not matches(derived_filter("power"), topic)
