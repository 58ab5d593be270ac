import json

import pytest
from typer.testing import CliRunner

from gateway.cli.backup import app
from gateway.errors import StoreError
from tests.gateway.store.logs import write_small_log

run = CliRunner().invoke


def test_a_backup_says_what_it_holds(tmp_path):
    data_dir = write_small_log(tmp_path / "data")
    found = run(app, [str(tmp_path / "copy"), "--data", str(data_dir), "--json"])
    assert found.exit_code == 0, found.output
    manifest = json.loads(found.stdout)
    assert manifest["streams"]["telemetry"]["next_offsets"] == [100, 100]
    assert manifest == json.loads((tmp_path / "copy" / "manifest.json").read_bytes())


def test_a_directory_in_use_is_refused(tmp_path):
    data_dir = write_small_log(tmp_path / "data")
    found = run(app, [str(data_dir), "--data", str(data_dir)])
    assert isinstance(found.exception, StoreError)
    with pytest.raises(StoreError, match="not empty"):
        raise found.exception


def test_a_directory_without_a_log_leaves_nothing(tmp_path):
    found = run(app, [str(tmp_path / "copy"), "--data", str(tmp_path / "none")])
    assert isinstance(found.exception, StoreError)
    assert not (tmp_path / "copy").exists()
