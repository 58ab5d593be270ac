from gateway.store.liveness import Liveness

KEYS = [("a", 0), ("a", 1), ("b", 0)]


def test_a_partition_is_held_where_its_slowest_live_group_is():
    liveness = Liveness()
    liveness.look({"fast": {("a", 0): 9, ("a", 1): 7}, "slow": {("a", 0): 4, ("a", 1): 8}}, 0)
    assert liveness.floors(KEYS, 0) == {("a", 0): 4, ("a", 1): 7}


def test_a_partition_that_a_group_has_not_begun_is_held_from_its_beginning():
    liveness = Liveness()
    liveness.look({"new": {("a", 0): 9}}, 0)
    assert liveness.floors(KEYS, 0) == {("a", 0): 9, ("a", 1): 0}


def test_a_group_that_rests_is_not_waited_for_until_it_moves_again():
    liveness = Liveness(within_ms=100)
    liveness.look({"one": {("a", 0): 1}, "two": {("b", 0): 1}}, 0)
    liveness.look({"one": {("a", 0): 2}, "two": {("b", 0): 1}}, 90)
    assert liveness.live(101) == ["one"]
    assert liveness.floors([("b", 0)], 101) == {}
    liveness.look({"one": {("a", 0): 2}, "two": {("b", 0): 5}}, 200)
    assert liveness.live(200) == ["two"]


def test_a_group_that_is_gone_is_forgotten():
    liveness = Liveness()
    liveness.look({"one": {("a", 0): 1}}, 0)
    liveness.look({}, 1)
    assert liveness.live(1) == []
