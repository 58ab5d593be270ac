import json
import sqlite3

import pytest
from typer.testing import CliRunner

from gateway.cli.streams import app
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
