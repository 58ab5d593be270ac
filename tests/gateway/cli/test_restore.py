from typer.testing import CliRunner

from gateway.cli.restore import app
from gateway.clock import ManualClock
from gateway.errors import StoreError
from gateway.store import back_up_log, verify_log
from tests.gateway.store.logs import write_small_log

run = CliRunner().invoke


def make_backup(tmp_path):
    data_dir = write_small_log(tmp_path / "data")
    back_up_log(data_dir, tmp_path / "copy", ManualClock(1), lambda done, size: None)
    return tmp_path / "copy"


def test_what_is_restored_is_the_same(tmp_path):
    copy = make_backup(tmp_path)
    found = run(app, [str(copy), "--data", str(tmp_path / "new")])
    assert found.exit_code == 0, found.output
    assert verify_log(tmp_path / "new")["streams"] == verify_log(tmp_path / "data")["streams"]


def test_a_used_directory_is_refused_and_not_touched(tmp_path):
    copy = make_backup(tmp_path)
    before = (tmp_path / "data" / "penstock.db").read_bytes()
    found = run(app, [str(copy), "--data", str(tmp_path / "data")])
    assert isinstance(found.exception, StoreError)
    assert "holds a log already" in str(found.exception)
    assert (tmp_path / "data" / "penstock.db").read_bytes() == before


def test_a_changed_copy_is_refused_and_leaves_nothing(tmp_path):
    copy = make_backup(tmp_path)
    content = bytearray((copy / "penstock.db").read_bytes())
    content[-1] ^= 1
    (copy / "penstock.db").write_bytes(bytes(content))
    found = run(app, [str(copy), "--data", str(tmp_path / "new")])
    assert "not what the backup wrote" in str(found.exception)
    assert not (tmp_path / "new").exists()


def test_what_is_no_backup_is_refused(tmp_path):
    found = run(app, [str(tmp_path), "--data", str(tmp_path / "new")])
    assert "is not a backup" in str(found.exception)
