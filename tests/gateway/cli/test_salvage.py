import json

import pytest
from typer.testing import CliRunner

from gateway.cli.streams import app
from tests.gateway.store.logs import write_small_log


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_sound_log_has_left_nothing_behind(tmp_path, flags):
    data_dir = write_small_log(tmp_path / "data")
    result = CliRunner().invoke(app, ["salvage", "--data", str(data_dir), *flags])
    assert result.exit_code == 0
    assert result.stdout == ("" if flags else "nothing was left behind\n")


def test_what_came_back_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.cli.salvage.bring_back_records", lambda _: [("f", 2, 30)])
    arguments = ["salvage", "--data", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).stdout == "30 records in 2 batches are back from f\n"
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told == {"file": "f", "batches": 2, "records": 30}
