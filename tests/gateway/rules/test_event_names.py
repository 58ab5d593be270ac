from gateway.rules.event_names import names_of_event
from gateway.rules.expression.checker import EVENT_NAMES


def test_expressions_read_the_event_s_own_names():
    names = names_of_event((5, 7, "a/b", "b", b'{"x":1}', {"x": 1}))
    assert names == {"payload": {"x": 1}, "topic": "a/b", "device": "b", "ts": 5, "arrival": 7}
    assert names.keys() <= EVENT_NAMES.keys()
