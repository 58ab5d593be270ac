import errno
import json
import os

import pytest
from typer.testing import CliRunner

from gateway.cli import doctor
from gateway.cli.doctor import app, check_sync, file_system_of
from tests.gateway.store.logs import write_small_log

run = CliRunner().invoke


def findings_of(*arguments):
    found = run(app, [*arguments, "--json"])
    return found.exit_code, {
        own["subject"]: own for own in map(json.loads, found.output.splitlines())
    }


def test_a_good_gateway_passes(tmp_path):
    data_dir = write_small_log(tmp_path / "data")
    exit_code, found = findings_of("--data", str(data_dir))
    assert exit_code == 0, found
    assert found["log"]["text"].startswith("200 records")
    assert {"versions", "configuration", "open files", "clock", "free space", "fsync"} <= set(found)


def test_a_directory_that_is_not_there_yet_is_no_fault(tmp_path):
    exit_code, found = findings_of("--data", str(tmp_path / "new"))
    assert exit_code == 0
    assert "will be made" in found["data directory"]["text"]


def test_a_wrong_configuration_fails_with_its_place(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text("strems: []\n")
    exit_code, found = findings_of("--config", str(path), "--data", str(tmp_path))
    assert exit_code == 1
    assert "gateway.yaml:1" in found["configuration"]["text"]


def test_a_damaged_log_fails_with_what_to_do(tmp_path):
    (tmp_path / "penstock.db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    exit_code, found = findings_of("--data", str(tmp_path))
    assert exit_code == 1
    assert found["log"]["level"] == "fail"


def test_databases_set_aside_are_pointed_out(tmp_path):
    (tmp_path / "penstock.db.damaged-20261123T150000Z").write_bytes(b"x")
    _, found = findings_of("--data", str(tmp_path))
    assert found["damage"]["level"] == "warn"


def test_a_disk_that_refuses_to_sync_fails(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    assert check_sync(tmp_path).level == "fail"


@pytest.mark.parametrize(("at", "kind"), [("/data/log", "vfat"), ("/home", "ext4")])
def test_the_file_system_is_the_nearest_mount(tmp_path, monkeypatch, at, kind):
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw 0 0\nb /data vfat rw 0 0\n")
    monkeypatch.setattr(doctor, "MOUNTS", mounts)
    assert file_system_of(doctor.Path(at)) == kind
