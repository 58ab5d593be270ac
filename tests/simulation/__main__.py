"""`./run simulate --seeds N --start S`: lives through N seeds, on every core."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import SeedFailed, run_seed

CHUNK = 25


def run_chunk(start: int, count: int, mutant: str | None) -> list[str]:
    """Live through some seeds; what went wrong with each that failed."""
    failures = []
    for seed in range(start, start + count):
        try:
            run_seed(seed, *([MUTANTS[mutant]] if mutant else []))
        except SeedFailed as failed:
            failures.append(str(failed))
    return failures


def main() -> int:
    """Run what the command line asks for; 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="./run simulate")
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="a defect put in on purpose")
    wish = parser.parse_args()
    began_s = time.monotonic()
    done, failed = 0, 0
    end = wish.start + wish.seeds
    starts = range(wish.start, end, CHUNK)
    with ProcessPoolExecutor(wish.workers) as pool:
        counts = [min(CHUNK, end - start) for start in starts]
        chunks = pool.map(run_chunk, starts, counts, [wish.mutant] * len(counts))
        for count, failures in zip(counts, chunks, strict=True):
            done += count
            for failure in failures:
                failed += 1
                print(failure, flush=True)
            if sys.stderr.isatty():
                print(f"\r{done} seeds, {failed} failed", end="", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - began_s) / 60
    print(f"{done} seeds, {failed} failed, {done / minutes:,.0f} a minute")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
