from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.store import BlobStore
from gateway.store.blobs.files import YOUNG_MS

NOW_MS = 1_800_000_000_000


@pytest.fixture
def clock():
    return ManualClock(NOW_MS)


@pytest.fixture
def blobs(tmp_path, clock):
    return BlobStore(tmp_path, clock)


def grow_old(blobs, clock, digest):
    old_s = (clock.now_ms() - 2 * YOUNG_MS) / 1_000
    os.utime(blobs.path_of(digest), (old_s, old_s))
    clock.advance(2 * YOUNG_MS)


def test_what_was_put_can_be_got_by_its_digest(blobs):
    digest = blobs.put(b"a waveform")
    assert digest == hashlib.sha256(b"a waveform").hexdigest()
    assert blobs.get(digest) == b"a waveform"
    assert blobs.size_of(digest) == 10


@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=300), start=st.integers(0, 400), size=st.integers(0, 400))
def test_a_part_is_the_slice_of_the_whole(tmp_path_factory, content, start, size):
    blobs = BlobStore(tmp_path_factory.mktemp("blobs"), ManualClock(NOW_MS))
    digest = blobs.put(content)
    assert blobs.read(digest, start, size) == content[start : start + size]


def test_a_blob_lies_in_a_folder_of_its_first_two_digits(blobs, tmp_path):
    digest = blobs.put(b"x")
    assert (tmp_path / "blobs" / digest[:2] / digest[2:]).read_bytes() == b"x"
    assert list(blobs.digests(digest[:2])) == [digest]


def test_the_same_content_is_kept_once(blobs, tmp_path):
    assert blobs.put(b"x") == blobs.put(b"x")
    assert sum(path.is_file() for path in (tmp_path / "blobs").rglob("*")) == 1


def test_a_damaged_blob_is_not_given_out_and_mends_when_put_again(blobs):
    digest = blobs.put(b"image")
    blobs.path_of(digest).write_bytes(b"imagf")
    assert blobs.get(digest) is None
    blobs.put(b"image")
    assert blobs.get(digest) == b"image"


def test_what_is_not_there_is_none(blobs):
    digest = "0" * 64
    assert blobs.get(digest) is None
    assert blobs.size_of(digest) is None
    assert blobs.read(digest, 5, 5) is None
    assert list(blobs.digests("00")) == []


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "0" * 63])
def test_a_name_that_is_no_digest_leads_nowhere(blobs, digest):
    with pytest.raises(ValueError, match="no SHA-256"):
        blobs.path_of(digest)


def test_a_young_blob_is_not_removed(blobs, clock):
    digest = blobs.put(b"x")
    assert not blobs.remove(digest)
    grow_old(blobs, clock, digest)
    assert blobs.remove(digest)
    assert blobs.get(digest) is None


def test_a_blob_is_young_again_when_it_is_put_again(blobs, clock):
    digest = blobs.put(b"x")
    grow_old(blobs, clock, digest)
    blobs.put(b"x")
    assert not blobs.remove(digest)


def test_a_blob_that_another_process_has_put_is_young_by_its_file(tmp_path, clock):
    digest = BlobStore(tmp_path, clock).put(b"x")
    blobs = BlobStore(tmp_path, clock)
    now_s = clock.now_ms() / 1_000
    os.utime(blobs.path_of(digest), (now_s, now_s))
    assert blobs.is_young(digest)
    clock.advance(YOUNG_MS)
    assert not blobs.is_young(digest)


def test_a_file_from_the_far_future_is_not_young_for_ever(blobs, clock, tmp_path):
    digest = blobs.put(b"x")
    future_s = clock.now_ms() / 1_000 + 1_000_000
    os.utime(blobs.path_of(digest), (future_s, future_s))
    assert not BlobStore(tmp_path, clock).is_young(digest)


def test_drafts_of_a_crash_go_when_they_are_old(blobs, clock):
    digest = blobs.put(b"x")
    draft = blobs.path_of(digest).with_name("left.1.new")
    draft.write_bytes(b"half")
    now_s = clock.now_ms() / 1_000
    os.utime(draft, (now_s, now_s))
    blobs.remove_drafts(digest[:2])
    assert draft.exists()
    clock.advance(YOUNG_MS)
    blobs.remove_drafts(digest[:2])
    assert not draft.exists()
    assert list(blobs.digests(digest[:2])) == [digest]


def test_a_disk_that_refuses_is_named(tmp_path, clock):
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="can't be written"):
        BlobStore(tmp_path, clock).put(b"x")


def test_a_proof_reads_all_of_a_blob_and_says_its_size(tmp_path):
    blobs = BlobStore(tmp_path, ManualClock(NOW_MS))
    digest = blobs.put(b"content" * 10_000)
    assert blobs.prove(digest) == 70_000
    blobs.path_of(digest).write_bytes(b"other")
    assert blobs.prove(digest) is None
    blobs.path_of(digest).unlink()
    assert blobs.prove(digest) is None
