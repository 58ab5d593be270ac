from __future__ import annotations

import asyncio
import logging
import os
import signal

import pytest

from gateway.clock import SystemClock
from gateway.errors import DocumentInvalid
from gateway.pipeline import no_puts
from gateway.pipeline.workers import rules_worker
from gateway.pipeline.workers.child import WorkerFailed
from gateway.pipeline.workers.rules_worker import RulesWorker, write_log
from tests.gateway.pipeline.workers.conftest import event, payloads, told
from tests.harness.waiting import until


@pytest.fixture
async def worker(job, monkeypatch):
    monkeypatch.setattr(rules_worker, "PAUSE_S_MIN", 0.01)
    worker = RulesWorker(job, SystemClock())
    yield worker
    await worker.stop()
    assert worker.pid == 0


async def begin(worker, store):
    """Open the worker and let it evaluate; it ends with the fixture."""
    assert (await worker.open()).emitted_streams == ("sums",)
    return asyncio.create_task(worker.run(store, no_puts))


def alarms(store, *expected):
    async def are_told():
        return await told(store) == list(expected)

    return are_told


async def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on(worker, store, caplog):
    running = await begin(worker, store)
    await store.append([event(6)])
    await until(alarms(store, ("m0", "raised")), "the alarm")
    first = worker.pid
    os.kill(first, signal.SIGKILL)
    await store.append([event(1), event(8), event(9, partition=1)])
    expected = [("m0", "raised"), ("m0", "cleared"), ("m0", "raised"), ("m1", "raised")]
    await until(alarms(store, *expected), "the next worker")
    assert worker.pid not in (0, first)
    assert worker.restarts == 1
    assert "the process of the rules is gone: it was killed by SIGKILL" in caplog.text
    await until(lambda: worker.lag({("telemetry", 0): 5}) == 2, "its report")
    await worker.stop()
    await running
    assert [one["s"] for one in await payloads(store, "sums")] == [6, 6 + 1, 6 + 1 + 8, 9]
    ends = {one.name: one.offsets for one in await store.groups()}["rules"]
    assert (ends["telemetry", 0], ends["telemetry", 1]) == (3, 1)


async def test_a_worker_that_finds_the_rules_wrong_goes_on_with_those_of_before(
    worker, store, rules_path
):
    await begin(worker, store)
    await store.append([event(6)])
    await until(alarms(store, ("m0", "raised")), "the alarm")
    right = rules_path.read_text()
    rules_path.write_text(right.replace("when:", "wehn:"))
    os.kill(worker.pid, signal.SIGKILL)
    await store.append([event(1)])

    async def are_told():
        return {("m0", "cleared"), ("", "raised")} <= set(await told(store))

    await until(are_told, "the next worker")
    rules_path.write_text(right)
    worker.touch()

    async def is_mended():
        return ("", "cleared") in await told(store)

    await until(is_mended, "the rules to be right again")


async def test_wrong_rules_are_refused_with_their_places(worker, store, rules_path):
    rules_path.write_text("version: 1\nrules: [{id: a, wehn: 1}]\n")
    with pytest.raises(DocumentInvalid, match=r"rules\.yaml:2:\d+: .*wehn"):
        await worker.open()


async def test_a_process_that_ends_at_once_is_told(worker, monkeypatch):
    monkeypatch.setattr(rules_worker, "MODULE", "no_such_module_at_all")
    with pytest.raises(WorkerFailed, match="exit code 1"):
        await worker.open()


async def test_a_worker_that_can_t_begin_again_is_tried_again(
    worker, store, rules_path, monkeypatch, caplog
):
    await begin(worker, store)
    monkeypatch.setattr(rules_worker, "MODULE", "no_such_module_at_all")
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: caplog.text.count("exit code 1") >= 2, "two tries")
    monkeypatch.undo()
    await store.append([event(6)])
    await until(alarms(store, ("m0", "raised")), "the alarm")


async def test_a_worker_stops_that_was_never_let_begin(worker):
    await worker.open()
    worker.touch()
    assert worker.pid


async def test_a_worker_that_does_not_stop_is_killed(worker, store, monkeypatch, caplog):
    monkeypatch.setattr(rules_worker, "STOP_S_MAX", 0.01)
    running = await begin(worker, store)
    await until(lambda: worker._host is not None, "it to be served")
    os.kill(worker.pid, signal.SIGSTOP)
    await worker.stop()
    await running
    assert "took too long to stop" in caplog.text


def test_a_line_of_a_worker_is_written_as_its_own_logger_would(caplog):
    with caplog.at_level(logging.INFO):
        write_log("gateway.of.rules", logging.INFO, "rules reloaded: %s", ["1 new"], "")
        write_log("gateway.of.rules", logging.ERROR, "it broke", [], "Traceback: why")
        write_log("gateway.of.rules", logging.DEBUG, "of no interest", [], "")
    assert caplog.record_tuples == [
        ("gateway.of.rules", logging.INFO, "rules reloaded: 1 new"),
        ("gateway.of.rules", logging.ERROR, "it broke"),
    ]
    assert logging.Formatter().format(caplog.records[1]) == "it broke\nTraceback: why"
