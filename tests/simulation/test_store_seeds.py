from __future__ import annotations

import pytest

from tests.faults.store_torture import SEEDS_A_RECORDING, PromiseBroken
from tests.simulation import store_seeds
from tests.simulation.__main__ import parse
from tests.simulation.store_seeds import chunk_starts, run_store_chunk


def test_seeds_are_cut_where_recordings_change():
    size = SEEDS_A_RECORDING
    assert chunk_starts(0, 2 * size) == [(0, size), (size, size)]
    assert chunk_starts(size - 1, 2) == [(size - 1, 1), (size, 1)]
    assert chunk_starts(7, 1) == [(7, 1)]


def test_a_broken_promise_comes_with_the_command_that_shows_it_again(monkeypatch):
    async def break_one(*_):
        error = PromiseBroken("offset 3 is gone")
        error.add_note("seed 12: kill, at step 5")
        raise error

    monkeypatch.setattr(store_seeds, "torture", break_one)
    (failure,) = run_store_chunk(10, 5, None)
    assert failure.endswith("again: ./run simulate store --start 12 --seeds 1")
    assert "offset 3 is gone" in failure


@pytest.mark.parametrize("wrong", [["--seeds", "0"], ["shop"], ["store", "--mutant", "nothing"]])
def test_wrong_usage_is_refused(wrong, capsys):
    with pytest.raises(SystemExit) as left:
        parse(wrong)
    assert left.value.code == 2
    assert "./run simulate" in capsys.readouterr().err
