from __future__ import annotations

from itertools import islice

import orjson
import pytest

from firmware_sim.recording import Recording, Survey
from firmware_sim.retelling import NOW, Retelling, period_ms


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("timestamp,value\n1000000,1\n1000010,2\n1000020,3\n")
    return Recording(path, "t", "timestamp")


def told(recording, retelling, now_ms=0):
    return [
        (row.time_ms, orjson.loads(row.payload)["ts"])
        for row in islice(retelling.tell(recording, recording.survey(), now_ms), 100)
    ]


def test_once_and_unmoved_is_the_recording(recording):
    times = [1_000_000_000, 1_000_010_000, 1_000_020_000]
    assert told(recording, Retelling()) == [(ms, ms) for ms in times]


def test_a_recording_may_begin_now(recording):
    assert [ms for ms, _ in told(recording, Retelling(shift=NOW), 5_000)] == [5_000, 15_000, 25_000]


@pytest.mark.parametrize("shift_ms", [-1_000_000, 3_600_000])
def test_a_recording_may_be_moved(recording, shift_ms):
    assert told(recording, Retelling(shift=shift_ms))[0] == (1_000_000_000 + shift_ms,) * 2


def test_repetitions_follow_each_other_at_the_average_step(recording):
    times = [ms for ms, _ in told(recording, Retelling(loops=3))]
    assert times == [1_000_000_000 + 10_000 * step for step in range(9)]


def test_without_an_end_it_goes_on(recording):
    assert len(told(recording, Retelling(loops=0))) == 100
    assert Retelling(loops=0).rows(recording.survey()) is None
    assert Retelling(loops=4).rows(recording.survey()) == 12


def test_a_single_row_takes_a_second_and_equal_times_still_move_on():
    assert period_ms(Survey(1, 500, 500)) == 1_000
    assert period_ms(Survey(5, 500, 500)) == 1
    assert period_ms(Survey(3, 900, 500)) == 1
