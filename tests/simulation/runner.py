"""Runs seeds, and says how to see a failure again."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gateway.rules import RuleSet, parse_rules
from tests.simulation.disk import DiskStore
from tests.simulation.invariants import Broken, check
from tests.simulation.virtual_loop import VirtualLoop, run_virtually
from tests.simulation.world import RULES, Plan, World

_RULES: list[RuleSet] = []


def shared_rules() -> RuleSet:
    """The rules of every world, read once."""
    if not _RULES:
        _RULES.append(parse_rules(RULES))
    return _RULES[0]


class SeedFailed(AssertionError):
    """One seed has shown a defect; carries the command that shows it again."""


def run_seed(seed: int, store_type: type[DiskStore] = DiskStore) -> World:
    """Live through one seed, and see that every promise was kept.

    Raises:
        SeedFailed: one was not.
    """
    logger = logging.getLogger("gateway")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    worlds: list[World] = []

    async def live(loop: VirtualLoop) -> None:
        world = World(Plan.draw(seed), loop, store_type, shared_rules())
        worlds.append(world)
        await world.run()
        check(world)
        await world.stop()

    try:
        run_virtually(live)
    except Exception as error:
        story = "\n  ".join(worlds[0].story) if worlds else ""
        kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
        raise SeedFailed(
            f"seed {seed}: {kind}{error}\n  {story}\nagain: ./run simulate --start {seed} --seeds 1"
        ) from error
    finally:
        logger.setLevel(level)
    return worlds[0]


def first_failure(seeds: Iterable[int], store_type: type[DiskStore] = DiskStore) -> int | None:
    """The first of these seeds that shows a defect; None when none does."""
    for seed in seeds:
        try:
            run_seed(seed, store_type)
        except SeedFailed:
            return seed
    return None
