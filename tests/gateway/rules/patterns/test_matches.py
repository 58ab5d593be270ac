from gateway.rules.patterns.matches import NOTHING, Match


def test_a_match_tells_when_it_began_and_when_it_was_whole():
    match = Match("match", 20, 10, {"a": {"ts": 10}}, {})
    assert (match.since_ms, match.time_ms, match.names["a"]) == (10, 20, {"ts": 10})
    assert NOTHING == []
