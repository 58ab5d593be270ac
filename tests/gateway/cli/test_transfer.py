import csv
import gzip
import json

import pytest
from typer.testing import CliRunner

from gateway.cli import transfer
from gateway.cli.streams import app
from gateway.errors import PenstockError
from gateway.store import verify_log
from tests.gateway.store.logs import write_small_log

run = CliRunner().invoke


@pytest.fixture
def data_dir(tmp_path):
    return write_small_log(tmp_path / "data")


def export(data_dir, target, *options):
    return run(app, ["export", "telemetry", "--to", str(target), "--data", str(data_dir), *options])


def rows_of(path):
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log.csv"])
def test_what_is_exported_comes_back_as_it_was(tmp_path, data_dir, name):
    assert "200 records" in export(data_dir, tmp_path / name).output
    for number in range(2):
        arguments = [str(tmp_path / name), "--stream", "telemetry", "--partitions", "2"]
        found = run(app, ["import", *arguments, "--data", str(tmp_path / f"new-{number}")])
        assert found.exit_code == 0, found.output
    assert export(tmp_path / "new-0", tmp_path / "again.jsonl.gz").exit_code == 0
    assert export(data_dir, tmp_path / "first.jsonl.gz").exit_code == 0
    place = ("partition", "offset")
    kept = [
        sorted(
            tuple((key, value) for key, value in row.items() if key not in place)
            for row in rows_of(tmp_path / path)
        )
        for path in ("first.jsonl.gz", "again.jsonl.gz")
    ]
    assert kept[0] == kept[1]
    hashes = [verify_log(tmp_path / f"new-{number}")["streams"] for number in range(2)]
    assert hashes[0] == hashes[1]


def test_only_what_is_wanted_is_exported(tmp_path, data_dir):
    options = ["--device", "pump-1", "--topic", "plant/+/t", "--from", "@90"]
    assert "10 records" in export(data_dir, tmp_path / "some.csv", *options).output
    rows = list(csv.DictReader((tmp_path / "some.csv").read_text().splitlines()))
    assert {row["device"] for row in rows} == {"pump-1"}


def test_a_failed_export_leaves_nothing(tmp_path, data_dir):
    found = export(data_dir, tmp_path / "some.csv", "--from", "nowhere")
    assert isinstance(found.exception, PenstockError)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_parquet_without_its_library_says_how_to_get_it(tmp_path, data_dir, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(transfer, "import_module", missing)
    found = export(data_dir, tmp_path / "log.parquet")
    assert "pip install 'penstock[parquet]'" in str(found.exception)


def test_parquet_comes_back_as_it_was(tmp_path, data_dir):
    pytest.importorskip("pyarrow")
    assert export(data_dir, tmp_path / "log.parquet").exit_code == 0
    assert sum(1 for _ in transfer.read_parquet(tmp_path / "log.parquet")) == 200


def test_a_file_of_something_else_is_refused_with_its_line(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"temperature": 3}\n')
    found = run(
        app,
        ["import", str(tmp_path / "other.jsonl"), "--stream", "s", "--data", str(tmp_path / "d")],
    )
    assert "other.jsonl:1: not a record" in str(found.exception)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    arguments = ["import", str(tmp_path / "no"), "--stream", "s", "--data", str(tmp_path / "d")]
    assert "there is no file" in str(run(app, arguments).exception)
    assert not (tmp_path / "d").exists()
