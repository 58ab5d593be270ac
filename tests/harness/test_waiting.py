"""Waiting ends with the condition, or with the time."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.waiting import until, wait_for


def test_what_the_condition_found_is_returned():
    found = iter([0, "", "it"])
    assert wait_for(lambda: next(found), "it") == "it"


def test_the_bound_says_what_was_waited_for():
    with pytest.raises(TimeoutError, match="the sun"):
        wait_for(lambda: False, "the sun", seconds=0.01)


async def test_others_run_while_a_task_waits():
    stopped = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(until(stopped.is_set, "the other task"))
        group.create_task(asyncio.to_thread(stopped.set))


async def test_a_condition_may_be_a_coroutine():
    async def answer():
        return 42

    assert await until(answer, "the answer") == 42


async def test_the_bound_holds_inside_a_loop_too():
    with pytest.raises(TimeoutError, match="the sun"):
        await until(lambda: False, "the sun", seconds=0.01)
