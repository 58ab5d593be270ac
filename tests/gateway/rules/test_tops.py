from gateway.rules.tops import RunningTop, Top


def test_of_equal_values_the_first_by_name_comes_first():
    for top in (Top(2), RunningTop(2)):
        for by in ("c", "a", "b"):
            top.push(0, [by, 5])
        assert top.result(0) == [{"by": "a", "value": 5}, {"by": "b", "value": 5}]


def test_numbers_that_look_alike_are_one_group_and_a_text_is_another():
    for top in (Top(9), RunningTop(9)):
        for value in ([5, 1], [5.0, 3], ["5", 2]):
            top.push(0, value)
        assert top.result(0) == [{"by": 5, "value": 3}, {"by": "5", "value": 2}]
        assert top.count == 3


def test_a_window_that_grows_keeps_no_more_groups_than_it_gives():
    top = RunningTop(3)
    for number in range(10_000):
        top.push(0, [f"d{number}", number % 977])
    assert len(top.best) == 3
    assert [one["value"] for one in top.result(0)] == [976] * 3


def test_a_group_whose_values_have_left_is_gone():
    top = Top(3)
    top.push(0, ["a", 9])
    top.push(1, ["b", 1])
    top.pop(["a", 9])
    assert top.result(1) == [{"by": "b", "value": 1}]
    assert set(top.groups) == {"str 'b'"}
