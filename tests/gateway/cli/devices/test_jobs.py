from __future__ import annotations

import asyncio
import json

import pytest

from gateway.cli.devices.jobs import NoSuchJob, outcomes_of
from gateway.devices import DEVICES_TABLE, CommandRefused, Device, encode_device
from tests.harness.service_desk import run, services_on
from tests.harness.waiting import until


async def test_a_job_is_started_seen_and_shown(tmp_path):
    async with services_on(tmp_path) as bench:
        table = bench.store.table(DEVICES_TABLE)
        for name in ("pump-1", "pump-2", "valve-1"):
            await table.put(name, encode_device(Device(name)))

        async def penstock(*arguments):
            return await asyncio.to_thread(run, tmp_path, "jobs", *arguments)

        begun = json.loads(await penstock("set", "pump-*", '{"a": 1}', "--id", "j1", "--json"))
        assert (begun["state"], begun["total"]) == ("running", 2)

        async def is_done():
            return "  done  2 of 2 done, 0 failed  " in await penstock("list")

        await until(is_done, "the end of the job")
        assert json.loads(await penstock("show", "j1", "--json"))["state"] == "done"
        await penstock("command", "*", "reboot", "--id", "j2")

        async def are_queued():
            return await outcomes_of(bench.store, "j2") == {"queued": 3}

        await until(are_queued, "the commands")
        shown = await penstock("show", "j2")
        assert shown.splitlines()[0].startswith("j2  command *  ")
        assert shown.splitlines()[1] == "  queued: 3"
        with pytest.raises(NoSuchJob, match="no job 'j3'"):
            await penstock("show", "j3")
        slow = ["set", "*", '{"b": 1}', "--id", "slow", "--rate", "1"]
        await penstock(*slow)
        assert "  cancelled  " in await penstock("cancel", "slow")


def test_what_cannot_be_is_refused_before_anybody_is_asked(tmp_path):
    with pytest.raises(CommandRefused, match="'timeout_ms' is 172800000"):
        run(tmp_path, "jobs", "command", "*", "reboot", "--timeout", "48h")
