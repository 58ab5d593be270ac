"""`./run simulate [store] --seeds N --start S`: lives through N seeds, on every core."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import SeedFailed, run_seed
from tests.simulation.store_seeds import chunk_starts, run_store_chunk, why_not

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 1 when a seed failed."""
    wish = parse(arguments)
    if wish.what == "store":
        if missing := why_not():
            print(f"simulate store: {missing}", file=sys.stderr)
            return 1
        chunks, act = chunk_starts(wish.start, wish.seeds), run_store_chunk
    else:
        end = wish.start + wish.seeds
        starts = range(wish.start, end, CHUNK)
        chunks, act = [(start, min(CHUNK, end - start)) for start in starts], run_chunk
    began_s = time.monotonic()
    done, failed = 0, 0
    with ProcessPoolExecutor(wish.workers) as pool:
        found = pool.map(act, *zip(*chunks, strict=True), [wish.mutant] * len(chunks))
        for (_, count), failures in zip(chunks, found, strict=True):
            done += count
            for failure in failures:
                failed += 1
                print(failure, flush=True)
            if sys.stderr.isatty():
                print(f"\r{done} seeds, {failed} failed", end="", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - began_s) / 60
    print(f"{done} seeds, {failed} failed, {done / minutes:,.0f} a minute")
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./run simulate")
    parser.add_argument(
        "what", nargs="?", choices=("system", "store"), default="system",
        help="the whole system on virtual time, or crashes of the real store",
    )  # fmt: skip
    parser.add_argument("--seeds", type=_count, default=1_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--workers", type=_count, default=os.cpu_count() or 1)
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="a defect put in on purpose")
    wish = parser.parse_args(arguments)
    if wish.mutant and wish.what == "store":
        parser.error("--mutant is for the whole system; the store has tests of its own for that")
    return wish


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
