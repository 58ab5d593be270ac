import asyncio
import json
import sqlite3

import pytest
from typer.testing import CliRunner

from gateway.cli.streams import app
from gateway.clock import ManualClock
from gateway.store import Put, StoreOptions, open_store
from tests.gateway.store.logs import write_small_log

run = CliRunner().invoke


@pytest.fixture
def data_dir(tmp_path):
    return write_small_log(tmp_path / "data")


def test_a_sound_log_is_said_to_be_sound(data_dir):
    found = run(app, ["verify", "--data", str(data_dir)])
    assert found.exit_code == 0
    assert found.output.endswith("sound\n")
    assert "telemetry: 200 records" in found.output


def test_a_changed_batch_is_named_and_fails(data_dir):
    with sqlite3.connect(data_dir / "penstock.db") as connection:
        connection.execute(
            "UPDATE batches SET payload_bytes = payload_bytes + 1 WHERE base_offset = 30"
        )
    found = run(app, ["verify", "--data", str(data_dir), "--json"])
    assert found.exit_code == 1
    verdict = json.loads(found.output)
    assert not verdict["sound"]
    assert "doesn't match its checksum" in verdict["faults"][0]


def test_a_session_that_can_not_be_read_makes_a_log_unsound(tmp_path):
    async def break_session():
        store = await open_store(StoreOptions(tmp_path), ManualClock())
        await store.append([], [Put("sessions", "pump-7", b"rubbish")])
        await store.close()

    asyncio.run(break_session())
    result = CliRunner().invoke(app, ["verify", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "the value of 'pump-7' in table 'sessions' can't be read" in result.stdout
