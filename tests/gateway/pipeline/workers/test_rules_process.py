from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.pipeline.workers.job import encode_job
from gateway.pipeline.workers.rules_process import LinkLog, Reports, RulesProcess
from tests.gateway.pipeline.workers.conftest import event, told
from tests.harness.links import linked
from tests.harness.waiting import until


class Heard(dict):
    """What a worker has told, by name, each as a list of arguments."""

    def __getitem__(self, name):
        return self.setdefault(name, [])

    def names(self, *names):
        return {name: lambda *arguments, own=self[name]: own.append(arguments) for name in names}


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
async def own(store, heard):
    told_names = heard.names("opened", "refused", "progress", "log", "kept")
    async with linked(store, told=told_names) as own:
        yield own


async def test_it_says_what_the_rules_are_then_evaluates_until_it_is_told_to_stop(
    job, store, own, heard, rules_path, monkeypatch
):
    monkeypatch.setattr("gateway.pipeline.workers.rules_process.REPORT_S", 0.0)
    running = asyncio.create_task(RulesProcess(own.link).run())
    own.host.tell("touch")
    own.host.tell("job", encode_job(job), logging.WARNING)
    await until(lambda: heard["opened"], "the verdict")
    assert heard["opened"] == [([["sums"]],)]
    own.host.tell("begin")
    await store.append([event(6), event(7)])

    async def raised():
        return await told(store) == [("m0", "raised")]

    await until(raised, "the alarm")
    await until(lambda: ["telemetry", 0, 2] in (heard["progress"] or [([],)])[-1][0], "progress")
    rules_path.write_text(rules_path.read_text().replace("> 5", "> 50"))
    own.host.tell("touch")
    await store.append([event(8)])

    async def cleared():
        await store.append([event(9)])
        return ("m0", "cleared") in await told(store)

    await until(cleared, "the rules to be read again")
    end = (await store.bounds("telemetry", 0))[1]
    await until(lambda: ["telemetry", 0, end] in heard["progress"][-1][0], "the last event")
    own.host.tell("stop")
    await running
    groups = {one.name: one.offsets for one in await store.groups()}
    assert groups["rules"]["telemetry", 0] == end


async def test_wrong_rules_are_refused_with_every_complaint(job, own, heard, rules_path):
    rules_path.write_text("version: 1\nrules: [{id: a, wehn: 1}]\n")
    running = asyncio.create_task(RulesProcess(own.link).run())
    own.host.tell("job", encode_job(job), logging.WARNING)
    await running
    await until(lambda: heard["refused"], "the complaints")
    ((complaints,),) = heard["refused"]
    assert any("wehn" in message for _, _, _, message in complaints)


async def test_log_lines_are_handed_over_with_their_text_and_their_values(own, heard):
    logger = logging.getLogger("of.a.worker")
    logger.addHandler(handler := LinkLog(own.link))
    try:
        logger.warning("'%s' has %d of %s", "x", 3, ["y"])
        try:
            int("50%")
        except ValueError:
            logger.exception("it broke")
    finally:
        logger.removeHandler(handler)
    await until(lambda: len(heard["log"]) == 2, "the lines")
    first, (_, level, message, arguments, trace) = heard["log"]
    assert first == ("of.a.worker", logging.WARNING, "'%s' has %d of %s", ["x", 3, "['y']"], "")
    assert (level, message, arguments) == (logging.ERROR, "it broke", [])
    assert trace.startswith("Traceback")
    assert trace.endswith("base 10: '50%'")


async def test_positions_are_told_once_for_many_moves(own, heard, monkeypatch):
    monkeypatch.setattr("gateway.pipeline.workers.rules_process.REPORT_S", 0.0)
    reports, positions = Reports(own.link), {}
    for offset in range(5):
        positions["s", 0] = offset
        reports.note(positions)
    await until(lambda: heard["progress"], "the report")
    assert heard["progress"] == [([["s", 0, 4]],)]
    reports.note({("s", 0): 9})
    await until(lambda: len(heard["progress"]) == 2, "the next report")
