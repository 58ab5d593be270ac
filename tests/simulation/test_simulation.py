"""Some seeds of the whole system; `./run simulate` lives through as many as you like."""

from __future__ import annotations

import os

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import first_failure, run_seed

SEEDS = int(os.environ.get("PENSTOCK_SEEDS", "60"))
START = int(os.environ.get("PENSTOCK_SEED", "0"))
MUTANT_SEEDS = 200


@pytest.mark.parametrize("tenth", range(10))
def test_every_promise_is_kept_whatever_befalls_the_gateway(tenth):
    for seed in range(START + tenth, START + SEEDS, 10):
        run_seed(seed)


def test_a_seed_is_one_run():
    first, second = run_seed(START), run_seed(START)
    assert first.story == second.story
    assert first.reader.heard == second.reader.heard
    assert first.disk.commit_no == second.disk.commit_no


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_defect_that_is_put_in_on_purpose_is_found(name):
    assert first_failure(range(MUTANT_SEEDS), MUTANTS[name]) is not None
