import asyncio

import pytest

from gateway.pipeline.handlers.workers import FunctionBroken, FunctionFailed, Worker, python_path
from tests.gateway.functions.test_calling import CONTENT


async def test_a_worker_answers_one_event_after_the_other(spec_of):
    worker = await Worker.start(spec_of("echo"))
    for _ in range(2):
        answer = await worker.call(CONTENT)
        assert answer.rows == [("echo/t1", b'{"cm":250}', False, 1)]
        assert answer.version == worker.version
    await worker.kill()
    assert worker.has_ended


async def test_a_failure_leaves_the_worker_as_it_was(spec_of):
    worker = await Worker.start(spec_of("note"))
    with pytest.raises(FunctionFailed, match="ValueError: bad payload"):
        await worker.call(CONTENT | {"raw": b'"bad"'})
    assert not worker.has_ended
    assert (await worker.call(CONTENT)).rows
    await worker.kill()


async def test_a_worker_that_is_killed_from_outside_says_by_what(spec_of):
    worker = await Worker.start(spec_of("note"))
    worker._child.kill()
    with pytest.raises(FunctionFailed, match="SIGKILL"):
        await worker.call(CONTENT)


@pytest.mark.parametrize("source", ["import os\nos._exit(3)\n", "1 / 0\n"])
async def test_a_module_that_cannot_be_imported_leaves_no_process(spec_of, folder, source):
    (folder / "functions_for_handlers.py").write_text(source)
    with pytest.raises(FunctionBroken, match=r"exit code 3|ZeroDivisionError"):
        await Worker.start(spec_of("echo"))


async def test_a_module_that_takes_too_long_to_import_is_broken(spec_of, folder, monkeypatch):
    monkeypatch.setattr("gateway.pipeline.handlers.workers.START_S_MAX", 0.3)
    (folder / "functions_for_handlers.py").write_text("while True: pass\n")
    with pytest.raises(FunctionBroken, match=r"longer than 0\.3 s"):
        await Worker.start(spec_of("echo"))


async def test_a_process_that_cannot_be_started_is_said(spec_of, monkeypatch):
    async def refuse(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    with pytest.raises(FunctionBroken, match="Cannot allocate memory"):
        await Worker.start(spec_of("echo"))


def test_workers_find_what_this_process_finds(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert python_path().endswith(":/elsewhere")
