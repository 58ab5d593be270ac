import pytest

from gateway.errors import MqttError
from gateway.events import Flag
from gateway.pipeline.handlers.publishing import Publisher
from gateway.pipeline.handlers.workers import FunctionFailed
from tests.gateway.pipeline.handlers.conftest import route


def refuse(topic):
    raise MqttError(f"no stream takes '{topic}'", 0x87)


def test_each_row_is_a_run_with_an_id():
    publisher = Publisher(route, "$handler:h")
    first, second = publisher.runs_of([("a/b", b"1", True, 2), ("a/c", b"2", False, 0)], "k", 9)
    assert (first.payloads, first.arrival_ms, first.client) == ([b"1"], 9, "$handler:h")
    assert first.flags == bytes([Flag.QOS_2 | Flag.RETAIN])
    assert second.flags == bytes(1)
    assert b"k/0" in first.properties[0]
    assert b"k/1" in second.properties[0]


@pytest.mark.parametrize("topic", ["", "a/+", "$SYS/x", "audit/x", "alarms/r/k/ack", "a\0b"])
def test_a_topic_that_may_not_be_published_to_is_refused(topic):
    with pytest.raises(FunctionFailed, match="it returned the topic"):
        Publisher(route, "c").runs_of([(topic, b"", False, 0)], "k", 9)


def test_a_topic_that_no_stream_takes_is_refused():
    with pytest.raises(FunctionFailed, match="no stream takes"):
        Publisher(refuse, "c").runs_of([("a", b"", False, 0)], "k", 9)
