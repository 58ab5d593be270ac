from __future__ import annotations

from gateway.clock import ManualClock, SystemClock
from gateway.store import BlobStore, StoreOptions, back_up_log, open_store, restore_log
from gateway.store.blobs.copying import copy_blobs


def test_every_whole_blob_is_copied_and_a_damaged_one_left_behind(tmp_path):
    clock = ManualClock()
    blobs = BlobStore(tmp_path / "a", clock)
    digests = [blobs.put(bytes([number]) * 10) for number in range(5)]
    blobs.path_of(digests[0]).write_bytes(b"damaged")
    assert copy_blobs(tmp_path / "a", tmp_path / "b", clock) == 4
    copies = BlobStore(tmp_path / "b", clock)
    assert [copies.get(digest) is not None for digest in digests] == [False, *[True] * 4]


def test_a_directory_without_blobs_has_none(tmp_path):
    assert copy_blobs(tmp_path / "a", tmp_path / "b", ManualClock()) == 0
    assert not (tmp_path / "b").exists()


async def test_a_backup_and_its_restored_log_have_the_blobs(tmp_path):
    store = await open_store(StoreOptions(tmp_path / "a"), SystemClock())
    digest = BlobStore(tmp_path / "a", SystemClock()).put(b"image")
    await store.close()
    back_up_log(tmp_path / "a", tmp_path / "copy", SystemClock(), lambda done, size: None)
    restore_log(tmp_path / "copy", tmp_path / "b")
    assert BlobStore(tmp_path / "b", SystemClock()).get(digest) == b"image"
