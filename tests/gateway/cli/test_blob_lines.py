from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.streams import app
from gateway.clock import ManualClock
from gateway.errors import PenstockError
from gateway.events import Flag, Origin, Run
from gateway.store import (
    BlobStore,
    Reference,
    StoreOptions,
    StreamSpec,
    back_up_log,
    claim_puts,
    encode_reference,
    open_store,
    verify_log,
)

run = CliRunner().invoke
NOW_MS = 1_800_000_000_000
LARGE = b"L" * 300_000


async def write_log(data_dir, clock):
    digest = BlobStore(data_dir, clock).put(LARGE)
    store = await open_store(StoreOptions(data_dir), clock)
    await store.ensure(StreamSpec("telemetry", partitions=1))
    origins = [Origin("cameras/c1/frame", "c1")] * 2
    payloads = [b"small", encode_reference(Reference(digest, len(LARGE)))]
    records = Run("telemetry", 0, "c1", NOW_MS, origins, payloads, bytes([2, 2 | Flag.CLAIM]))
    await store.append([records], claim_puts([records]))
    await store.close()
    return digest


@pytest.fixture
def log(tmp_path):
    data_dir = tmp_path / "data"
    return data_dir, asyncio.run(write_log(data_dir, ManualClock(NOW_MS)))


def read(data_dir, *options):
    return run(app, ["read", "telemetry", "--data", str(data_dir), *options]).stdout.splitlines()


def test_a_record_shows_its_reference_or_on_demand_its_payload(log):
    data_dir, digest = log
    assert json.loads(read(data_dir, "--json")[1])["blob"] == {
        "digest": digest,
        "size_bytes": 300_000,
    }
    assert read(data_dir)[1].endswith(f"blob {digest}, 300000 bytes")
    assert read(data_dir, "--blobs")[1].endswith("L" * 100)
    assert read(data_dir, "--blobs")[0] == read(data_dir)[0]


def test_a_blob_that_is_gone_is_said_and_its_reference_shown(log):
    data_dir, digest = log
    BlobStore(data_dir, ManualClock(NOW_MS)).path_of(digest).unlink()
    found = run(app, ["read", "telemetry", "--data", str(data_dir), "--blobs"])
    assert f"blob {digest} is gone or damaged" in found.stderr
    assert f"blob {digest}, 300000 bytes" in found.stdout


def test_a_blob_is_fetched_by_its_digest(log, tmp_path):
    data_dir, digest = log
    assert run(app, ["blob", digest, "--data", str(data_dir)]).stdout_bytes == LARGE
    target = tmp_path / "frame"
    found = run(app, ["blob", digest, "--data", str(data_dir), "-o", str(target), "--json"])
    assert target.read_bytes() == LARGE
    assert json.loads(found.stdout) == {"digest": digest, "size_bytes": 300_000}
    missing = run(app, ["blob", "0" * 64, "--data", str(data_dir)])
    assert isinstance(missing.exception, PenstockError)
    assert run(app, ["blob", "zz", "--data", str(data_dir)]).exit_code == 2


def test_an_export_holds_whole_payloads_and_an_import_keeps_them_beside_the_log(log, tmp_path):
    data_dir, digest = log
    export = tmp_path / "log.jsonl.gz"
    run(app, ["export", "telemetry", "--to", str(export), "--data", str(data_dir)])
    again = tmp_path / "again"
    found = run(app, ["import", str(export), "--stream", "telemetry", "--data", str(again)])
    assert found.exit_code == 0, found.output
    assert BlobStore(again, ManualClock(NOW_MS)).get(digest) == LARGE
    assert verify_log(again)["blobs"] == 1
    shown = [json.loads(line) for line in read(again, "--json")]
    assert sorted("blob" in line for line in shown) == [False, True]


def test_a_backup_has_the_blobs_and_verifying_finds_those_that_are_missing(log, tmp_path):
    data_dir, digest = log
    clock = ManualClock(NOW_MS)
    back_up_log(data_dir, tmp_path / "copy", clock, lambda done, whole: None)
    assert (verify_log(tmp_path / "copy")["sound"], verify_log(data_dir)["blobs"]) == (True, 1)
    BlobStore(data_dir, clock).path_of(digest).write_bytes(b"other")
    found = verify_log(data_dir)
    assert found["faults"] == [f"telemetry/0@1: its blob {digest} is gone or damaged"]
    assert run(app, ["verify", "--data", str(data_dir)]).exit_code == 1
