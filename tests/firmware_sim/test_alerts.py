from __future__ import annotations

import pytest

from firmware_sim.alerts import LATEST_MAX, AlertBoard


def record(event, rule="hot", key="pump-1", **more):
    return {"stream": "alerts", "payload": {"rule": rule, "key": key, "event": event, **more}}


def test_alarms_are_counted_by_rule_and_remembered_while_active():
    board = AlertBoard()
    board.note(record("raised", reason="x > 3: x = 4"))
    board.note(record("raised", key="pump-2", reason="x > 3: x = 5"))
    board.note(record("changed", reason="x > 9: x = 10"))
    board.note(record("cleared", reason="x > 3 is false"))
    hot = board.counts_by_rule["hot"]
    assert (hot.raised, hot.cleared, board.raised) == (2, 1, 2)
    assert (hot.where, hot.reason) == ("pump-1", "x > 9: x = 10")
    assert board.active == {("hot", "pump-2")}
    assert board.as_values()["hot"]["raised"] == 2


@pytest.mark.parametrize(
    ("noted", "line"),
    [
        (record("raised", message="too hot"), "ALERT hot pump-1: too hot"),
        (record("raised", message="pump-1: too hot"), "ALERT hot pump-1: too hot"),
        (record("cleared", message="", reason="cool"), "clear hot pump-1: cool"),
    ],
)
def test_an_alarm_is_one_line(noted, line):
    assert AlertBoard().note(noted) == line


@pytest.mark.parametrize(
    "noted", [{}, {"payload": None}, {"payload": 5}, {"payload": {"event": "other"}}]
)
def test_what_is_no_alarm_is_passed_over(noted):
    board = AlertBoard()
    assert board.note(noted) is None
    assert not board.counts_by_rule


def test_only_the_latest_lines_are_kept():
    board = AlertBoard()
    for number in range(2 * LATEST_MAX):
        board.note(record("raised", key=f"pump-{number}"))
    assert len(board.latest) == LATEST_MAX
    assert board.latest[-1].startswith(f"ALERT hot pump-{2 * LATEST_MAX - 1}")
