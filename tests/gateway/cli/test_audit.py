import asyncio
import json
import sqlite3

import pytest
from typer.testing import CliRunner

from gateway.cli.audit import app
from gateway.clock import ManualClock
from gateway.store import StoreOptions, open_store
from tests.gateway.store.building import a_run
from tests.gateway.store.logs import SPEC, write_small_log

run = CliRunner().invoke


@pytest.fixture
def data_dir(tmp_path):
    return write_small_log(tmp_path / "data")


def test_every_record_is_accounted_for(data_dir):
    found = run(app, ["--data", str(data_dir), "--json"])
    assert found.exit_code == 0, found.output
    accounts = json.loads(found.output)
    assert accounts["balanced"]
    assert [own["accepted"] for own in accounts["streams"]] == [100, 100]
    assert [(own["passed"], own["pending"]) for own in accounts["consumers"]] == [(50, 50)] * 2


def test_a_batch_that_is_gone_breaks_the_ledger(data_dir):
    with sqlite3.connect(data_dir / "penstock.db") as connection:
        connection.execute("DELETE FROM batches WHERE base_offset = 30 AND partition_number = 1")
    found = run(app, ["--data", str(data_dir)])
    assert found.exit_code == 1
    assert "UNACCOUNTED 10" in found.output
    assert "offsets 30 to 39 are missing" in found.output


def test_numbers_that_a_device_skipped_are_shown(tmp_path):
    async def write():
        store = await open_store(StoreOptions(tmp_path), ManualClock(1))
        await store.ensure(SPEC)
        payloads = [b'{"seq": %d}' % number for number in (1, 1, 2, 2, 5, 3, 1)]
        await store.append([a_run(*payloads, b"rubbish")])
        await store.close()

    asyncio.run(write())
    found = run(app, ["--data", str(tmp_path), "--seq", "payload.seq", "--json"])
    assert found.exit_code == 0, found.output
    (gap,) = json.loads(found.output)["device_gaps"]
    assert (gap["device"], gap["from"], gap["to"]) == ("pump-0", 3, 4)


def test_an_unknown_kind_of_number_is_bad_usage(data_dir):
    assert run(app, ["--data", str(data_dir), "--seq", "number"]).exit_code == 2
