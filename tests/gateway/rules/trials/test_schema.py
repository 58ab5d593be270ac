from gateway.rules.trials.reading import EVENTS, STATES
from gateway.rules.trials.schema import trials_schema


def test_the_schema_knows_every_event_and_state():
    case = trials_schema()["properties"]["cases"]["items"]
    expectation = case["properties"]["expect"]["items"]["properties"]
    assert tuple(expectation["event"]["enum"]) == EVENTS
    assert tuple(expectation["state"]["enum"]) == STATES
