from __future__ import annotations

import asyncio
import os

import pytest

from gateway.pipeline.workers.child import Child, WorkerFailed, ending_of
from tests.harness.waiting import until

MODULE = "gateway.functions.worker"
"""It waits for a frame, and ends when the other side does."""


async def test_a_child_ends_when_it_is_hung_up_on():
    child = await Child.start(MODULE)
    os.kill(child.pid, 0)
    child.writer.close()
    assert await child.end() == 0


async def test_a_child_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("gateway.pipeline.workers.child.END_S_MAX", 0.01)
    child = await Child.start(MODULE)
    assert await child.end() == -9
    assert await child.kill() == -9


async def test_a_child_that_can_t_be_started_says_why(monkeypatch):
    async def refuse(*arguments, **settings):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    with pytest.raises(WorkerFailed, match="Resource temporarily"):
        await Child.start(MODULE)


async def test_a_child_that_dies_hangs_up():
    child = await Child.start("no_such_module_at_all")
    assert await child.reader.read() == b""
    assert await until(child.end, "its end") == 1


@pytest.mark.parametrize(
    ("exit_code", "text"),
    [(-9, "killed by SIGKILL"), (3, "exit code 3"), (-250, "exit code -250")],
)
def test_an_end_is_put_in_words(exit_code, text):
    assert text in ending_of(exit_code)
