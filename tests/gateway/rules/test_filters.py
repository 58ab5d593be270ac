import pytest

from gateway.errors import ExpressionInvalid
from gateway.rules import EventFilter


def admits(text, payload=b'{"value": 91}', topic="plant/pump-7/temp"):
    return EventFilter(text).admits(topic, "pump-7", 1_000, payload)


def test_a_condition_reads_payload_topic_device_and_arrival():
    assert admits("payload.value > 90 && device == 'pump-7' && arrival == 1000")
    assert admits("topic.startsWith('plant/')")
    assert not admits("payload.value > 92")


@pytest.mark.parametrize("payload", [b"{}", b"no json", b"", b'{"value": "hot"}', b"[1]"])
def test_what_cannot_be_known_is_not_admitted(payload):
    assert not admits("payload.value > 90", payload)


@pytest.mark.parametrize("text", ["", "payload.value >", "key == 1", "prev.value > 1", "1 + 1"])
def test_what_is_no_condition_on_one_event_is_refused(text):
    with pytest.raises(ExpressionInvalid):
        EventFilter(text)


def test_a_condition_that_remembers_is_refused():
    with pytest.raises(ExpressionInvalid):
        EventFilter("changed(payload.value)")
