from gateway.store.syncing import create_directory, sync_directory, sync_file


def test_a_directory_is_made_with_its_parents_for_its_owner_alone(tmp_path):
    path = tmp_path / "a" / "b"
    create_directory(path)
    create_directory(path)
    assert path.is_dir()
    assert path.stat().st_mode & 0o007 == 0


def test_files_and_directories_can_be_synced(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    sync_file(path)
    sync_directory(tmp_path)
    assert path.read_bytes() == b"x"
