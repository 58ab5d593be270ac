from gateway.clock import ManualClock
from gateway.store import audit_log, back_up_log, restore_log, verify_log
from tests.gateway.store.logs import write_small_log


def test_a_log_is_verified_audited_copied_and_put_back(tmp_path):
    data_dir = write_small_log(tmp_path / "data")
    found = verify_log(data_dir)
    assert found["sound"]
    assert audit_log(data_dir)["balanced"]
    seen = []
    manifest = back_up_log(
        data_dir, tmp_path / "copy", ManualClock(1), lambda done, size: seen.append(size)
    )
    assert restore_log(tmp_path / "copy", tmp_path / "new") == manifest
    assert verify_log(tmp_path / "new")["streams"] == found["streams"]
